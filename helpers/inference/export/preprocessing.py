"""What somebody needs to use an exported model without this project: ``preprocessing.json``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from helpers.common.errors import RunError
from helpers.runs.finished import FinishedRun
from helpers.runs.saving import ModelFacts, read_model_facts


def describe(run: FinishedRun) -> dict[str, Any]:
    """Input, preprocessing, output, where the model comes from and how good it is; also kept inside the files.

    Raises:
        RunError: the recipe is missing, or it and ``best_model.json`` do not fit each other.
    """
    facts, recipe = read_model_facts(run.folder), run.recipe
    if recipe is None:
        raise RunError(f"{run.folder}: without a recipe nobody knows how photos are prepared: {'; '.join(run.notes)}")
    if changed := facts.differs_from(recipe):
        raise RunError(
            f"{run.folder}: {changed[0]} is {getattr(recipe, changed[0])!r} in recipe.json and "
            f"{getattr(facts, changed[0])!r} in best_model.json: export a run whose files belong together"
        )
    side = recipe.val_size
    return {
        "input": {
            "name": "images",
            "shape": ["batch", 3, side, side],
            "dtype": "float32",
            "layout": "NCHW: photo, colour, row from the top, column from the left",
            "colour_order": "RGB",
            "value_range": "about -2.2 to 2.7: [0, 1] after the scaling below, less the mean, by the std",
        },
        "preprocessing": _steps(recipe.val_resize, side, list(facts.mean), list(facts.std)),
        "output": {
            "name": "logits",
            "shape": ["batch", len(facts.classes)],
            "dtype": "float32",
            "probabilities": "softmax over the last axis",
            "classes": list(facts.classes),
        },
        "views": {"inside_the_model": True, "mirrored_too": recipe.test_flip},
        "model": _origin(run, facts),
        "versions": {name: version(name) for name in ("torch", "torchvision", "pillow")},
    }


def _steps(resize: int, side: int, mean: list[float], std: list[float]) -> dict[str, Any]:
    """The steps in their order."""
    return {
        "orientation": "upright, as the photo's EXIF tag says",
        "colour": "RGB, 8 bits; transparency laid over white",
        "resize": {
            "shorter_side": resize,
            "longer_side": "int(shorter_side * longer / shorter)",
            "interpolation": "bilinear",
            "antialias": True,
            "on": "8-bit values, as Pillow's resize and torchvision's on a PIL image do it",
        },
        "crop": {"size": side, "place": "central: left = round((width - size) / 2), halves to the even; top likewise"},
        "scale": 1 / 255,
        "mean": mean,
        "std": std,
        "formula": "(value * scale - mean) / std, per colour",
    }


def _origin(run: FinishedRun, facts: ModelFacts) -> dict[str, Any]:
    """The run and its accuracy. Demo results are never passed off as flower results."""
    r = run.results
    about = "drawings by this project: says nothing about real flowers" if r["demo"] else "photos of its own data set"
    return {
        "run": r["run"],
        "demo": r["demo"],
        "backbone": facts.backbone,
        "accuracy": {
            "value": r["best_val_accuracy"],
            "correct": r.get("best_val_correct"),
            "photos": r["val_photos"],
            "interval_95": [r["interval_low"], r["interval_high"]],
            "interval": "Wilson's, for one split",
            "mean_of_last_five_epochs": r.get("last_five_mean"),
            "measured_on": f"validation, {about}; its best epoch was chosen on the same photos, which flatters",
        },
        "precision_of_the_run": run.environment.get("precision", "unknown"),
        "data_fingerprint": run.environment.get("data_fingerprint", "unknown"),
        "git_commit": run.environment.get("git_commit", "unknown"),
        "notes": [note.replace(str(run.folder), r["run"]) for note in run.notes],
    }
