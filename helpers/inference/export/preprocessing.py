"""Describe an exported model for use without this project: ``preprocessing.json``."""

from importlib.metadata import version
from typing import Any

from helpers.inference.predictor import check_run
from helpers.runs.finished import FinishedRun
from helpers.runs.saving import ModelFacts


def describe_model(run: FinishedRun) -> dict[str, Any]:
    """Describe input, preprocessing, output, origin and accuracy of a run's model.

    Raises RunError: the recipe is missing, or does not match ``best_model.json``.
    """
    recipe, facts = check_run(run)
    side = recipe.val_size
    return {
        "input": {
            "name": "images",
            "shape": ["batch", 3, side, side],
            "dtype": "float32",
            "layout": "NCHW: photo, colour, row from the top, column from the left",
            "colour_order": "RGB",
            "value_range": "about -2.2 to 2.7: scaled to [0, 1], minus the mean, divided by the std",
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
    """List the preprocessing steps in their order."""
    return {
        "orientation": "upright, according to the photo's EXIF tag",
        "colour": "sRGB, 8 bits, converted from the photo's profile if it has one; transparent pixels on white",
        "resize": {
            "shorter_side": resize,
            "longer_side": "int(shorter_side * longer / shorter)",
            "interpolation": "bilinear",
            "antialias": True,
            "on": "8-bit values, like Pillow's resize and torchvision's on a PIL image",
        },
        "crop": {"size": side, "place": "centre: left = round((width - size) / 2), halves to even; top likewise"},
        "scale": 1 / 255,
        "mean": mean,
        "std": std,
        "formula": "(value * scale - mean) / std, per colour",
    }


def _origin(run: FinishedRun, facts: ModelFacts) -> dict[str, Any]:
    """Describe the run and its accuracy. Accuracies on drawn photos are labelled as such."""
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
            "measured_on": f"validation, {about}; optimistic, since the best epoch was chosen on the same photos",
        },
        "precision_of_the_run": run.environment.get("precision", "unknown"),
        "data_fingerprint": run.environment.get("data_fingerprint", "unknown"),
        "git_commit": run.environment.get("git_commit", "unknown"),
        "notes": [note.replace(str(run.folder), r["run"]) for note in run.notes],
    }
