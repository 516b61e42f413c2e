"""The recipe: the published values, the presets, and what is refused."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from helpers.common.errors import ParameterError
from helpers.recipe import PRESETS, Recipe

PARAMETERS = Path(__file__).parent.parent / "notebooks" / "parameters"

PUBLISHED = {
    "train_fraction": 0.8,
    "rotation": 30.0,
    "crop_size": 448,
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "hue": 0.1,
    "image_size": 224,
    "val_resize": 256,
    "backbone": "resnet18",
    "weights": "imagenet",
    "epochs": 25,
    "batch_size": 32,
    "lr": 1e-3,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "schedule": "step",
    "lr_step": 7,
    "lr_gamma": 0.1,
}


@pytest.mark.parametrize(("name", "value"), PUBLISHED.items())
def test_seed_preset_is_the_published_recipe(name, value):
    assert getattr(Recipe.from_preset("seed"), name) == value


def test_every_preset_is_valid_and_knows_its_name():
    for name in PRESETS:
        assert Recipe.from_preset(name).preset == name


@pytest.mark.parametrize("path", sorted(PARAMETERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_parameter_files_are_their_presets(path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert Recipe.from_preset(**values) == Recipe.from_preset(path.stem)


def test_a_preset_can_be_changed_and_none_keeps_it():
    recipe = Recipe.from_preset("seed", epochs=3, lr=None)
    assert (recipe.epochs, recipe.lr) == (3, 1e-3)


def test_the_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().lr = 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochz": 3}, "'epochz' is unknown: did you mean 'epochs'"),
        ({"epochs": "ten"}, "epochs = 'ten': expected a whole number, got str"),
        ({"epochs": 2.5}, "epochs = 2.5: expected a whole number"),
        ({"epochs": True}, "epochs = True: expected a whole number"),
        ({"epochs": 0}, "epochs = 0: must be at least 1"),
        ({"lr": -1}, "lr = -1: must be more than 0"),
        ({"lr": "1e-4"}, "in YAML a number with an exponent needs a point"),
        ({"lr": float("nan")}, "finite"),
        ({"lr": float("inf")}, "finite"),
        ({"nesterov": "false"}, "expected true or false, got str (papermill"),
        ({"train_fraction": 1}, "less than 1"),
        ({"schedule": "spiral"}, "choose one of step, cosine, onecycle"),
        ({"val_resize": 200}, "smaller than image_size"),
        ({"momentum": 0}, "nesterov"),
        ({"run": "../elsewhere"}, "plain folder name"),
        ({"dataset": ["a"]}, "expected text, got list"),
        ({"eval_image_size": 288}, "val_resize = 256 is smaller than eval_image_size = 288"),
        ({"eval_image_size": 8}, "must be at least 16, or 0"),
        ({"frozen_backbone": True, "augmentation": False, "cutmix": 1.0}, "cutmix needs photos"),
        ({"augmentation": False, "random_erasing": 0.5}, "random_erasing does nothing without augmentation"),
        (
            {"frozen_backbone": True, "augmentation": False, "teacher": "a-run"},
            "set frozen_backbone to False, or teacher",
        ),
        ({"frozen_backbone": True, "frozen_norms": True}, "frozen_norms does nothing with frozen_backbone"),
        ({"teacher_weight": 0.9}, "teacher_weight does nothing without a teacher"),
        ({"warmup_epochs": 2}, "warmup_epochs = 2 does nothing with schedule = 'step': set it to 0"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(ParameterError) as error:
        Recipe.from_preset("seed", **changes)
    assert message in str(error.value)


def test_momentum_is_needed_by_nesterov_alone():
    assert Recipe.from_preset("seed", optimizer="adam", momentum=0.0).momentum == 0


def test_an_unknown_preset_is_named():
    with pytest.raises(ParameterError, match="'sead' is unknown: did you mean 'seed'"):
        Recipe.from_preset("sead")


def test_notebook_parameters_are_annotated_names_and_what_papermill_injected():
    namespace = {
        "__annotations__": {"preset": str, "lr": float},
        "preset": "seed",
        "lr": None,
        "epochs": 3,
        "somebody_elses_variable": 5,
        "In": ["", "preset: str = 'seed'", "# Parameters\nepochs = 3\n", "somebody_elses_variable = 5"],
    }
    recipe = Recipe.from_notebook(namespace)
    assert (recipe.preset, recipe.lr, recipe.epochs) == ("seed", 1e-3, 3)


def test_a_misspelt_injected_parameter_is_refused():
    namespace = {
        "preset": "demo",
        "epochz": 3,
        "In": ["# Parameters\nepochz = 3\n"],
        "__annotations__": {"preset": str},
    }
    with pytest.raises(ParameterError, match="epochz"):
        Recipe.from_notebook(namespace)


def test_the_table_has_a_row_and_a_meaning_for_every_setting():
    rows = Recipe().table()
    assert [row[0] for row in rows] == [f.name for f in dataclasses.fields(Recipe)]
    assert all(meaning for _, _, meaning in rows)


def test_a_users_mistake_is_shown_without_a_traceback():
    assert ParameterError("lr = -1")._render_traceback_() == ["ParameterError: lr = -1"]
