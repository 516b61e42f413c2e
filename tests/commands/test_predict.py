"""Own photos asked of a finished run: as its validation photos were, and whatever the files are."""

import csv
import json
import os
import shutil
import tracemalloc
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from torchvision.transforms import v2

from helpers.commands import predict
from helpers.common.errors import ParameterError, PhotosError, RunError
from helpers.data.audit import audit_photos
from helpers.data.augmentation import val_transform
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import split_photos, write_split
from helpers.evaluation.features import look
from helpers.evaluation.predictions import predict as ask
from helpers.inference import contact_sheet, out_of_distribution, summary
from helpers.inference.export.preprocessing import describe
from helpers.inference.out_of_distribution import fit_ood_detector
from helpers.inference.predictor import Prediction, open_predictor
from helpers.inference.summary import PredictionSummary, label_of, trained_names
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe
from helpers.runs.history import Epoch, History
from helpers.runs.results import summarize
from helpers.runs.run import Run
from helpers.runs.saving import load_best_model
from helpers.runs.table import find_run
from tests.conftest import ROOT, colourful
from tests.tiny import random_model

CPU = torch.device("cpu")


def finish(root, backbone="squeezenet1_1", own=None, **changes):
    """A run of random weights on drawn colours, with all that the notebook leaves; and its photos.

    Args:
        own: makes a transform for the validation photos of the recipe.
    """
    photos = root / "photos"
    for label, name in enumerate(("rose", "tulip")):
        (photos / name).mkdir(parents=True)
        for i in range(20):
            colourful((90, 60) if i % 2 else (50, 80), 100 * label + i).save(photos / name / f"{i:03}.jpg")
    recipe = Recipe.from_preset("demo", dataset=str(photos), backbone=backbone, image_size=32, val_resize=36, **changes)
    audit = audit_photos(find_photos(photos))
    split = split_photos(audit, recipe.train_fraction, 0)
    run = Run(root / "runs" / "a", recipe, root, CPU, torch.float32, epoch_seconds=[1.0])
    run.folder.mkdir(parents=True)
    (run.folder / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    write_split(run.folder / "split.csv", audit.photos, split)
    best = Epoch(0, 0.1, 0.7, 0.5, 0.7, 0.5)
    model = random_model(backbone, 2, 0.2, seed=3)
    run.save_best(model.state_dict(), best, audit.photos.classes)
    run.save_history(History([best]))
    (run.folder / "environment.json").write_text("{}")
    feeds = make_loaders(audit, split, recipe, CPU, val=own and own(recipe))
    tested = with_tta(load_best_model(run.folder), recipe)
    predictions = ask(tested, feeds.val, torch.float32)
    run.save_predictions(predictions, [audit.photos.names[i] for i in split.val], audit.photos.classes)
    rule = fit_ood_detector(tested, audit, split, feeds, run)
    run.save_results(summarize(run, audit, History([best]), predictions))
    return run.folder, photos, rule


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("finished"), precision="fp32")


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the run, to be damaged."""
    return shutil.copytree(finished[0], tmp_path / "runs" / "a")


@pytest.fixture
def photos(finished):
    return finished[1]


def run_command(*arguments):
    return predict.main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("backbone", "changes"),
    [
        ("squeezenet1_1", {}),
        ("resnet18", {"test_flip": True}),
        ("resnet18", {"eval_image_size": 36}),
    ],
    ids=["squeezenet", "views", "larger at test"],
)
def test_validation_photos_get_the_answers_that_the_run_noted(tmp_path, backbone, changes):
    """The calls are the same, the probabilities within a millionth: those in the file have six digits."""
    folder, photos, rule = finish(tmp_path, backbone, precision="fp32", **changes)
    predictor = open_predictor(folder, "cpu")
    called = predictor.run.predictions
    answers = list(predictor.answers([photos / name for name in called.names], batch_size=3))
    probabilities = torch.stack([answer.probabilities for answer in answers]).double()
    assert torch.allclose(probabilities, called.probabilities, atol=1e-6, rtol=0)
    assert [answer.ranked[0] for answer in answers] == called.probabilities.argmax(1).tolist()
    assert sum(answer.unlike for answer in answers) <= 1  # the one that is the threshold may be a hair above itself
    assert predictor.rule.threshold == rule.threshold
    assert predictor.notes == ()


def test_the_real_run_s_own_validation_photos_are_called_as_it_noted(real_folder):
    folder = ROOT / "work_dir" / "fast-mobilenet_v2"
    if not (folder / "best_model.pth").is_file():
        pytest.skip("work_dir/fast-mobilenet_v2 is not here: make run PARAMS=notebooks/parameters/fast.yaml makes it")
    predictor = open_predictor(folder, "cpu")
    names = predictor.run.predictions.names[::8]
    probabilities = torch.stack([a.probabilities for a in predictor.answers([real_folder / name for name in names])])
    same = str(predictor.precision) == f"torch.{predictor.run.environment['precision']}"
    # Measured: 5e-7 in the run's own bf16; in fp32 instead up to 0.10, and one call of 322 differs.
    difference = (probabilities - predictor.run.predictions.probabilities[::8]).abs().max()
    assert difference < (1e-3 if same else 0.2)


def test_the_command_prints_a_table_and_writes_csv_and_sheet(finished, tmp_path, capsys):
    folder, photos, _ = finished
    place, table = tmp_path / "sheet.png", tmp_path / "all.csv"
    assert run_command(photos / "rose", "--run", folder, "--sheet", place, "--csv", table) == 0
    out = capsys.readouterr().out
    assert "run       a: squeezenet1_1" in out
    assert "flagged   photos less like the 32 training photos" in out
    assert f"{photos / 'rose' / '003.jpg'}"[-30:] in out
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert all(float(row["rose"]) + float(row["tulip"]) == pytest.approx(1, abs=1e-5) for row in rows)
    assert {row["class"] for row in rows} <= {"rose", "tulip"}
    assert Image.open(place).size[0] > 500
    assert list(tmp_path.glob("*.tmp")) == []


def test_what_is_no_photo_is_named_and_the_others_go_on(finished, tmp_path, capsys):
    folder, photos, _ = finished
    good, mine = (photos / "rose" / "000.jpg").read_bytes(), tmp_path / "Fotos für Oma"
    mine.mkdir()
    (mine / "a.jpg").write_bytes(good)
    (mine / "cut.jpg").write_bytes(good[: len(good) // 2])
    (mine / "empty.jpg").write_bytes(b"")
    (mine / "letter.jpg").write_text("Dear Sir or Madam")
    Image.new("RGB", (4000, 1)).save(mine / "line.png")
    Image.new("RGB", (1, 1), "red").save(mine / "point.png")
    Image.new("CMYK", (60, 50)).save(mine / "print.jpg")
    Image.fromarray(np.full((40, 50), 40_000, np.uint16)).save(mine / "scan.png")
    Image.new("P", (50, 40)).save(mine / "web.png", transparency=0)
    assert run_command(mine, tmp_path / "nowhere.jpg", "--run", folder, "--no-sheet") == 1
    out, err = capsys.readouterr()
    assert "nowhere.jpg does not exist" in err
    told = {"cut": "truncated", "empty": "the file is empty", "letter": "no picture format", "line": "is a line"}
    for name, words in told.items():
        (line,) = [line for line in out.splitlines() if f"{name}." in line]
        assert words in line.lower()
    assert "\n5 photos: " in out
    assert "4 could not be read" in out


def test_a_photo_lying_on_its_side_is_turned_as_the_camera_says(finished, tmp_path):
    upright = colourful((90, 60), 5)
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    one, other = open_predictor(finished[0], "cpu").answers([tmp_path / "upright.png", tmp_path / "turned.png"])
    assert torch.equal(one.probabilities, other.probabilities)


def test_nothing_but_problems_is_an_error(finished, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run_command(tmp_path / "empty", "--run", finished[0]) == 1
    assert "none of what was named is a photo" in capsys.readouterr().err
    (tmp_path / "x.jpg").write_text("no photo")
    assert run_command(tmp_path / "x.jpg", "--run", finished[0]) == 1
    assert "none could be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "results.json").unlink(), "is not finished"),
        (lambda f: (f / "recipe.json").write_text("{"), "without its recipe"),
        (lambda f: (f / "best_model.pth").write_bytes(b"x"), "cannot be loaded"),
        (lambda f: (f / "best_model.pth").unlink(), "does not exist"),
        (lambda f: (f / "best_model.json").unlink(), "holds no saved model"),
        (lambda f: change(f / "best_model.json", classes=["rose", "daisy"]), "their classes differ"),
        (lambda f: change(f / "best_model.json", image_size=40), "image_size differs"),
        (lambda f: change(f / "best_model.json", mean=[0.5, 0.5, 0.5]), "of another version"),
        (lambda f: [path.unlink() for path in f.iterdir()], "is not the folder of a run"),
    ],
)
def test_a_run_that_cannot_be_used_is_named(folder, photos, capsys, spoil, message):
    spoil(folder)
    assert run_command(photos / "rose", "--run", folder) == 1
    error = capsys.readouterr().err
    assert error.startswith("RunError: ")
    assert message in error


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_recipe_of_another_version_is_used_and_said_to_be_so(folder, photos, capsys):
    change(folder / "recipe.json", wings=2)
    assert run_command(photos / "rose" / "000.jpg", "--run", folder, "--no-sheet") == 0
    assert "has settings that this version does not: wings" in capsys.readouterr().out


def test_a_run_that_was_validated_in_a_way_of_its_own_remembers_and_says_so(tmp_path):
    """The photos were seen upside down, as no recipe says."""

    def turned(recipe):
        return v2.Compose([val_transform(recipe), v2.RandomVerticalFlip(1.0)])

    folder, photos, rule = finish(tmp_path, precision="fp32", own=turned)
    predictor = open_predictor(folder, "cpu")
    (note,) = predictor.notes
    assert "validated through a transform of its own (val_transform.txt)" in note
    assert "RandomVerticalFlip(p=1.0)" in (folder / "val_transform.txt").read_text()
    (said,) = describe(predictor.run)["model"]["notes"]
    assert said.startswith("a was validated through a transform of its own")
    audit, feed = audit_photos(find_photos(photos)), turned(predictor.recipe)
    split = split_photos(audit, predictor.recipe.train_fraction, 0)
    images = torch.stack([feed(load_photo(audit.photos.path(i))) for i in split.train])
    features = normalize(look(predictor.model, images, torch.float32).features)
    assert torch.allclose(rule.centre, features.mean(0), atol=1e-5)  # what is remembered was upside down, too


def test_without_its_memory_a_run_warns_by_the_largest_probability_or_not_at_all(folder):
    (folder / out_of_distribution.FILE).write_bytes(b"PK")
    predictor = open_predictor(folder)
    assert isinstance(predictor.rule, out_of_distribution.MaxSoftmax)
    assert "cannot be loaded" in predictor.notes[-1]
    (folder / out_of_distribution.FILE).unlink()
    assert open_predictor(folder).notes == ()
    (folder / "predictions.csv").unlink()
    predictor = open_predictor(folder)
    assert predictor.rule is None
    assert "nothing can be said about photos that look like none" in predictor.notes[-1]


def test_the_newest_finished_run_is_taken_and_said(folder, photos, capsys, monkeypatch):
    monkeypatch.setenv("FLOWERS_WORK_DIR", str(folder.parent))
    older = shutil.copytree(folder, folder.parent / "older")
    shutil.copytree(folder, folder.parent / "unfinished")
    (folder.parent / "unfinished" / "results.json").unlink()
    os.utime(older / "results.json", (1, 1))
    assert run_command(photos / "rose" / "000.jpg") == 0
    assert "no run given: a is the newest finished one" in capsys.readouterr().out
    assert (folder / predict.SHEET).is_file()
    assert find_run("older") == older
    assert find_run("") == folder
    with pytest.raises(RunError, match=r"did you mean .*/older\?"):
        find_run("odler")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sheet", "sheet.doc"], "must end in one of"),
        (["--sheet", "no/where/sheet.jpg"], "does not exist"),
        (["--csv", "no/where/all.csv"], "cannot be written"),
        (["--batch-size", "0"], "at least 1"),
        (["--device", "tpu"], "'tpu' is unknown"),
    ],
)
def test_wrong_options_are_named(finished, capsys, options, message):
    assert run_command(finished[1] / "rose" / "000.jpg", "--run", finished[0], *options) == 1
    assert message in capsys.readouterr().err


def test_folders_named_as_classes_give_an_accuracy_apart_for_photos_of_the_training(finished, capsys):
    folder, photos, _ = finished
    run_command(photos, "--run", folder, "--no-sheet")
    out = capsys.readouterr().out
    predictor = open_predictor(folder)
    called = predictor.run.predictions
    right = int((called.probabilities.argmax(1) == called.labels).sum())
    assert f"{right} of 8 photos called as their folder: " in out
    assert "of 32 photos called as their folder, whose names are those of photos that the run was trained on" in out


def answer(path, probabilities, unlike=False):
    return Prediction(path, np.zeros((3, 8, 8), np.uint8), torch.tensor(probabilities), unlike)


def test_the_tally_counts_by_hand(tmp_path):
    tally = PredictionSummary(("rose", "tulip"), frozenset({"rose/1.jpg"}))
    for path, probabilities, unlike in (
        ("roses/1.jpg", [0.9, 0.1], False),
        ("Rose/2.jpg", [0.2, 0.8], True),
        ("tulip/3.jpg", [0.2, 0.8], False),
        ("other/4.jpg", [0.7, 0.3], False),
    ):
        tally.add(answer(tmp_path / path, probabilities, unlike))
    tally.add(Prediction(tmp_path / "x", None, None, False, "no photo"))
    text = str(tally)
    assert "4 photos: 2 rose, 2 tulip" in text
    assert "1 could not be read" in text
    assert "1 (25.0%) look like none of the classes" in text
    assert "1 of 2 photos called as their folder: 50.00% (95 % interval 9.5% to 90.5%)" in text
    assert "1 of 1 photos called as their folder, whose names" in text
    assert "rose           0 of 1, 1 called tulip" in text
    assert label_of(tmp_path / "sunroses" / "a.jpg", ("rose",)) is None


def test_split_csv_tells_which_photos_were_trained_on(finished, tmp_path):
    assert len(trained_names(finished[0])) == 32
    assert trained_names(tmp_path) == frozenset()


def test_sunflowers_of_real_photos_come_with_a_warning_about_yellow_dandelions(tmp_path):
    tally = PredictionSummary(("dandelion", "sunflower"))
    assert summary.warning(tally, {"demo": False}) == ""
    tally.add(answer(tmp_path / "a.jpg", [0.1, 0.9]))
    assert "every dandelion is a white seed head" in summary.warning(tally, {"demo": False})
    assert "may well be called a sunflower" in summary.warning(tally, {"demo": False})
    assert summary.warning(tally, {"demo": True}) == ""
    assert summary.warning(PredictionSummary(("rose", "tulip")), {"demo": False}) == ""


def test_the_folders_of_flower_photos_are_known_in_their_plural(tmp_path):
    tally = PredictionSummary(("daisy", "dandelion", "roses", "sunflowers", "tulips"))
    tally.add(answer(tmp_path / "rose" / "a.jpg", [0.1, 0.1, 0.7, 0.05, 0.05]))
    assert tally.matrix[0, 2, 2] == 1
    assert summary.warning(tally, {"demo": False}) == ""
    tally.add(answer(tmp_path / "b.jpg", [0.1, 0.1, 0.05, 0.7, 0.05]))
    assert "every dandelion is a white seed head" in summary.warning(tally, {"demo": False})


def test_a_folder_spelled_like_a_class_is_that_one_before_another_in_the_plural(tmp_path):
    assert label_of(tmp_path / "iris" / "a.jpg", ("iri", "iris")) == 1
    assert label_of(tmp_path / "IRIS" / "a.jpg", ("rose", "iris")) == 1


def test_an_error_of_the_rest_is_not_blamed_on_the_csv_file(tmp_path):
    def nobody_reads_on():
        with summary.csv_file(str(tmp_path / "all.csv"), ("rose", "tulip")) as write:
            write(answer(tmp_path / "a.jpg", [0.9, 0.1]))
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        nobody_reads_on()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full, a disk without room, is Linux's")
def test_a_disk_without_room_is_the_csv_file_s(tmp_path, monkeypatch):
    monkeypatch.setattr(summary.os, "getpid", lambda: 7)
    (tmp_path / "all.csv.7.tmp").symlink_to("/dev/full")
    with (
        pytest.raises(ParameterError, match=r"all\.csv cannot be written \(No space left"),
        summary.csv_file(str(tmp_path / "all.csv"), ("rose", "tulip")) as write,
    ):
        write(answer(tmp_path / "a.jpg", [0.9, 0.1]))
    assert list(tmp_path.iterdir()) == []


def test_memory_stays_where_it_is_and_no_more_than_two_batches_are_under_way(finished):
    taken = 0

    def paths():
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield finished[1] / "rose" / "000.jpg"

    answers = open_predictor(finished[0], "cpu").answers(paths(), batch_size=10)
    next(answers)
    assert taken <= 20
    tracemalloc.start()
    try:
        for _ in islice(answers, 100):
            pass
        before, peak = tracemalloc.get_traced_memory()[0], 0
        for _ in islice(answers, 400):
            peak = max(peak, tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        answers.close()
    assert peak - before < 200_000  # 400 photos as the network sees them would be 1.2 MB
    assert taken <= 530


def test_of_many_photos_the_sheet_shows_the_least_sure(tmp_path):
    shown = contact_sheet.SheetSelection(most=3)
    for i, (probability, unlike) in enumerate([(0.9, False), (0.6, False), (0.99, True), (0.7, False), (0.95, False)]):
        shown.add(answer(tmp_path / f"{i}.jpg", [probability, 1 - probability], unlike), ("a", "b"))
    assert sorted(entry.name for _, entry in shown._kept) == ["1.jpg", "2.jpg", "3.jpg"]
    assert shown.write(tmp_path / "s.jpg").endswith("the 3 of 5 photos it is least sure of")


def test_a_sheet_has_pages_and_frames_the_doubtful():
    entries = [contact_sheet.Entry(np.zeros((8, 8, 3), np.uint8), f"{i}.jpg", "rose 51%", i == 1) for i in range(3)]
    first, second, _ = contact_sheet.contact_sheet(entries).axes
    assert (first.get_title(), first.get_xlabel()) == ("rose 51%", "0.jpg")
    assert "like none of the classes?" in second.get_xlabel()
    assert second.spines["top"].get_visible()
    assert not first.spines["top"].get_visible()


def test_names_in_the_table_are_shortened_from_the_left(tmp_path):
    long = tmp_path / ("x" * 70 + ".jpg")
    head, line = summary.table([answer(long, [0.25, 0.75], True)], ("rose", "tulip"), [long])
    assert line.startswith("…xxx")
    assert line.split()[1:] == ["tulip", "75.0%", "rose", "25.0%", *summary.UNLIKE.split()]
    assert head.index("class") == line.index("tulip") == 58
    _, line = summary.table([answer(long, [1.0, 0.0])], ("rose", "tulip"), [long], lambda path: "short")
    assert line.split() == ["short", "rose", "100.0%", "tulip", "0.0%"]


def test_pages_are_numbered(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "ROWS", 1)
    entries = [contact_sheet.Entry(np.zeros((8, 8, 3), np.uint8), "a.jpg", "rose 51%", False)] * 7
    pages = contact_sheet.write_pages(tmp_path / "s.jpg", entries)
    assert [page.name for page in pages] == ["s.jpg", "s-2.jpg"]
    assert all(Image.open(page).format == "JPEG" for page in pages)


def test_the_notebook_shows_one_photo_with_its_probabilities_and_several_as_a_sheet(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg")
    one = answer(tmp_path / "a.jpg", [0.25, 0.75])
    bad = Prediction(tmp_path / "x.jpg", None, None, False, "x.jpg is no photo")
    figure = contact_sheet.photo_figure([bad, one], ("rose", "tulip"))
    assert [bar.get_width() for bar in figure.axes[1].patches] == pytest.approx([0.25, 0.75])
    assert figure.axes[0].images[0].get_array().shape == (40, 60, 3)  # the photo itself
    assert contact_sheet.photo_figure([one, one], ("rose", "tulip")).axes[0].get_title() == "tulip 75%"
    with pytest.raises(PhotosError, match=r"x\.jpg is no photo"):
        contact_sheet.photo_figure([bad], ("rose", "tulip"))
