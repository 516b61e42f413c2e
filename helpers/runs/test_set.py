"""The test set: photos that nothing was learned from and nothing chosen by, evaluated once, at the end of a run."""

import contextlib
import hashlib
from dataclasses import replace
from typing import Any

from torch import nn

from helpers.common.errors import RunError
from helpers.common.files import read_json, write_json
from helpers.common.text import counted
from helpers.data.audit import Audit
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import Split
from helpers.evaluation.metrics import macro_f1
from helpers.evaluation.predictions import predict, save_predictions
from helpers.evaluation.statistics import wilson_interval
from helpers.runs.results import TEST_NUMBERS, TEST_PREDICTIONS
from helpers.runs.run import Run

FILE = "test.json"


def evaluate_test_set(run: Run, audit: Audit, split: Split, model: nn.Module, transform: Any = None) -> dict[str, Any]:
    """Evaluate the model on the test photos, and count how often that has been done.

    Writes ``test_predictions.csv`` and ``test.json``.

    Args:
        transform: of validation photos; None: the recipe's.

    Returns:
        ``test``, for ``results.json``: numbers of photos and correct ones, accuracy with Wilson's 95 % interval,
        macro-F1, and how often this run (``evaluations``), and all runs beside it (``evaluations_of_all_runs``), have
        looked at these photos. Nothing without a test set.
    """
    if not split.test:
        return {}
    held_out = replace(split, val=split.test)
    loader = make_loaders(audit, held_out, run.recipe, run.device, val=transform, cache=run.cache).val
    predictions = predict(model, loader, run.precision)
    names = [audit.photos.names[i] for i in split.test]
    save_predictions(run.folder, predictions, names, audit.photos.classes, TEST_PREDICTIONS)
    photos = hashlib.sha256("".join(sorted(audit.hashes[i] for i in split.test)).encode()).hexdigest()
    interval = wilson_interval(predictions.correct, len(names))
    count = _evaluations(run, photos)
    numbers = {
        "photos": len(names),
        "correct": predictions.correct,
        "accuracy": predictions.accuracy,
        "interval_low": interval.low,
        "interval_high": interval.high,
        "macro_f1": macro_f1(predictions),
        "evaluations": count.get(run.folder.name, 0) + 1,
        "evaluations_of_all_runs": sum(count.values()) + 1,
    }
    write_json(run.folder / FILE, numbers | {"photos_sha256": photos})
    return {"test": numbers}


def _evaluations(run: Run, photos: str) -> dict[str, int]:
    """Count for each run in this one's work_dir how often it was evaluated on the same test photos."""
    found = {}
    for path in run.folder.parent.glob(f"*/{FILE}"):
        with contextlib.suppress(RunError):  # a file that is not ours counts for nothing
            facts = read_json(path)
            if facts.get("photos_sha256") == photos and isinstance(facts.get("evaluations"), int):
                found[path.parent.name] = facts["evaluations"]
    return found


def describe_test(results: dict[str, Any]) -> str:
    """Return the result on the test set in lines for the reader."""
    if "test" not in results:
        return (
            "no test set: for an accuracy that no choice has influenced, put photos into test/<class>/ beside train/, "
            "or set test_fraction"
        )
    t = {name: results["test"][name] for name in TEST_NUMBERS}
    lines = [
        f"test set: {t['correct']} of {t['photos']} photos: {t['accuracy']:.2%}",
        f"95 % interval: {t['interval_low']:.1%} to {t['interval_high']:.1%}; macro-F1: {t['macro_f1']:.4f}",
        f"evaluated {counted(t['evaluations'], 'time')} by this run, "
        f"{counted(t['evaluations_of_all_runs'], 'time')} by all runs in its folder",
    ]
    if t["evaluations_of_all_runs"] > 1:
        lines.append("whatever was changed after the first time was chosen on these photos too")
    return "\n".join(lines)
