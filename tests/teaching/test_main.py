"""The assignment's script, solved literally, does what the helpers' published recipe does."""

import ast
import copy
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from helpers.data.audit import audit_photos
from helpers.data.augmentation import train_transform, val_transform
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.sources.locate import locate_photos
from helpers.data.split import split_photos
from helpers.evaluation.predictions import predict
from helpers.models.build import build_model
from helpers.recipe import Recipe
from helpers.runs.run import Run
from helpers.training import fit, make_loss, make_optimizer, make_schedule
from teaching import main as script
from tests.tiny import CPU


class Epochs:
    """The helpers' training batches as a loader that is passed over once per epoch."""

    def __init__(self, loader):
        self.loader, self.epoch = loader, -1

    def __iter__(self):
        self.epoch += 1
        return self.loader.epoch(self.epoch)


class Always:
    """The helpers' validation batches as a loader."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return self.loader.epoch(0)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return locate_photos("demo", folder, root=folder, demo_photos=16)


@pytest.fixture
def settings(monkeypatch):
    """Write settings into the script for one test."""
    return lambda **values: [monkeypatch.setattr(script, name, value) for name, value in values.items()]


def test_it_imports_nothing_of_the_project():
    tree = ast.parse(Path(script.__file__).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {name.name for node in imports if isinstance(node, ast.Import) for name in node.names}
    modules |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in modules} == {"os", "time", "torch", "torchvision"}


def test_its_transforms_are_those_of_the_published_recipe():
    photo = Image.effect_noise((320, 240), 60).convert("RGB")
    ours, theirs = train_transform(Recipe()), script.train_transform
    names = [type(step).__name__ for step in ours.transforms if not isinstance(step, v2.ToImage | v2.ToDtype)]
    assert [type(step).__name__ for step in theirs.transforms if type(step).__name__ != "ToTensor"] == names
    for a, b in zip(
        [step for step in ours.transforms if type(step).__name__ in names], theirs.transforms, strict=False
    ):
        for setting in ("degrees", "p", "brightness", "contrast", "saturation", "hue"):
            if hasattr(a, setting):
                assert torch.equal(torch.tensor(getattr(a, setting)), torch.tensor(getattr(b, setting))), setting
    assert theirs(photo).shape == ours(photo).shape == (3, 224, 224)
    torch.testing.assert_close(script.val_transform(photo), val_transform(Recipe())(photo), atol=1e-6, rtol=0)


def test_its_settings_are_those_of_the_published_recipe():
    for name, value in vars(Recipe()).items():
        if name != "weights" and hasattr(script, name.upper()):
            assert getattr(script, name.upper()) == value, name
    assert script.WEIGHTS == "DEFAULT"


def test_it_trains_as_the_helpers_do(demo, tmp_path, settings, capsys):
    small = {
        "image_size": 48,
        "val_resize": 56,
        "crop_size": 96,
        "epochs": 3,
        "lr_step": 2,
        "lr": 0.02,
        "weights": "none",
    }
    recipe = Recipe.from_preset("published", **small, dropout=0.0, precision="fp32")
    audit = audit_photos(find_photos(demo))
    loaders = make_loaders(audit, split_photos(audit, 0.8, 0), recipe, CPU)
    model = build_model(recipe, 5)
    start = copy.deepcopy(model.state_dict())

    run = Run(tmp_path, recipe, tmp_path, CPU, torch.float32)
    optimizer = make_optimizer(model, recipe)
    lines = []
    ours = fit(model, loaders, make_loss(), optimizer, make_schedule(optimizer, recipe), run, lines.append).history

    batches = {"train": Epochs(loaders.train), "val": Always(loaders.val)}
    settings(
        EPOCHS=3,
        LR_STEP=2,
        LR=0.02,
        DROPOUT=0.0,
        SAVE_DIR=str(tmp_path),
        load_photos=lambda folder: (batches, audit.photos.classes),
    )
    train = script.train_model

    def train_from_the_same_weights(network, *arguments):
        network.load_state_dict({name.replace("fc.1.", "fc."): value for name, value in start.items()})
        return train(network, *arguments)

    settings(WEIGHTS=None, train_model=train_from_the_same_weights)
    theirs = script.main()

    printed = capsys.readouterr().out
    number = re.compile(r"(?<=Loss: )[\d.]+|(?<=Acc: )[\d.]+|\d+m \d+s")
    assert number.sub("#", printed).split("\n\n")[:3] == number.sub("#", "\n".join(lines)).split("\n\n")[:3]
    assert re.findall(r"Rate: ([\d.]+)", printed) == [f"{rate:.6f}" for rate in ours.column("learning_rate")]
    assert [accuracy for phase, _, accuracy in theirs if phase == "val"] == pytest.approx(
        ours.column("val_accuracy"), abs=1.01 / len(loaders.val.labels)
    )
    assert theirs[-2][1] == pytest.approx(ours[-1].train_loss, rel=0.05)


def test_the_model_that_it_saves_is_as_accurate_for_the_helpers(demo, tmp_path, settings):
    settings(DATA_DIR=str(demo), SAVE_DIR=str(tmp_path), WEIGHTS=None, EPOCHS=2, LR=0.01, IMAGE_SIZE=224, WORKERS=0)
    small = [script.transforms.Resize((64, 64)), script.transforms.ToTensor(), script.val_transform.transforms[-1]]
    settings(train_transform=script.transforms.Compose(small), val_transform=script.transforms.Compose(small))
    seen = []
    load = script.load_photos
    settings(load_photos=lambda folder: seen.append(load(folder)) or seen[0])
    best = max(accuracy for phase, _, accuracy in script.main() if phase == "val")

    loader = seen[0][0]["val"]
    model = script.models.resnet18(num_classes=5)  # torchvision's own names
    model.load_state_dict(torch.load(tmp_path / "best_model.pth", weights_only=True))
    images, labels = map(torch.cat, zip(*loader, strict=True))

    class Batches:
        def __init__(self):
            self.labels, self.batch_size = labels, len(labels)

        def epoch(self, epoch=0, start=0):
            yield images, labels

    ours = predict(model, Batches(), torch.float32)
    assert abs(ours.correct - best * len(labels)) <= 1


def test_both_layouts_are_read_and_photos_stay_on_their_side(demo, settings):
    loaders, classes = script.load_photos(str(demo))
    train, val = loaders["train"].dataset, loaders["val"].dataset
    assert classes == ["daisy", "dandelion", "rose", "sunflower", "tulip"]
    assert len(train) == 64
    assert sorted(train.indices + val.indices) == list(range(80))
    assert torch.equal(val[0][0], val[0][0])
    assert script.load_photos(str(demo))[0]["train"].dataset.indices == train.indices
