"""Confusion matrix; precision, recall and F1 of each class, with the intervals that its number of photos allows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from helpers.common.text import columns, padded
from helpers.evaluation.predictions import Predictions
from helpers.evaluation.statistics import Interval, wilson_interval


class ClassScore(NamedTuple):
    """The scores of one class; nan where there is nothing to count."""

    name: str
    photos: int
    precision: float  # of the photos predicted to be of the class, the share that is
    recall: float  # of the photos of the class, the share predicted to be
    f1: float  # harmonic mean of the two; 0 if no prediction of the class is correct


class ClassIntervals(NamedTuple):
    """The scores of one class, and their 95 % intervals; None where there is nothing to count."""

    score: ClassScore
    precision: Interval | None
    recall: Interval | None
    f1: Interval | None


def confusion_matrix(predictions: Predictions) -> torch.Tensor:
    """Count the photos, int64 ``(classes, classes)``: rows are the true classes, columns the predicted ones."""
    from sklearn import metrics

    labels = range(predictions.logits.shape[1])
    return torch.from_numpy(metrics.confusion_matrix(predictions.labels, predictions.predicted, labels=labels))


def class_scores(predictions: Predictions, classes: Sequence[str]) -> list[ClassScore]:
    """Return precision, recall and F1 of each class."""
    from sklearn import metrics

    precision, recall, f1, photos = metrics.precision_recall_fscore_support(
        predictions.labels, predictions.predicted, labels=range(len(classes)), zero_division=math.nan
    )
    columns = (classes, photos.tolist(), precision.tolist(), recall.tolist(), f1.tolist())
    return [ClassScore(*row) for row in zip(*columns, strict=True)]


def macro_f1(predictions: Predictions) -> float:
    """Return the mean of the classes' F1, in [0, 1]: rare classes count as much as frequent ones."""
    from sklearn import metrics

    # Without ``labels``, a class that has no photo, and is never predicted, does not count: a test set may lack one.
    return float(metrics.f1_score(predictions.labels, predictions.predicted, average="macro", zero_division=0))


def class_intervals(predictions: Predictions, classes: Sequence[str]) -> list[ClassIntervals]:
    """Return Wilson's intervals for each class."""
    matrix, found = confusion_matrix(predictions), []
    counts = zip(matrix.diagonal().tolist(), matrix.sum(0).tolist(), matrix.sum(1).tolist(), strict=True)
    for score, (correct, predicted, photos) in zip(class_scores(predictions, classes), counts, strict=True):
        precision, recall = _interval(correct, predicted), _interval(correct, photos)
        found.append(ClassIntervals(score, precision, recall, f1_interval(correct, predicted, photos)))
    return found


def f1_interval(correct: int, predicted: int, photos: int) -> Interval | None:
    """Return a 95 % interval of F1, which is not a share of photos, but follows from one.

    Of the photos that are of the class or predicted to be, the share J that is both (Jaccard's index) gives
    F1 = 2 J / (1 + J). So J's interval gives F1's. Where a class has no mistakes, a bootstrap's would have no width.
    """
    jaccard = _interval(correct, predicted + photos - correct)
    return Interval(*(2 * j / (1 + j) for j in jaccard)) if jaccard else None


def interval_table(rows: list[ClassIntervals]) -> str:
    """Format the scores and their intervals as aligned text; a dash where there is nothing to count."""
    width = max(len("class"), *(columns(row.score.name) for row in rows))
    lines = [f"{'class':<{width}} {'photos':>6}" + "".join(f"  {name:^22}" for name in ("precision", "recall", "F1"))]
    for row in rows:
        shares = zip((row.score.precision, row.score.recall, row.score.f1), row[1:], strict=True)
        cells = "".join(f"  {_cell(*each):>22}" for each in shares)
        lines.append(f"{padded(row.score.name, width)} {row.score.photos:>6}{cells}")
    return "\n".join(lines)


def _interval(part: int, whole: int) -> Interval | None:
    return wilson_interval(part, whole) if whole else None


def _cell(share: float, interval: Interval | None) -> str:
    return f"{share:.1%} ({interval.low:.1%}–{interval.high:.1%})" if interval else "–"
