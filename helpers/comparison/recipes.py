"""The recipes compared: the published one, single changes of it, the presets, best without each of its parts."""

from pathlib import Path
from typing import Any

from helpers.common.errors import ParameterError
from helpers.comparison.folds import INFERENCE_SETTINGS
from helpers.comparison.results import finished_trials
from helpers.models.build import ends_in_head, has_batch_norm
from helpers.recipe import PRESETS, Recipe

UNTOLD = Recipe.names("name", "place", "data", "machine", "network")  # the same in all rows, or columns of their own

# One change at a time, away from the published recipe. What is in the preset best, and what was tried besides.
CHANGES: dict[str, dict[str, Any]] = {
    "random resized crops": {"crop": "random_resized"},
    "no augmentation": {"augmentation": False},
    "no vertical flips": {"vertical_flip": 0.0},
    "no rotation": {"rotation": 0.0},
    "less hue jitter": {"hue": 0.03},
    "random erasing": {"random_erasing": 0.25},
    "TrivialAugment": {"auto_augment": "trivial"},
    "AutoAugment": {"auto_augment": "imagenet"},
    "MixUp": {"mixup": 0.2},
    "CutMix": {"cutmix": 1.0},
    "label smoothing": {"label_smoothing": 0.1},
    "less dropout": {"dropout": 0.2},
    "linear probe first": {"linear_probe_first": True},
    "10x head learning rate": {"head_lr": 1e-2},
    "frozen batch-norm statistics": {"frozen_norms": True},
    "first stages frozen": {"freeze_fraction": 0.6},
    "higher learning rate": {"lr": 3e-3},
    "gradient clipping": {"clip_norm": 5.0},
    "cosine": {"schedule": "cosine", "warmup_epochs": 1},
    "one cycle": {"schedule": "onecycle"},
    "Adam": {"optimizer": "adam", "lr": 1e-4},
    "AdamW": {"optimizer": "adamw", "lr": 1e-4, "weight_decay": 0.05},
    "RMSprop": {"optimizer": "rmsprop", "lr": 1e-5},
    "weight EMA": {"ema_decay": 0.99},
    "flip TTA": {"test_flip": True},
    "larger test images": {"eval_image_size": 256},
    "distillation from fast": {"teacher": "fast"},  # a recipe's name: each fold learns from the same fold of that one
}


def recipes_to_compare(published: Recipe, search: dict[str, Any] | None = None) -> dict[str, Recipe]:
    """Return the recipes by name: published, the presets, each change alone, and best without each of its changes.

    Args:
        search: of ``results.read_trials``; its winner is compared as well, as ``searched``.
    """
    names = ("dataset", "backbone", "weights", "work_dir", "device", "precision")
    shared = {name: getattr(published, name) for name in names}
    changes = dict(CHANGES)
    # What has no effect would be compared with itself.
    if not has_batch_norm(published.backbone):
        del changes["frozen batch-norm statistics"]
        shared["frozen_norms"] = False
    if not ends_in_head(published.backbone):
        del changes["linear probe first"]
        shared["linear_probe_first"] = False
    found = {"published": published}
    found |= {name: Recipe.from_preset(name, **shared) for name in PRESETS if name not in ("published", "demo")}
    if search:
        found["searched"] = winner(search, **shared)
    best = found["best"]
    found |= {f"published + {name}": published.with_settings(**change) for name, change in changes.items()}
    return found | {
        f"best - {name}": best.with_settings(**back) for name, back in ablation_settings(best, published).items()
    }


def ablation_settings(best: Recipe, published: Recipe) -> dict[str, dict[str, Any]]:
    """Return the settings that take each single change away from ``best``."""
    return {
        name: {setting: getattr(published, setting) for setting in change}
        for name, change in CHANGES.items()
        if all(getattr(best, setting) == value for setting, value in change.items())
    }


def winner(search: dict[str, Any], **settings: Any) -> Recipe:
    """Return the recipe of a search's most accurate trial, at full cost.

    Args:
        settings: that are not the search's own, such as dataset and backbone.

    Raises ParameterError: no trial is finished, or the best one used a setting that there is no longer.
    """
    if not (trials := finished_trials(search)):
        raise ParameterError("no trial of the search is finished: raise --trials")
    return Recipe.from_preset(search["preset"], **{**search["changed"], **FIXED, **trials[0]["settings"], **settings})


# Of all trials of a search: a schedule that ends low whatever lr it starts from, and a crop on which crop_scale has an
# effect, so that no trial is told apart from another by a setting that has none.
FIXED = {"schedule": "cosine", "crop": "random_resized"}


def shares_training_with(recipes: dict[str, Recipe]) -> dict[str, str]:
    """Return the recipes that are trained as an earlier one is, by name: a finished model is only applied otherwise."""
    first, found = {}, {}
    for name, recipe in recipes.items():
        # Without augmentation a training photo is prepared as a validation photo is.
        ignored = ("preset", *(INFERENCE_SETTINGS if recipe.augmentation else ("test_flip",)))
        training = tuple(value for key, value in recipe.to_dict().items() if key not in ignored)
        if first.setdefault(training, name) != name:
            found[name] = first[training]
    return found


def scaled_down(recipe: Recipe, scale: float, epochs: int) -> Recipe:
    """Return the recipe at a fraction of the cost: images of ``scale`` the size, and at most ``epochs``.

    The network sees the same parts of the photos: ``crop_size`` is in the photo's own pixels and stays. A recipe of
    fewer epochs keeps its own; the steps of a longer one's schedule come earlier in proportion.
    """
    share = min(1, epochs / recipe.epochs)
    if scale == 1 and share == 1:
        return recipe
    cheaper = {name: round(getattr(recipe, name) * scale) for name in Recipe.names("size")}
    cheaper |= {name: max(1, round(getattr(recipe, name) * share)) for name in Recipe.names("length")}
    if recipe.schedule != "step":
        del cheaper["lr_step"]
    return recipe.with_settings(**cheaper)


def read_parameters(namespace: dict[str, Any], root: Path) -> tuple[Recipe, Path, Path | None]:
    """Return the live recipe, the folder of results and that of their photos, from the second notebook's ``globals()``.

    The recipe is scaled to ``image_size``, what the network sees of the photos stays.

    Raises ParameterError: a name is unknown, or a value cannot be used.
    """
    own = ("results", "photos", "folds", "image_size")  # no settings of a recipe, or not as they are
    recipe = Recipe.from_notebook({name: value for name, value in namespace.items() if name not in own})
    size = recipe.with_settings(image_size=namespace["image_size"], val_resize=4096).image_size  # checks it
    for name in ("results", "photos"):
        if namespace[name] and not (root / namespace[name]).is_dir():
            raise ParameterError(f"{name} = {namespace[name]!r}: {root / namespace[name]} is not a folder")
    photos = root / namespace["photos"] if namespace["photos"] else None
    scaled = scaled_down(recipe, size / recipe.image_size, recipe.epochs)
    return scaled, root / (namespace["results"] or "report/results"), photos
