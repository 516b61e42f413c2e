"""A run used again from its folder alone."""

import json

import pytest
import torch

from helpers.common import files, tensors
from helpers.common.errors import RunError
from helpers.runs import saving
from tests.tiny import random_model


@pytest.fixture
def folder(tmp_path):
    model = random_model("squeezenet1_1", 3, 0.5, seed=4)
    tensors.save_tensors(tmp_path / "best_model.pth", model.state_dict())
    facts = {
        "backbone": "squeezenet1_1",
        "classes": ["a", "b", "c"],
        "dropout": 0.5,
        "image_size": 64,
        "val_resize": 70,
    }
    files.write_json(
        tmp_path / "best_model.json", facts | {"mean": [0, 0, 0], "std": [1, 1, 1], "epoch": 0, "val_accuracy": 0.5}
    )
    return tmp_path


def test_the_model_comes_back_with_its_weights_in_evaluation_mode(folder):
    model = saving.load_best_model(folder)
    original = random_model("squeezenet1_1", 3, 0.5, seed=4)
    assert not model.training
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), original.parameters(), strict=True))


def test_a_run_without_a_model_and_a_damaged_one_are_named(folder, tmp_path):
    with pytest.raises(RunError, match="holds no saved model"):
        saving.load_best_model(tmp_path / "elsewhere")
    (folder / "best_model.json").write_text(json.dumps({})[:1])
    with pytest.raises(RunError, match=r"best_model\.json is damaged"):
        saving.load_best_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b"]}, "do not fit"),
        ({"backbone": "resnet19"}, "do not fit .*'resnet19' is unknown"),
        ({"dropout": "much"}, "do not fit"),
        ({"dropout": 7}, "do not fit"),
        ({"classes": None}, "damaged"),
    ],
)
def test_files_that_do_not_fit_each_other_are_named(folder, change, message):
    facts = json.loads((folder / "best_model.json").read_text())
    files.write_json(folder / "best_model.json", facts | change)
    with pytest.raises(RunError, match=message):
        saving.load_best_model(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", "null", '{"backbone": "resnet18"}'])
def test_facts_that_are_none_are_named(folder, text):
    (folder / "best_model.json").write_text(text)
    with pytest.raises(RunError, match=r"best_model\.json is damaged"):
        saving.read_model_facts(folder)
