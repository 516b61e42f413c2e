"""Whether a run's numbers may be reported: complete, unchanged since it wrote them, in agreement with each other."""

import math

import torch

from helpers.common.errors import RunError
from helpers.evaluation.metrics import confusion_matrix
from helpers.runs.finished import FinishedRun
from helpers.runs.results import verify_checksums

CHANGED = "CHANGED AFTER THE RUN: these numbers are not the run's"


def check_integrity(run: FinishedRun, force: bool) -> str:
    """Return the notice for every page of a run whose numbers are not its own; empty for any other run.

    Raises RunError: they are not, and ``force`` is not given; or a file is missing or damaged.
    """
    for part in ("recipe", "history", "predictions", "environment"):
        if not getattr(run, part):
            raise RunError(next((note for note in run.notes if part in note), f"{run.folder}: {part} is empty"))
    changes = verify_checksums(run.folder, run.results) or disagreements(run)
    if changes and not force:
        raise RunError(f"{changes[0]}. Copy the folder again, or run again; --force makes a report that says so")
    return CHANGED if changes else ""


def disagreements(run: FinishedRun) -> list[str]:
    """Name the numbers of ``results.json`` that do not follow from ``history.csv`` and ``predictions.csv``.

    Checksums can be made anew by whoever edits a file; these numbers then have to be made to agree as well.
    """
    history, predictions = run.history, run.predictions.as_predictions()
    computed = {
        "epochs": len(history),
        "best_epoch": history.best.epoch,
        "best_val_accuracy": history.best.val_accuracy,
        "last_five_mean": history.last_five_mean,
        "last_val_accuracy": history[-1].val_accuracy,
        "last_val_loss": history[-1].val_loss,
        "last_train_accuracy": history[-1].train_accuracy,
        "val_photos": len(predictions.labels),
    }
    wrong = [name for name, value in computed.items() if not math.isclose(run.results[name], value, abs_tol=1e-9)]
    # Probabilities are rounded in the file: a photo near the boundary may have changed sides.
    moved = (confusion_matrix(predictions) - torch.tensor(run.results["confusion"])).abs().sum()
    if moved > 2 or abs(predictions.correct - run.results["best_val_correct"]) > 1:
        wrong.append("confusion")
    path = run.folder / "results.json"
    return [f"{path}: {name!r} does not follow from history.csv and predictions.csv" for name in wrong]
