"""What a student changes by hand is what the run says was trained."""

import json

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, MultiStepLR, ReduceLROnPlateau

from helpers.common import distributed
from helpers.common.errors import ParameterError, RunError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import Split, split_photos
from helpers.models.build import build_model
from helpers.recipe import PRESETS, Recipe
from helpers.runs.changes import read_changes
from helpers.runs.finished import read_partial_run
from helpers.training import assemble, fit, make_loss, make_optimizer, make_schedule
from helpers.training.changes import changes, describe_change, describe_optimizer
from tests.tiny import CPU, a_run, random_model, tiny_fit, tiny_loaders, tiny_model, tiny_recipe


def fit_with(folder, optimizer=None, criterion=None, schedule=None, change=None, log=lambda _: None):
    """Train with parts of one's own; ``change`` is called with model and loaders."""
    model, recipe = tiny_model(), tiny_recipe(epochs=1)
    loaders = tiny_loaders(recipe)
    if change:
        change(model, loaders)
    optimizer = optimizer(model.parameters()) if optimizer else make_optimizer(model, recipe)
    schedule = schedule(optimizer) if schedule else make_schedule(optimizer, recipe)
    run = a_run(folder, recipe)
    return fit(model, loaders, criterion or make_loss(), optimizer, schedule, run, log)


def test_balanced_weights_are_in_the_loss_and_are_no_change_by_hand(tmp_path, grow):
    audit = audit_photos(find_photos(grow({"rose": 9, "tulip": 3})))
    recipe = tiny_recipe(class_weights="balanced", backbone="squeezenet1_1", weights="none")
    training = assemble(a_run(tmp_path / "run", recipe), audit, Split(tuple(range(10)), (10, 11)))
    assert training.criterion.weight.tolist() == pytest.approx([10 / 18, 5])
    model, loaders, *rest = training
    assert changes(recipe, model, loaders, *rest) == {}


def test_balanced_weights_need_a_single_process(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(ParameterError, match="class_weights = 'balanced' needs a single process"):
        tiny_fit(tmp_path / "run", tiny_recipe(class_weights="balanced"))


class WeightedLoss(nn.Module):
    """A loss of one's own."""

    def __init__(self, gamma=2.0, weight=None):
        super().__init__()
        self.gamma, self.weight = gamma, weight

    def forward(self, logits, labels):
        return nn.functional.cross_entropy(logits, labels, self.weight)


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
        (
            {"criterion": WeightedLoss(gamma=3.0, weight=torch.tensor([1.0, 2.0]))},
            {"loss": "WeightedLoss(gamma=3, weight=[1.0, 2.0])"},
        ),
        ({"criterion": nn.functional.cross_entropy}, {"loss": "function cross_entropy"}),
        (
            {"schedule": lambda optimizer: MultiStepLR(optimizer, [3, 1], gamma=0.2)},
            {"schedule": "MultiStepLR(milestones=[1, 3], gamma=0.2)"},
        ),
        ({"change": lambda _, loaders: setattr(loaders.train, "batch_size", 4)}, {"batch_size": "4"}),
        (
            {"optimizer": lambda parameters: torch.optim.SGD([*parameters][-2:], lr=0.1)},
            {
                "freezing": "394 of 514 parameters are trained",
                "optimizer": "SGD(lr=0.1) over 394 parameters",
            },
        ),
        ({}, {}),
    ],
)
def test_an_edited_cell_is_recorded(tmp_path, edit, changes):
    lines = []
    fit_with(tmp_path, **edit, log=lines.append)
    assert read_changes(tmp_path) == changes
    assert sorted(line for line in lines if "by hand" in line) == sorted(
        f"changed by hand: {name} = {text}\n" for name, text in changes.items()
    )
    notes = read_partial_run(tmp_path).notes
    assert [each for each in notes if "changed by hand" in each] == [
        f"{tmp_path}: changed by hand: {name} = {text}" for name, text in changes.items()
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("schedule", [{"schedule": "onecycle"}, {"schedule": "cosine", "warmup_epochs": 1}, {}])
def test_a_plain_run_leaves_no_file(tmp_path, optimizer, schedule):
    """A schedule may set the optimizer's first learning rate: that is no change by hand."""
    tiny_fit(tmp_path, tiny_recipe(epochs=2, optimizer=optimizer, **schedule))
    assert not (tmp_path / "changes.json").exists()


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_is_a_change_by_hand(preset):
    recipe = Recipe.from_preset(preset, backbone="mobilenet_v2", weights="none")
    model, loaders = build_model(recipe, 2), tiny_loaders(recipe)
    optimizer = make_optimizer(model, recipe)
    parts = (make_loss(recipe.label_smoothing), optimizer, make_schedule(optimizer, recipe))
    assert changes(recipe, model, loaders, *parts) == {}


def test_a_change_that_was_undone_is_forgotten(tmp_path):
    fit_with(tmp_path, criterion=nn.CrossEntropyLoss(label_smoothing=0.1))
    for checkpoint in tmp_path.glob("*.ckpt"):
        checkpoint.unlink()
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    assert json.loads((tmp_path / "changes.json").read_text()) == {}


def test_a_finished_training_is_not_said_to_be_what_a_cell_was_changed_to_since(tmp_path):
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    with pytest.raises(
        RunError, match=r"begun with another loss .as in the recipe; now CrossEntropyLoss.*run all cells"
    ):
        fit_with(tmp_path, criterion=nn.CrossEntropyLoss(label_smoothing=0.1))
    assert read_changes(tmp_path) == {}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            {"optimizer": lambda _: torch.optim.SGD(tiny_model().parameters(), 0.1)},
            "optimizer was made for another mod",
        ),
        (
            {"schedule": lambda _: ExponentialLR(torch.optim.SGD(tiny_model().parameters(), 0.1), 0.9)},
            "schedule was made for another optimizer: run its cell again",
        ),
        ({"schedule": ReduceLROnPlateau}, "ReduceLROnPlateau needs metrics in each step: use another, such as StepLR"),
        ({"optimizer": torch.optim.LBFGS}, "LBFGS needs closure in each step: use another, such as SGD"),
        (
            {"change": lambda model, _: model.requires_grad_(False)},
            "every parameter is frozen: freeze before the head is replaced",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_cells_that_do_not_fit_together_are_refused_before_the_training(tmp_path, edit, message):
    with pytest.raises(ParameterError, match=message):
        fit_with(tmp_path, **edit)
    assert not (tmp_path / "history.csv").exists()


def test_layers_that_a_cell_froze_are_recorded():
    model, recipe = random_model("resnet18", 2), tiny_recipe()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(("layer4", "fc"))
    optimizer = make_optimizer(model, recipe)
    found = changes(recipe, model, tiny_loaders(recipe), make_loss(), optimizer, make_schedule(optimizer, recipe))
    assert found == {"freezing": "8,394,754 of 11,177,538 parameters are trained"}  # layer4: 8,393,728; 512 * 2 + 2


def test_a_recipe_changed_between_two_cells_is_recorded(grow):
    audit = audit_photos(find_photos(grow({"rose": 4, "tulip": 4})))
    opened = Recipe(image_size=32, val_resize=36, weights="none")
    later = opened.with_settings(rotation=0.0, batch_size=2)
    loaders = make_loaders(audit, split_photos(audit, 0.5, 0), later, CPU)
    model = random_model("resnet18", 2)
    optimizer = make_optimizer(model, opened)
    found = changes(opened, model, loaders, make_loss(), optimizer, make_schedule(optimizer, opened))
    assert found.keys() == {"train_transform", "batch_size"}
    assert found["train_transform"].startswith("Compose( RandomRotation(degrees=[-0.0, 0.0]")


def test_an_optimizer_over_the_head_alone_shows_in_its_size():
    model = tiny_model()
    assert describe_optimizer(torch.optim.SGD(model[-1].parameters(), 0.1)) == "SGD(lr=0.1) over 394 parameters"


def test_a_schedule_is_described_with_its_parts():
    optimizer = make_optimizer(tiny_model(), tiny_recipe(schedule="cosine", warmup_epochs=1))
    text = describe_change(make_schedule(optimizer, tiny_recipe(schedule="cosine", warmup_epochs=1)))
    assert text.startswith("SequentialLR(LinearLR(start_factor=0.5")
    assert "CosineAnnealingLR(T_max=2" in text
