"""Precision, recall and F1 of each class with the interval that its number of photos allows."""

from __future__ import annotations

import math
from typing import NamedTuple

from helpers.evaluate import ClassScore, Interval, Predictions, class_scores, confusion_matrix, wilson_interval


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
