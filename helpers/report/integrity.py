"""Whether a run's numbers may be reported: complete, unchanged since it wrote them, in agreement with each other."""

from __future__ import annotations

import math
from typing import Any

import torch

from helpers.common.errors import RunError
from helpers.evaluation.metrics import confusion_matrix
from helpers.evaluation.predictions import StoredPredictions
from helpers.evaluation.statistics import wilson_interval
from helpers.report.markup import Pieces, written
from helpers.runs.finished import FinishedRun
from helpers.runs.results import CHECKSUMS, verify_checksums

CHANGED = "CHANGED AFTER THE RUN: these numbers are not the run's"


NUMBERS = (
    *("photos", "train_photos", "val_photos", "epochs", "training_seconds"),
    *("best_epoch", "best_val_accuracy", "best_val_correct", "interval_low", "interval_high", "best_flatters_by"),
    *("last_val_accuracy", "last_val_loss", "last_train_accuracy", "last_five_mean", "last_five_spread"),
    "generalization_gap",
)


CALIBRATION = ("ece", "ece_by_chance_low", "ece_by_chance_high", "mean_confidence", "loss", "loss_after", "temperature")


def check_integrity(run: FinishedRun, force: bool) -> tuple[list[str], Pieces]:
    """What every page has to say, and a footnote, of a run whose numbers may not be its own.

    Raises:
        RunError: they are not, and nobody wants them force; or what they need is missing.
    """
    _check(run)
    sealed = CHECKSUMS in run.results
    changes = (verify_checksums(run.folder, run.results) if sealed else []) + disagreements(run)
    if changes and not force:
        raise RunError(
            f"{changes[0]}. Copy the folder anew from where it ran, or run again; --force makes a report that says on "
            "every page that it is not the run's"
        )
    if sealed:
        return [CHANGED] * bool(changes), []
    note = "The run was made by an earlier version, which left no checksums: that nothing was edited is not proved. "
    if changes:
        note += "They do not agree with each other."
    else:
        note += "What can be computed again from history.csv and predictions.csv agrees with results.json."
    return [CHANGED] * bool(changes), written("{note}", note=note)


def _check(run: FinishedRun) -> None:
    """Refuse what the report cannot do without.

    Raises:
        RunError: a file or a number is missing or damaged; it is named.
    """
    if run.recipe is None or not run.history:
        wanted = "recipe.json" if run.recipe is None else "history.csv"
        raise RunError(
            next((note for note in run.notes if wanted in note), f"{run.folder / wanted} is empty: run again")
        )
    r, path = run.results, run.folder / "results.json"
    wrong = [name for name in NUMBERS if not _is_number(r.get(name))]
    n = len(r["classes"]) if isinstance(r["classes"], list) else 0
    matrix, scores, seconds = r.get("confusion"), r.get("class_scores"), r.get("epoch_seconds")
    fitting = {
        "classes": n >= 2 and all(isinstance(name, str) for name in r["classes"]),
        "confusion": _is_list(matrix, n) and all(_is_list(row, n) and all(map(_is_number, row)) for row in matrix),
        "class_scores": _is_list(scores, n) and all(_is_score(score) for score in scores),
        "calibration": "calibration" not in r or _is_calibration(r["calibration"]),
        "class_intervals": "class_intervals" not in r or _are_intervals(r["class_intervals"], n),
        "epoch_seconds": isinstance(seconds, list) and all(map(_is_number, seconds)),
        **{name: isinstance(r.get(name), str) for name in ("run", "dataset", "backbone", "weights")},
        "demo": isinstance(r["demo"], bool),
        "val_photos": not wrong and r["val_photos"] > 0,
    }
    wrong += [name for name, fits in fitting.items() if not fits]
    if wrong:
        raise RunError(f"{path} is damaged or of another version: {wrong[0]!r} is missing or not what it should be")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _is_score(score: Any) -> bool:
    if not isinstance(score, dict) or not isinstance(score.get("name"), str) or not _is_number(score.get("photos")):
        return False
    return all(score.get(name, "") is None or _is_number(score.get(name)) for name in ("precision", "recall", "f1"))


def _is_calibration(value: Any) -> bool:
    bounded = isinstance(value, dict) and isinstance(value.get("temperature_is_bounded"), bool)
    return bounded and all(_is_number(value.get(name)) for name in CALIBRATION)


def _are_intervals(rows: Any, classes: int) -> bool:
    """Of every class precision and recall, each with two ends, or None where there was nothing to count."""
    if not _is_list(rows, classes) or not all(isinstance(row, dict) for row in rows):
        return False
    ends = [row.get(name, "") for row in rows for name in ("precision", "recall")]
    return all(each is None or (_is_list(each, 2) and all(map(_is_number, each))) for each in ends)


def disagreements(run: FinishedRun) -> list[str]:
    """Where ``results.json`` says other numbers than ``history.csv`` and ``predictions.csv`` do."""
    r, h = run.results, run.history
    best, last = h.best, h[-1]
    low, high = wilson_interval(min(r["best_val_correct"], r["val_photos"]), r["val_photos"])
    again = {
        "epochs": (len(h), "history.csv"),
        "best_epoch": (best.epoch, "history.csv"),
        "best_val_accuracy": (best.val_accuracy, "history.csv"),
        "last_five_mean": (h.last_five_mean, "history.csv"),
        "best_flatters_by": (best.val_accuracy - h.last_five_mean, "history.csv"),
        "last_val_accuracy": (last.val_accuracy, "history.csv"),
        "last_val_loss": (last.val_loss, "history.csv"),
        "last_train_accuracy": (last.train_accuracy, "history.csv"),
        "generalization_gap": (last.train_accuracy - last.val_accuracy, "history.csv"),
        "interval_low": (low, "its number of correct photos"),
        "interval_high": (high, "its number of correct photos"),
    }
    found = [
        (name, source)
        for name, (value, source) in again.items()
        if not math.isclose(r[name], value, rel_tol=1e-9, abs_tol=1e-9)
    ]
    if run.predictions and not _fits(run.predictions, r):
        found.insert(0, ("confusion", "predictions.csv"))
    path = run.folder / "results.json"
    return [f"{path} says another {name!r} than {source}: its numbers are not the run's" for name, source in found]


def _fits(called: StoredPredictions, r: dict[str, Any]) -> bool:
    """Whether the confusion matrix is that of the predictions.

    Their probabilities are rounded in the file, so a photo on the fence may have fallen to the other side.
    """
    predictions, matrix = called.as_predictions(), torch.tensor(r["confusion"])
    if list(called.classes) != r["classes"] or len(called.labels) != r["val_photos"]:
        return False
    moved = (confusion_matrix(predictions) - matrix).abs().sum()
    return bool(moved <= 2) and abs(predictions.correct - r["best_val_correct"]) <= 1
