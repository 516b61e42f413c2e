"""Precision, recall and F1 of each class with the interval that its number of photos allows."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from helpers.evaluation.predictions import Predictions
from helpers.evaluation.statistics import Interval, wilson_interval


class ClassIntervals(NamedTuple):
    """The scores of one class, and 95 % intervals; None where there is nothing to count."""

    score: ClassScore
    precision: Interval | None
    recall: Interval | None
    f1: Interval | None


def class_intervals(predictions: Predictions, classes: tuple[str, ...]) -> list[ClassIntervals]:
    """Wilson's intervals for each class.

    F1 is no share of photos, but it follows from one: of the photos that are of the class or were called so, the share
    J that is both (Jaccard's index) gives F1 = 2 J / (1 + J). So J's interval gives F1's, and it is sound where a class
    has no mistakes, where a bootstrap would leave no interval at all.
    """
    matrix, found = confusion_matrix(predictions), []
    for i, score in enumerate(class_scores(predictions, classes)):
        right, called, photos = int(matrix[i, i]), int(matrix[:, i].sum()), int(matrix[i].sum())
        jaccard = _interval(right, called + photos - right)
        f1 = Interval(*(2 * j / (1 + j) for j in jaccard)) if jaccard else None
        found.append(ClassIntervals(score, _interval(right, called), _interval(right, photos), f1))
    return found


def interval_table(rows: list[ClassIntervals]) -> str:
    """The scores and their intervals as aligned text; a dash where nothing can be said."""
    width = max(len("class"), *(len(row.score.name) for row in rows))
    lines = [f"{'class':<{width}} {'photos':>6}" + "".join(f"  {name:^22}" for name in ("precision", "recall", "F1"))]
    for row in rows:
        shares = zip((row.score.precision, row.score.recall, row.score.f1), row[1:], strict=True)
        words = "".join(f"  {_in_words(*each):>22}" for each in shares)
        lines.append(f"{row.score.name:<{width}} {row.score.photos:>6}{words}")
    return "\n".join(lines)


def _interval(part: int, whole: int) -> Interval | None:
    return wilson_interval(part, whole) if whole else None


def _in_words(share: float, interval: Interval | None) -> str:
    if interval is None or math.isnan(share):
        return "–"
    return f"{share:.1%} ({interval.low:.1%}–{interval.high:.1%})"


def confusion_matrix(predictions: Predictions) -> torch.Tensor:
    """int64 ``(classes, classes)``: rows are the true classes, columns the predicted ones."""
    classes = predictions.logits.shape[1]
    pairs = predictions.labels * classes + predictions.predicted
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


class ClassScore(NamedTuple):
    """One class: how many of its photos there are, how many are found, how many calls are right."""

    name: str
    photos: int
    precision: float  # of the photos called so, the share that is; nan if none was called so
    recall: float  # of the photos that are, the share called so; nan if there are none
    f1: float  # harmonic mean of the two; 0 if nothing was right


def class_scores(predictions: Predictions, classes: tuple[str, ...]) -> list[ClassScore]:
    matrix = confusion_matrix(predictions)
    scores = []
    for i, name in enumerate(classes):
        right, called, photos = int(matrix[i, i]), int(matrix[:, i].sum()), int(matrix[i].sum())
        precision = right / called if called else math.nan
        recall = right / photos if photos else math.nan
        f1 = 2 * right / (called + photos) if called + photos else math.nan
        scores.append(ClassScore(name, photos, precision, recall, f1))
    return scores
