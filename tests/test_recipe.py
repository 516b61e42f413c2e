"""The recipe: the published values, the presets, and what is refused."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from helpers.common.errors import ParameterError
from helpers.recipe import CONDITIONS, DEFAULTS, PRESETS, Recipe

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
def test_the_published_preset_is_the_published_recipe(name, value):
    assert getattr(Recipe.from_preset("published"), name) == value


def test_every_preset_is_valid_and_knows_its_name():
    for name in PRESETS:
        assert Recipe.from_preset(name).preset == name


@pytest.mark.parametrize("path", sorted(PARAMETERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_parameter_files_are_their_presets(path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert Recipe.from_preset(**values) == Recipe.from_preset(path.stem)


def test_a_preset_can_be_changed_and_none_keeps_it():
    recipe = Recipe.from_preset("published", epochs=3, lr=None)
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
        ({"epochs": 10**12}, "epochs = 1000000000000: must be at most 10000"),
        ({"crop_size": 10**6}, "crop_size = 1000000: must be at most 8192"),
        ({"demo_photos": 10**9, "dataset": "demo"}, "demo_photos = 1000000000: must be at most 100000"),
        ({"batch_size": 10**9}, "must be at most 65536"),
        *(
            ({name: "x" * 300}, f"{name} = '{20 * 'x'}…' is too long")
            for name in ("run", "work_dir", "dataset", "weights")
        ),
        *(
            ({name: "a/" + "é" * 150}, "…' is too long: a name has at most 255 bytes")
            for name in ("weights", "teacher")
        ),
        ({"run": "x" * 250}, "is too long: a name has at most 240 bytes"),
        ({"weights": "a/" * 3000}, "is too long"),
        ({"dataset": "a\x1b[2J"}, "dataset = 'a\\x1b[2J': control characters"),
        ({"teacher": "\ud800"}, "teacher = '\\ud800': control characters, or not UTF-8"),
        ({"work_dir": "a\0b"}, "control characters"),
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
        ({"teacher": "a-run", "teacher_weight": 0}, "teacher_weight = 0: must be more than 0"),
        ({"pipeline": "resident", "auto_augment": "trivial"}, "takes photos one by one: use pipeline = stream"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(ParameterError) as error:
        Recipe.from_preset("published", **changes)
    assert message in str(error.value)


IDLE = [
    # settings of which the first one has no effect, and what it needs
    ({"demo_photos": 50}, "dataset = 'demo'"),
    *(({name: 0.05, "augmentation": False}, "augmentation = True") for name in ("rotation", "brightness", "contrast")),
    *(({name: 0.05, "augmentation": False}, "augmentation = True") for name in ("saturation", "hue")),
    ({"horizontal_flip": 0.0, "augmentation": False}, "augmentation = True"),
    ({"vertical_flip": 0.0, "augmentation": False}, "augmentation = True"),
    ({"crop": "random_resized", "augmentation": False}, "augmentation = True"),
    ({"crop_size": 300, "augmentation": False}, "augmentation = True"),
    ({"auto_augment": "trivial", "augmentation": False}, "augmentation = True"),
    ({"random_erasing": 0.5, "augmentation": False}, "augmentation = True"),
    ({"crop_size": 300, "crop": "random_resized"}, "crop = 'center'"),
    ({"crop_scale": 0.5}, "crop = 'random_resized'"),
    ({"mixup": 0.2, "augmentation": False, "frozen_backbone": True}, "augmentation = True or frozen_backbone = False"),
    ({"cutmix": 1.0, "augmentation": False, "frozen_backbone": True}, "augmentation = True or frozen_backbone = False"),
    ({"teacher": "a", "augmentation": False, "frozen_backbone": True}, "augmentation = True or frozen_backbone"),
    ({"teacher_weight": 0.9}, "a teacher"),
    ({"teacher_temperature": 4.0}, "a teacher"),
    ({"freeze_fraction": 0.5, "frozen_backbone": True}, "frozen_backbone = False"),
    ({"linear_probe_first": True, "frozen_backbone": True}, "frozen_backbone = False"),
    ({"frozen_norms": True, "frozen_backbone": True}, "frozen_backbone = False"),
    ({"frozen_norms": True, "freeze_fraction": 1.0}, "freeze_fraction < 1"),
    ({"lr": 0.1, "head_lr": 0.2, "frozen_backbone": True}, "head_lr = 0 or frozen_backbone = False"),
    ({"nesterov": False, "optimizer": "adam"}, "optimizer = 'sgd'"),
    ({"lr_step": 3, "schedule": "cosine"}, "schedule = 'step'"),
    ({"lr_gamma": 0.5, "schedule": "onecycle"}, "schedule = 'step'"),
    ({"warmup_epochs": 2}, "schedule = 'cosine'"),
    ({"workers": 4, "pipeline": "resident"}, "pipeline = 'auto' or 'stream'"),
    ({"memory_limit_gb": 1.0, "pipeline": "stream"}, "pipeline = 'auto'"),
    ({"memory_limit_gb": 1.0, "auto_augment": "trivial"}, "auto_augment = 'none'"),
]


@pytest.mark.parametrize(("changes", "need"), IDLE, ids=lambda each: next(iter(each)) if isinstance(each, dict) else "")
def test_a_setting_without_effect_is_refused_with_the_remedy(changes, need):
    name, value = next(iter(changes.items()))
    with pytest.raises(ParameterError) as error:
        Recipe.from_preset("published", **changes)
    assert f"{name} = {value!r} has no effect without {need}" in str(error.value)
    assert f"set that, or set {name} back to {DEFAULTS[name]!r}" in str(error.value)
    Recipe.from_preset("published", **{other: value for other, value in changes.items() if other != name})


def test_every_condition_is_tested_and_names_settings():
    tested = {(next(iter(changes)), need) for changes, need in IDLE}
    for condition in CONDITIONS:
        for name in condition.settings.split():
            assert any(name == first and condition.need.startswith(need) for first, need in tested), name


@pytest.mark.parametrize(
    ("preset", "changes", "back"),
    [
        ("best", {"crop": "center"}, {"crop_scale"}),
        ("best", {"frozen_backbone": True}, {"freeze_fraction", "frozen_norms", "linear_probe_first"}),
        ("best", {"schedule": "step"}, {"warmup_epochs"}),
        ("demo", {"augmentation": False}, {"crop_size"}),
    ],
)
def test_what_a_preset_sets_goes_back_where_it_would_have_no_effect(preset, changes, back):
    recipe = Recipe.from_preset(preset, **changes)
    differing = {name for name, value in recipe.to_dict().items() if value != getattr(Recipe.from_preset(preset), name)}
    assert differing == back | changes.keys()
    assert all(getattr(recipe, name) == DEFAULTS[name] for name in back)


def test_a_setting_that_needs_one_that_goes_back_goes_back_as_well():
    recipe = Recipe(teacher="a-run", teacher_weight=0.9).with_settings(frozen_backbone=True, augmentation=False)
    assert (recipe.teacher, recipe.teacher_weight) == ("", 0.5)


def test_every_setting_has_a_known_role_and_each_role_is_used():
    roles = [f.metadata["roles"] for f in dataclasses.fields(Recipe)]
    explained = set(re.findall(r"``(\w+)``", Recipe.names.__doc__))
    assert {role for each in roles for role in each} == explained
    assert Recipe.names("place") == ("checkpoint_steps", "work_dir", "run", "resume")
    assert Recipe.names("inference") == ("val_resize", "eval_image_size", "test_flip")
    assert Recipe.names("size", "length") == ("image_size", "val_resize", "eval_image_size", "epochs", "lr_step")
    assert Recipe.names() == tuple(DEFAULTS)


def test_a_recipe_is_compared_with_one_that_was_stored_before_a_setting_existed():
    recipe = Recipe.from_preset("published", lr=0.1)
    stored = recipe.to_dict()
    del stored["clip_norm"]
    assert recipe.changed_since(stored) == []
    assert recipe.changed_since(stored | {"lr": 0.2, "run": "b"}, Recipe.names("place")) == ["lr"]
    assert recipe.with_settings(clip_norm=5.0).changed_since(stored) == ["clip_norm"]
    assert recipe.changed_since(stored | {"l2_sp": 0.1}) == ["l2_sp"]  # what it did is not known here


def test_the_constructor_knows_the_presets():
    with pytest.raises(ParameterError, match="preset 'nonsense' is unknown: known are published, fast"):
        Recipe(preset="nonsense")


def test_momentum_is_needed_by_nesterov_alone():
    assert Recipe.from_preset("published", optimizer="adam", momentum=0.0).momentum == 0


def test_an_unknown_preset_is_named():
    with pytest.raises(ParameterError, match="'publised' is unknown: did you mean 'published'"):
        Recipe.from_preset("publised")


def test_the_former_name_of_a_preset_is_an_alias():
    assert Recipe.from_preset("seed") == Recipe.from_preset("published") == Recipe(preset="seed")


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
    assert (recipe.preset, recipe.lr, recipe.epochs) == ("published", 1e-3, 3)


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


def test_the_sizes_of_validation_follow_the_image_size():
    recipe = Recipe.from_preset("best", image_size=112)
    assert (recipe.val_resize, recipe.val_size) == (128, 128)
    assert Recipe.from_preset("published", image_size=128).val_resize == 146
    assert Recipe.from_preset("published", image_size=448).val_resize == 512
    assert Recipe.from_preset("published", image_size=4000).val_resize == 4096  # its limit, which nobody chose
    assert Recipe.from_preset("published", image_size=128).crop_size == 448  # of the photo's own pixels
    assert Recipe.from_preset("published", image_size=128, val_resize=200).val_resize == 200
    with pytest.raises(ParameterError, match="image_size = 'big': expected a whole number"):
        Recipe.from_preset("published", image_size="big")
