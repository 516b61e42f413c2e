"""``results.json``: every number that the notebook, the README and the report quote."""

from __future__ import annotations

import math
from typing import Any

from helpers.data.audit import Audit
from helpers.evaluation.calibration import calibrate
from helpers.evaluation.label_errors import suspected_labels
from helpers.evaluation.metrics import class_intervals, class_scores, confusion_matrix
from helpers.evaluation.predictions import Predictions, StoredPredictions
from helpers.evaluation.statistics import wilson_interval
from helpers.runs.history import History
from helpers.runs.run import Run


def summarize(run: Run, audit: Audit, history: History, predictions: Predictions) -> dict[str, Any]:
    """The run in numbers. ``predictions`` are those of the best model on the validation photos.

    The interval is Wilson's for the best epoch: it knows the number of photos, not that the
    epoch was chosen on the same photos. ``best_flatters_by`` estimates that part.
    """
    interval = wilson_interval(predictions.correct, len(predictions.labels))
    best, last = history.best, history[-1]
    return {
        "run": run.folder.name,
        "dataset": run.recipe.dataset,
        "demo": run.recipe.dataset == "demo",
        "backbone": run.recipe.backbone,
        "weights": run.recipe.weights,
        "classes": list(audit.photos.classes),
        "photos": len(audit.photos),
        "unreadable_files": len(audit.unreadable),
        "duplicate_groups": len(audit.duplicates),
        "cross_class_duplicate_groups": len(audit.cross_class_duplicates),
        "train_photos": len(audit.photos) - len(predictions.labels),
        "val_photos": len(predictions.labels),
        "epochs": len(history),
        "best_epoch": best.epoch,
        "best_val_accuracy": best.val_accuracy,
        "best_val_correct": predictions.correct,
        "interval_low": interval.low,
        "interval_high": interval.high,
        "last_val_accuracy": last.val_accuracy,
        "last_val_loss": last.val_loss,
        "last_train_accuracy": last.train_accuracy,
        "last_five_mean": history.last_five_mean,
        "best_flatters_by": best.val_accuracy - history.last_five_mean,
        "last_five_spread": max(history.column("val_accuracy")[-5:]) - min(history.column("val_accuracy")[-5:]),
        "generalization_gap": last.train_accuracy - last.val_accuracy,
        "class_scores": [
            {k: (None if isinstance(v, float) and math.isnan(v) else v) for k, v in score._asdict().items()}
            for score in class_scores(predictions, audit.photos.classes)
        ],
        "confusion": confusion_matrix(predictions).tolist(),
        "training_seconds": run.training_seconds,
        "epoch_seconds": run.epoch_seconds,
    }


def analysis_numbers(called: StoredPredictions) -> dict[str, Any]:
    """What the analysis adds to the run's numbers: calibration, intervals of the classes' scores, suspected labels."""
    found = calibrate(called)
    return {
        "calibration": {
            "ece": found.ece,
            "ece_by_chance_low": found.chance[0],
            "ece_by_chance_high": found.chance[1],
            "mean_confidence": found.confidence,
            "loss": found.loss,
            "temperature": found.temperature,
            "temperature_is_bounded": found.bounded,
            "ece_after": found.ece_after,
            "mean_confidence_after": found.confidence_after,
            "loss_after": found.loss_after,
        },
        "class_intervals": [
            {"name": row.score.name} | {part: getattr(row, part) for part in ("precision", "recall", "f1")}
            for row in class_intervals(called.as_predictions(), called.classes)
        ],
        "suspected_labels": len(suspected_labels(called)),
    }
