"""Predictions for new photos: as for the run's validation photos, whatever the files are."""

import json
import tracemalloc
from itertools import islice

import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from torchvision.transforms import v2

from helpers.common.errors import RunError
from helpers.data.audit import audit_photos
from helpers.data.augmentation import val_transform
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.split import split_photos
from helpers.evaluation.features import activations
from helpers.inference import open_predictor, out_of_distribution
from helpers.inference.export.preprocessing import describe_model
from tests.conftest import ROOT, colourful
from tests.finished_run import finished_run


@pytest.mark.parametrize(
    ("backbone", "changes"),
    [
        ("squeezenet1_1", {}),
        ("squeezenet1_1", {"test_flip": True}),
        ("squeezenet1_1", {"eval_image_size": 36}),
        ("resnet18", {}),
    ],
    ids=["plain", "flip", "larger at test", "resnet18"],
)
def test_validation_photos_get_the_stored_predictions(tmp_path, backbone, changes):
    """Probabilities agree within a millionth: the file has six digits."""
    folder, photos, detector = finished_run(tmp_path, backbone, precision="fp32", **changes)
    predictor = open_predictor(folder, "cpu")
    stored = predictor.run.predictions
    predictions = list(predictor.predict([photos / name for name in stored.names], batch_size=3))
    probabilities = torch.stack([each.probabilities for each in predictions]).double()
    assert torch.allclose(probabilities, stored.probabilities, atol=1e-6, rtol=0)
    assert [each.ranked[0] for each in predictions] == stored.probabilities.argmax(1).tolist()
    assert sum(each.is_ood for each in predictions) <= 1  # the photo at the threshold may exceed it by rounding
    assert predictor.detector.threshold == detector.threshold
    assert predictor.notes == ()


def test_validation_photos_of_a_real_run_get_the_stored_predictions(real_folder):
    folder = ROOT / "work_dir" / "fast-mobilenet_v2"
    if not (folder / "best_model.pth").is_file():
        pytest.skip("work_dir/fast-mobilenet_v2 is missing: make run PARAMS=notebooks/parameters/fast.yaml creates it")
    predictor = open_predictor(folder, "cpu")
    paths = [real_folder / name for name in predictor.run.predictions.names[::8]]
    probabilities = torch.stack([each.probabilities for each in predictor.predict(paths)])
    same = str(predictor.precision) == f"torch.{predictor.run.environment['precision']}"
    # Measured: 5e-7 in the run's own bf16; in fp32 instead up to 0.10, and one prediction of 322 differs.
    difference = (probabilities - predictor.run.predictions.probabilities[::8]).abs().max()
    assert difference < (1e-3 if same else 0.2)


def test_exif_orientation_is_applied(finished, tmp_path):
    upright = colourful((90, 60), 5)
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise by 90°
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    one, other = open_predictor(finished[0], "cpu").predict([tmp_path / "upright.png", tmp_path / "turned.png"])
    assert torch.equal(one.probabilities, other.probabilities)


def test_a_file_that_cannot_be_read_gets_its_reason_without_its_path(finished, tmp_path):
    (tmp_path / "x.jpg").write_text("Dear Sir or Madam")
    colourful((60, 50)).save(tmp_path / "y.jpg")
    bad, good = open_predictor(finished[0], "cpu").predict([tmp_path / "x.jpg", tmp_path / "y.jpg"])
    assert bad.error.startswith("is not a readable photo: ")
    assert (bad.picture, bad.probabilities, bad.is_ood) == (None, None, False)
    assert good.error == ""


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "results.json").unlink(), "is not finished"),
        (lambda f: (f / "recipe.json").write_text("{"), "without a recipe"),
        (lambda f: (f / "best_model.pth").write_bytes(b"x"), "cannot be loaded"),
        (lambda f: (f / "best_model.pth").unlink(), "does not exist"),
        (lambda f: (f / "best_model.json").unlink(), "holds no saved model"),
        (
            lambda f: change(f / "best_model.json", classes=["rose", "daisy"]),
            "the classes in best_model.json and results.json differ",
        ),
        (
            lambda f: change(f / "best_model.json", image_size=40),
            "image_size in best_model.json and recipe.json differs",
        ),
        (lambda f: change(f / "best_model.json", mean=[0.5, 0.5, 0.5]), "normalized differently"),
        (lambda f: [path.unlink() for path in f.iterdir()], "is not the folder of a run"),
    ],
)
def test_an_unusable_run_is_refused(folder, spoil, message):
    spoil(folder)
    with pytest.raises(RunError, match=message):
        open_predictor(folder, "cpu")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_recipe_of_another_version_is_used_with_a_note(folder):
    change(folder / "recipe.json", wings=2)
    assert "has settings that this version does not: wings" in open_predictor(folder, "cpu").notes[0]


def test_a_run_with_its_own_validation_transform_is_used_with_a_note(tmp_path):
    """Here the validation photos were upside down, which no recipe says."""

    def upside_down(recipe):
        return v2.Compose([val_transform(recipe), v2.RandomVerticalFlip(1.0)])

    folder, photos, detector = finished_run(tmp_path, val_transform=upside_down, precision="fp32")
    predictor = open_predictor(folder, "cpu")
    changed, warning = predictor.notes
    assert "changed by hand: val_transform = Compose" in changed
    assert "RandomVerticalFlip(p=1.0)" in changed
    assert warning == "that transform cannot be rebuilt: photos are prepared as the recipe says"
    assert describe_model(predictor.run)["model"]["notes"][1] == warning
    audit, transform = audit_photos(find_photos(photos)), upside_down(predictor.recipe)
    split = split_photos(audit, predictor.recipe.train_fraction, 0)
    images = torch.stack([transform(load_photo(audit.photos.path(i))) for i in split.train])
    features = normalize(activations(predictor.model, images, torch.float32).features)
    assert torch.allclose(detector.centre, features.mean(0), atol=1e-5)  # training photos were upside down, too


def test_without_vim_nothing_is_flagged_and_a_note_says_so(folder, finished):
    (folder / out_of_distribution.FILE).write_bytes(b"PK")
    assert "cannot be loaded" in open_predictor(folder, "cpu").notes[-1]
    (folder / out_of_distribution.FILE).unlink()
    predictor = open_predictor(folder, "cpu")
    assert "photos that resemble none of the classes cannot be flagged" in predictor.notes[-1]
    assert not any(each.is_ood for each in predictor.predict(sorted(finished[1].glob("*/*.jpg"))))


def test_memory_is_bounded_and_at_most_two_batches_are_read_ahead(finished):
    taken = 0

    def paths():
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield finished[1] / "rose" / "000.jpg"

    predictions = open_predictor(finished[0], "cpu").predict(paths(), batch_size=10)
    next(predictions)
    assert taken <= 20
    tracemalloc.start()
    try:
        for _ in islice(predictions, 40):
            pass
        before, peak = tracemalloc.get_traced_memory()[0], 0
        for _ in islice(predictions, 160):
            peak = max(peak, tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        predictions.close()
    assert peak - before < 200_000  # 160 photos as the network sees them would be 0.5 MB
    assert taken <= 230
