"""``results.json``: every number that the notebook, the README and the report quote, with checksums."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.common.errors import RunError
from helpers.common.files import file_digest, read_json, write_json
from helpers.data.audit import Audit
from helpers.data.split import Split
from helpers.evaluation import predictions as predictions_file
from helpers.evaluation.calibration import calibrate
from helpers.evaluation.label_errors import suspected_labels
from helpers.evaluation.metrics import class_intervals, class_scores, confusion_matrix, macro_f1
from helpers.evaluation.predictions import Predictions, StoredPredictions
from helpers.evaluation.statistics import wilson_interval
from helpers.runs import history as history_file
from helpers.runs.changes import read_changes
from helpers.runs.folders import RESULTS as FILE
from helpers.runs.history import History

if TYPE_CHECKING:
    from helpers.runs.run import Run

CHECKSUMS = "checksums"  # the key
FIRST = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")  # of the first epoch
TEST_PREDICTIONS = "test_predictions.csv"
TEST_NUMBERS = ("photos", "correct", "accuracy", "interval_low", "interval_high", "macro_f1")
TEST_NUMBERS += ("evaluations", "evaluations_of_all_runs")
SOURCES = (history_file.FILE, predictions_file.FILE, TEST_PREDICTIONS)  # the files that the numbers are computed from
NEEDED = {
    **dict.fromkeys(("run", "dataset", "backbone"), str),
    **dict.fromkeys(("photos", "val_photos", "epochs"), int),
    **{"demo": bool, "classes": list},
    **dict.fromkeys(
        ("training_seconds", "best_val_accuracy", "interval_low", "interval_high", "last_five_mean"), (int, float)
    ),
}


def summarize(
    run: Run, audit: Audit, split: Split, history: History, predictions: Predictions, epoch_seconds: list[float]
) -> dict[str, Any]:
    """Summarize the run in numbers. ``predictions`` are those of the best model on the validation photos.

    The interval is Wilson's for the best epoch: it knows the number of photos, not that the
    epoch was chosen on the same photos. ``best_flatters_by`` estimates that part.
    """
    interval = wilson_interval(predictions.correct, len(predictions.labels))
    best, last = history.best, history[-1]
    last_five = history.column("val_accuracy")[-5:]
    return {
        "run": run.folder.name,
        "dataset": run.recipe.dataset,
        "demo": run.recipe.dataset == "demo",
        "backbone": run.recipe.backbone,
        "weights": run.recipe.weights,
        "label_smoothing": 0.0 if "loss" in read_changes(run.folder) else run.recipe.label_smoothing,
        "classes": list(audit.photos.classes),
        "photos": len(audit.photos),
        "unreadable_files": len(audit.unreadable),
        "duplicate_groups": len(audit.duplicates),
        "cross_class_duplicate_groups": len(audit.cross_class_duplicates),
        "train_photos": len(split.train),
        "val_photos": len(predictions.labels),
        "epochs": len(history),
        "best_epoch": best.epoch,
        "best_val_accuracy": best.val_accuracy,
        "best_val_correct": predictions.correct,
        "interval_low": interval.low,
        "interval_high": interval.high,
        **{f"first_{name}": getattr(history[0], name) for name in FIRST},
        "last_val_accuracy": last.val_accuracy,
        "last_val_loss": last.val_loss,
        "last_train_accuracy": last.train_accuracy,
        "last_five_mean": history.last_five_mean,
        "best_flatters_by": best.val_accuracy - history.last_five_mean,
        "last_five_spread": max(last_five) - min(last_five),
        "generalization_gap": last.train_accuracy - last.val_accuracy,
        "class_scores": [
            {k: (None if isinstance(v, float) and math.isnan(v) else v) for k, v in score._asdict().items()}
            for score in class_scores(predictions, audit.photos.classes)
        ],
        "macro_f1": macro_f1(predictions),
        "confusion": confusion_matrix(predictions).tolist(),
        "training_seconds": sum(epoch_seconds),
        "epoch_seconds": epoch_seconds,
    }


def analysis_numbers(stored: StoredPredictions) -> dict[str, Any]:
    """Compute what the analysis adds to the run's numbers: calibration, intervals by class, suspected labels."""
    return {
        "calibration": calibrate(stored).to_dict(),
        "class_intervals": [
            {"name": row.score.name} | {part: getattr(row, part) for part in ("precision", "recall", "f1")}
            for row in class_intervals(stored.as_predictions(), stored.classes)
        ],
        "suspected_labels": len(suspected_labels(stored)),
    }


def save_results(folder: Path, results: dict[str, Any]) -> None:
    """Write ``results.json`` with checksums. A run that has it is finished."""
    write_json(folder / FILE, add_checksums(folder, results))


def read_run_results(folder: Path) -> dict[str, Any]:
    """Read ``results.json``.

    Raises RunError: the folder is not a run's, the run is not finished, or the file is damaged.
    """
    results = read_json(folder / FILE)
    if missing := [name for name in NEEDED if name not in results]:
        raise RunError(f"{folder / FILE} is damaged or of another version: {missing[0]!r} is missing")
    for name, kind in NEEDED.items():
        values = results[name] if kind is list and isinstance(results[name], list) else ()
        if not isinstance(results[name], kind) or not all(isinstance(value, str) for value in values):
            raise RunError(f"{folder / FILE} is damaged: {name} = {str(results[name])[:40]!r}; run again")
    if "test" in results:
        test = results["test"] if isinstance(results["test"], dict) else {}
        if wrong := [name for name in TEST_NUMBERS if not isinstance(test.get(name), (int, float))]:
            raise RunError(f"{folder / FILE} is damaged: {wrong[0]!r} of the test set is no number; run again")
    return results


def add_checksums(folder: Path, results: dict[str, Any]) -> dict[str, Any]:
    """Return the results with SHA-256 checksums of themselves and of the files that they were computed from.

    They tell an edited number from a measured one; they do not keep anybody from making up both.
    """
    numbers = {name: value for name, value in results.items() if name != CHECKSUMS}
    content = json.dumps(numbers, sort_keys=True, ensure_ascii=False).encode()
    sums = {"results": hashlib.sha256(content).hexdigest()}
    sums |= {name: file_digest(folder / name) for name in SOURCES if (folder / name).is_file()}
    return numbers | {CHECKSUMS: sums}


def verify_checksums(folder: Path, results: dict[str, Any]) -> list[str]:
    """Say what was changed after the run wrote it, in sentences; none if everything is as it was."""
    sums = results.get(CHECKSUMS)
    if not isinstance(sums, dict) or "results" not in sums:
        return [f"{folder / FILE} has no checksums: it was edited by hand"]
    now = add_checksums(folder, results)[CHECKSUMS]
    return [
        f"{folder / (FILE if name == 'results' else name)} was {'changed' if name in now else 'removed'} "
        "after the run wrote it: its numbers are not the run's"
        for name, value in sums.items()
        if now.get(name) != value
    ]
