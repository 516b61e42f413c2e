"""One comparison of tiny trainings, run once for all tests of this folder; who changes its files takes a copy."""

import json
import shutil
from types import SimpleNamespace

import pytest

from helpers.comparison import cross_validation, folds
from helpers.comparison.folds import Protocol
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.recipe import Recipe
from tests.conftest import ROOT, colourful

INFERENCE = {"test_flip": True, "eval_image_size": 48, "val_resize": 48}


def small(**changes):
    """A recipe that takes a second."""
    settings = {"backbone": "squeezenet1_1", "weights": "none", "image_size": 32, "crop_size": 40, "val_resize": 32}
    return Recipe(**settings, epochs=2, batch_size=8).with_settings(**changes)


RECIPES = {
    "published": small(),
    "other": small(lr=0.05),
    "flip": small(**INFERENCE),
    "pupil": small(teacher="published", teacher_weight=1.0),
}


@pytest.fixture(scope="session")
def protocol(tmp_path_factory):
    """27 photos of three classes and a copy of one, in two folds."""
    root = tmp_path_factory.mktemp("photos")
    for number, (name, count) in enumerate({"rose": 12, "tulip": 9, "daisy": 6}.items()):
        (root / name).mkdir()
        for i in range(count):
            colourful((60, 40), 1000 * number + i).save(root / name / f"{i:03}.jpg")
    colourful((60, 40), 1).save(root / "tulip" / "copy.jpg")  # what rose/001.jpg shows
    return Protocol(audit_photos(find_photos(root)), ROOT, folds=2)


@pytest.fixture(scope="session")
def trained(protocol, tmp_path_factory):
    """The finished comparison, and what was there after its first fold, before anybody needed a model."""
    folder = tmp_path_factory.mktemp("comparison")
    first = Protocol(protocol.audit, ROOT, folds=2, only=(0,))
    cross_validation.compare({"published": RECIPES["published"]}, first, folder)
    before = (folder / "published" / "fold-0-seed-0" / "predictions.csv").read_text()
    models = list(folder.glob("**/best_model.pth"))
    ran, fit = [], folds.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "fit", lambda *args: (ran.append(args[5].folder.parent.name), fit(*args))[1])
        rows, results = cross_validation.compare(RECIPES, protocol, folder)
    return SimpleNamespace(folder=folder, rows=rows, results=results, ran=ran, before=before, models_before=models)


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of the finished comparison's folder, to be changed."""
    return shutil.copytree(trained.folder, tmp_path / "copied")


@pytest.fixture
def no_training(monkeypatch):
    """Whoever trains fails."""
    monkeypatch.setattr(folds, "fit", None)


def facts_of(folder):
    return json.loads((folder / "fold.json").read_text(encoding="utf-8"))
