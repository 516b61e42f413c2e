"""The recipes that are compared: the seed recipe, single changes of it, the presets, and best without its parts."""

from __future__ import annotations

from typing import Any

from helpers.comparison import search_space
from helpers.comparison.folds import INFERENCE_SETTINGS
from helpers.models.build import ends_in_head, has_batch_norm
from helpers.recipe import PRESETS, Recipe

COST = Recipe.names("size", "length")  # follow from the cost of a comparison, not from the row
UNTOLD = Recipe.names("name", "place", "data", "machine", "network")  # the same in all rows, or columns of their own


# One change at a time, away from the seed recipe. What is in the preset best, and what was tried besides.
CHANGES: dict[str, dict[str, Any]] = {
    "random resized crops": {"crop": "random_resized"},
    "no augmentation": {"augmentation": False},
    "no vertical flips": {"vertical_flip": 0.0},
    "no rotation": {"rotation": 0.0},
    "less hue jitter": {"hue": 0.03},
    "random erasing": {"random_erasing": 0.25},
    "TrivialAugment": {"auto_augment": "trivial"},
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
    "distillation from fast": {"teacher": "fast"},  # a row's name: the same fold of that row
}


def recipes_to_compare(seed: Recipe, search: dict[str, Any] | None = None) -> dict[str, Recipe]:
    """The recipes by name: seed, the presets, each change alone, and best without each of its changes.

    Args:
        search: of ``searched.read``; its winner is a row as well.
    """
    places = {
        name: getattr(seed, name) for name in ("dataset", "backbone", "weights", "work_dir", "device", "precision")
    }
    table = {"seed": seed}
    changes = dict(CHANGES)
    # What does nothing would be compared with itself.
    if not has_batch_norm(seed.backbone):
        del changes["frozen batch-norm statistics"]
        places["frozen_norms"] = False
    if not ends_in_head(seed.backbone):
        del changes["linear probe first"]
        places["linear_probe_first"] = False
    table |= {name: Recipe.from_preset(name, **places) for name in PRESETS if name not in ("seed", "demo")}
    if search:
        table["searched"] = search_space.winner(search, **places)
    table |= {f"seed + {name}": seed.with_settings(**change) for name, change in changes.items()}
    if "best" in PRESETS:
        table |= {
            f"best - {name}": table["best"].with_settings(**back)
            for name, back in ablations(table["best"], seed).items()
        }
    return table


def ablations(best: Recipe, seed: Recipe) -> dict[str, dict[str, Any]]:
    """What has to be set back to take each single change away from ``best``."""
    return {
        name: {setting: getattr(seed, setting) for setting in change}
        for name, change in CHANGES.items()
        if all(getattr(best, setting) == value for setting, value in change.items())
    }


def shares_training_with(table: dict[str, Recipe]) -> dict[str, str]:
    """Rows whose training is that of an earlier row, by name: they differ only in how a finished model is asked."""
    first: dict[tuple, str] = {}
    found = {}
    for name, recipe in table.items():
        # Without augmentation a training photo is prepared as a validation photo is.
        asked = INFERENCE_SETTINGS if recipe.augmentation else ("test_flip",)
        training = tuple(value for key, value in recipe.to_dict().items() if key not in (*asked, "preset"))
        if first.setdefault(training, name) != name:
            found[name] = first[training]
    return found


def scaled_down(recipe: Recipe, scale: float, epochs: int) -> Recipe:
    """The same recipe at a fraction of the cost: pictures of ``scale`` the size, and no more than ``epochs``.

    The network sees the same parts of the photos, smaller: ``crop_size`` is in the photo's own pixels and stays. What
    has fewer epochs of its own keeps them; the steps of a longer one's schedule come earlier in proportion.
    """
    share = min(1, epochs / recipe.epochs)
    if scale == 1 and share == 1:
        return recipe
    cheaper = {name: round(getattr(recipe, name) * scale) for name in Recipe.names("size")}
    cheaper |= {name: max(1, round(getattr(recipe, name) * share)) for name in Recipe.names("length")}
    if recipe.schedule != "step":
        del cheaper["lr_step"]
    return recipe.with_settings(**cheaper)
