"""What a student changes by hand is what the run says was trained."""

import json

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR

from helpers.runs.changes import read_changes
from helpers.runs.finished import read_partial_run
from helpers.training import fit, make_loss, make_optimizer, make_schedule
from helpers.training.changes import describe_change, describe_optimizer
from tests.tiny import a_run, tiny_fit, tiny_loaders, tiny_model, tiny_recipe


def fit_with(folder, optimizer=None, criterion=None, schedule=None):
    model, recipe = tiny_model(), tiny_recipe(epochs=1)
    optimizer = optimizer(model.parameters()) if optimizer else make_optimizer(model, recipe)
    schedule = schedule(optimizer) if schedule else make_schedule(optimizer, recipe)
    run = a_run(folder, recipe)
    return fit(model, tiny_loaders(recipe), criterion or make_loss(), optimizer, schedule, run, lambda _: None)


@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        (
            {"optimizer": lambda parameters: torch.optim.Adam(parameters, lr=3e-4)},
            {"optimizer": "Adam(lr=0.0003) over 514 parameters"},
        ),
        ({"criterion": nn.CrossEntropyLoss(label_smoothing=0.1)}, {"loss": "CrossEntropyLoss(label_smoothing=0.1)"}),
        ({"schedule": lambda optimizer: ExponentialLR(optimizer, 0.9)}, {"schedule": "ExponentialLR(gamma=0.9)"}),
        (
            {"criterion": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))},
            {"loss": "CrossEntropyLoss(weight=[1.0, 2.0])"},
        ),
        ({"criterion": nn.MultiMarginLoss()}, {"loss": "MultiMarginLoss()"}),
        ({}, {}),
    ],
)
def test_an_edited_cell_is_recorded(tmp_path, edit, changes):
    fit_with(tmp_path, **edit)
    assert read_changes(tmp_path) == changes
    notes = read_partial_run(tmp_path).notes
    assert [each for each in notes if "changed by hand" in each] == [
        f"{tmp_path}: changed by hand: {name} = {text}" for name, text in changes.items()
    ]


def test_a_plain_run_leaves_no_file(tmp_path):
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    assert not (tmp_path / "changes.json").exists()


def test_a_change_that_was_undone_is_forgotten(tmp_path):
    fit_with(tmp_path, criterion=nn.CrossEntropyLoss(label_smoothing=0.1))
    (tmp_path / "last.ckpt").unlink()
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    assert json.loads((tmp_path / "changes.json").read_text()) == {}


def test_an_optimizer_over_the_head_alone_shows_in_its_size():
    model = tiny_model()
    assert describe_optimizer(torch.optim.SGD(model[-1].parameters(), 0.1)) == "SGD(lr=0.1) over 394 parameters"


def test_a_schedule_is_described_with_its_parts():
    optimizer = make_optimizer(tiny_model(), tiny_recipe(schedule="cosine", warmup_epochs=1))
    text = describe_change(make_schedule(optimizer, tiny_recipe(schedule="cosine", warmup_epochs=1)))
    assert text.startswith("SequentialLR(LinearLR(start_factor=0.5")
    assert "CosineAnnealingLR(T_max=2" in text
