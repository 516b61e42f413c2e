"""Figures of a finished run: how far its probabilities can be believed, its classes, its photos as points."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

from helpers.evaluation.calibration import Bin, Calibration
from helpers.evaluation.embedding import Projection, without_overlap
from helpers.evaluation.metrics import ClassIntervals
from helpers.evaluation.mistakes import ClassifiedPhoto
from helpers.evaluation.statistics import Interval, wilson_interval
from helpers.plots.style import BLUE, COLOURS, GREEN, GREY, MARKERS, ORANGE, WIDTH, despine, finalize, square

THUMBNAIL = 22  # points, 1/72 inch


def reliability(calibration: Calibration) -> Figure:
    """How often answers are right, by the probability that they were given with: as said, and with a temperature."""
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH * 0.86, 4.3), sharex=True, sharey="row", height_ratios=(3, 1))
    low, high = calibration.ece_by_chance_low, calibration.ece_by_chance_high
    titles = (
        f"as the network says: ECE {calibration.ece:.1%}\n(by chance {low:.1%} to {high:.1%})",
        f"with a temperature: ECE {calibration.ece_after:.1%}\n(fitted to the other half of the photos)",
    )
    parts = zip(grid.T, titles, (calibration.bins, calibration.bins_after), (BLUE, GREEN), strict=True)
    for (upper, lower), title, bins, colour in parts:
        _reliability(upper, bins, colour)
        upper.set_title(title, fontsize=10)
        lower.bar(*_bars(bins), color=colour, align="edge", edgecolor="white")
        lower.set(xlabel="probability of the answer", xlim=(0, 1.015), yscale="log", ylim=(0.7, None))
        lower.yaxis.set_major_formatter("{x:.0f}")
        despine(lower)
    grid[0][0].set(ylabel="share that is right", ylim=(0, 1.03))
    grid[1][0].set_ylabel("photos")
    entries = grid[0][0].get_legend_handles_labels()
    figure.legend(*entries, frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return finalize(figure)


def class_scores(rows: Sequence[ClassIntervals]) -> Figure:
    """Precision, recall and F1 of each class with their 95 % intervals."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.72, 1.1 + 0.5 * len(rows)))
    parts = (("precision", BLUE, "o"), ("recall", ORANGE, "s"), ("f1", GREEN, "D"))
    for k, (name, colour, marker) in enumerate(parts):
        label = "F1" if name == "f1" else name
        for y, row in enumerate(rows):
            share, interval = getattr(row.score, name), getattr(row, name)
            if interval is not None:
                style = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 2, "label": label}
                axes.errorbar(share, y + 0.22 * (k - 1), xerr=_reach(share, interval), **style)
                label = None  # one entry in the legend
    axes.set_yticks(range(len(rows)), [f"{row.score.name}\n{row.score.photos} photos" for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(xlabel="share, with its 95 % interval")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.legend(frameon=False, fontsize=9, ncols=3, loc="outside upper center")
    despine(axes)
    return finalize(figure)


def embedding(
    plane: Projection,
    neighbours: np.ndarray,
    photos: Sequence[ClassifiedPhoto],
    photo_of: Callable[[str], Image.Image],
    classes: Sequence[str],
) -> Figure:
    """Every photo as a point in the principal plane, and on a map of neighbours with some of the photos.

    Args:
        neighbours: float ``(n, 2)``: see ``embedding.tsne``.
        photos: one per point, in the points' order.
        photo_of: finds a photo by its name. Only those for which there is room are asked for.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.4), width_ratios=(1, 2.1))
    _points(left, plane.points, photos, classes, size=3)
    first, second = (f"{share:.0%} of the variance" for share in plane.shares)
    left.set(title="principal components", xlabel=first, ylabel=second)
    points = neighbours
    _points(right, points, photos, classes, size=4)
    right.set_title("neighbours (t-SNE)")
    wrong = [i for i, photo in enumerate(photos) if not photo.correct]
    order = [*wrong, *(i for i in range(len(points)) if photos[i].correct)]
    span = [np.ptp(limits) for limits in (right.get_xlim(), right.get_ylim())]
    for i in (order[place] for place in without_overlap(points[order], 0.065 * span[0], 0.1 * span[1])):
        colour = _colour(classes.index(photos[i].label)) if photos[i].correct else "black"
        _pin(right, photo_of(photos[i].name), points[i], colour)
    entries = left.get_legend_handles_labels()
    figure.legend(*entries, frameon=False, fontsize=9, ncols=min(len(classes) + 1, 8), loc="outside lower center")
    return finalize(figure)


def _points(
    axes: Axes, points: np.ndarray, photos: Sequence[ClassifiedPhoto], classes: Sequence[str], size: float
) -> None:
    for label, name in enumerate(classes):
        mine = points[[photo.label == name for photo in photos]]
        axes.plot(*mine.T, _marker(label), color=_colour(label), markersize=size, alpha=0.8, label=name)
    wrong = points[[not photo.correct for photo in photos]]
    axes.plot(*wrong.T, "o", markersize=9, color="black", markerfacecolor="none", label="mistake")
    axes.margins(0.06)
    axes.set(xticks=[], yticks=[], xlim=axes.get_xlim(), ylim=axes.get_ylim())  # what is pinned on changes nothing
    axes.title.set_fontsize(10)


def _reliability(axes: Axes, bins: Sequence[Bin], colour: str) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="what was promised")
    for i, each in enumerate(bins):
        reach = _reach(each.accuracy, wilson_interval(each.correct, each.photos))
        label = "what came true, 95 % interval" if i == 0 else None
        style = {"fmt": "o", "color": colour, "markersize": 4, "capsize": 2, "label": label}
        axes.errorbar(each.confidence, each.accuracy, reach, **style)
    despine(axes)


def _reach(share: float, interval: Interval) -> list[list[float]]:
    """The interval as errorbar wants it: how far it reaches down and up."""
    return [[share - interval.low], [interval.high - share]]


def _bars(bins: Sequence[Bin]) -> tuple[list[float], list[int], list[float]]:
    return [b.low for b in bins], [b.photos for b in bins], [b.high - b.low for b in bins]


def _pin(axes: Axes, photo: Image.Image, point: np.ndarray, colour: str) -> None:
    """A thumbnail over its point, framed."""
    picture = OffsetImage(np.asarray(square(photo, 2 * THUMBNAIL)), zoom=0.5)
    frame = {"edgecolor": colour, "linewidth": 1.5, "boxstyle": "square,pad=0"}
    axes.add_artist(AnnotationBbox(picture, point, pad=0, bboxprops=frame))


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _marker(label: int) -> str:
    return MARKERS[label // len(COLOURS) % len(MARKERS)]


def confusion(matrix: torch.Tensor, classes: Sequence[str], words: bool = True) -> Figure:
    """Counts, coloured by the share of the true class, so that classes of any size compare.

    Args:
        words: counts and names; without, more classes can be shown than can be named.
    """
    side = 1.9 + 0.6 * len(classes)
    figure, axes = plt.subplots(figsize=(side + 0.8, side))
    shares = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    named = range(len(classes)) if words else range(0)
    for row in named:
        for column in named:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, int(matrix[row, column]), ha="center", va="center", color=colour)
    axes.set_xticks(named, classes if words else [], rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(named, classes if words else [])
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    return finalize(figure)
