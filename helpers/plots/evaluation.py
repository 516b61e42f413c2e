"""Figures of evaluation: confusion matrix, scores per class, reliability, and the embedding of photos."""

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
from helpers.plots.style import BLUE, GREEN, GREY, ORANGE, WIDTH, despine, finalize, series_style, square

THUMBNAIL = 22  # points, 1/72 inch
ABOVE = 5  # zorder of the map's points: a thumbnail does not hide them
READABLE = 20  # classes whose names and counts have room in a confusion matrix


def confusion(matrix: torch.Tensor, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix, coloured by the share of the true class, so that classes of any size compare."""
    side = 1.9 + 0.6 * min(len(classes), READABLE)
    figure, axes = plt.subplots(figsize=(side + 0.8, side))
    shares = (matrix / matrix.sum(1, keepdim=True).clamp(min=1)).numpy()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks, names = (range(len(classes)), classes) if len(classes) <= READABLE else ([], [])
    for row in ticks:
        for column in ticks:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, int(matrix[row, column]), ha="center", va="center", color=colour)
    axes.set_xticks(ticks, names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    return finalize(figure)


def class_scores(rows: Sequence[ClassIntervals]) -> Figure:
    """Draw precision, recall and F1 of each class with their 95 % intervals."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.72, 1.1 + 0.5 * len(rows)))
    parts = (("precision", BLUE, "o"), ("recall", ORANGE, "s"), ("f1", GREEN, "D"))
    for k, (name, colour, marker) in enumerate(parts):
        label = "F1" if name == "f1" else name
        for y, row in enumerate(rows):
            share, interval = getattr(row.score, name), getattr(row, name)
            if interval is not None:
                style = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 2, "label": label}
                axes.errorbar(share, y + 0.22 * (k - 1), xerr=_error(share, interval), **style)
                label = None  # one entry in the legend
    axes.set_yticks(range(len(rows)), [f"{row.score.name}\n{row.score.photos} photos" for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(xlabel="score, with its 95 % interval")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.legend(frameon=False, fontsize=9, ncols=3, loc="outside upper center")
    despine(axes)
    return finalize(figure)


def reliability(calibration: Calibration) -> Figure:
    """Draw the accuracy of predictions by their probability, before and after temperature scaling."""
    figure, grid = plt.subplots(1, 2, figsize=(WIDTH * 0.86, 4.1), sharey=True)
    low, high = calibration.ece_by_chance_low, calibration.ece_by_chance_high
    titles = (
        f"without temperature scaling: ECE {calibration.ece:.1%}\n({low:.1%} to {high:.1%} if perfectly calibrated)",
        f"with temperature scaling: ECE {calibration.ece_after:.1%}\n(fitted to the other half of the photos)",
    )
    both = (calibration.bins, calibration.bins_after)
    lowest = min(min(each.low, wilson_interval(each.correct, each.photos).low) for bins in both for each in bins)
    limits = (int(10 * lowest) / 10, 1.015)
    for axes, title, bins in zip(grid, titles, both, strict=True):
        _reliability(axes, bins)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="probability of the predicted class", xlim=limits, ylim=limits)
    grid[0].set_ylabel("accuracy")
    entries = grid[0].get_legend_handles_labels()
    figure.legend(*entries, frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return finalize(figure)


def _reliability(axes: Axes, bins: Sequence[Bin]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect calibration")
    counts = " or ".join(map(str, sorted({each.photos for each in bins})))
    label = f"{counts} photos each: mean and range of the probability; accuracy with 95 % interval"
    for each in bins:
        error = _error(each.accuracy, wilson_interval(each.correct, each.photos))
        span = [[each.confidence - each.low], [each.high - each.confidence]]
        style = {"fmt": "o", "color": BLUE, "markersize": 4, "capsize": 2, "elinewidth": 1}
        axes.errorbar(each.confidence, each.accuracy, error, span, label=label, **style)
        label = None
    despine(axes)


def _error(share: float, interval: Interval) -> list[list[float]]:
    """Return the interval as ``errorbar`` takes it: distances down and up."""
    return [[share - interval.low], [interval.high - share]]


def embedding(
    plane: Projection,
    neighbours: np.ndarray,
    photos: Sequence[ClassifiedPhoto],
    photo_of: Callable[[str], Image.Image],
    classes: Sequence[str],
) -> Figure:
    """Draw every photo as a point in the principal plane and on a t-SNE map, which also shows some of the photos.

    Args:
        neighbours: float ``(n, 2)``: see ``embedding.tsne``.
        photos: one per point, in the points' order.
        photo_of: loads a photo by its name; called only for photos for which there is room.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.4), width_ratios=(1, 2.1))
    _points(left, plane.points, photos, classes, size=4)
    first, second = (f"{share:.0%} of the variance" for share in plane.shares)
    left.set(xlabel=first, ylabel=second)
    left.set_title("principal components", fontsize=10)
    _points(right, neighbours, photos, classes, size=5.5)
    right.set_title("t-SNE: similar photos are close", fontsize=10)
    order = sorted(range(len(photos)), key=lambda i: photos[i].correct)  # mistakes first
    span = [np.ptp(limits) for limits in (right.get_xlim(), right.get_ylim())]
    for i in (order[place] for place in without_overlap(neighbours[order], 0.065 * span[0], 0.1 * span[1])):
        _thumbnail(right, photo_of(photos[i].name), neighbours[i], photos[i], classes)
    names = [*classes, "mistake (ring, dashed frame)"]  # given here, since a label that begins with _ is left out
    figure.legend(left.lines, names, frameon=False, fontsize=9, ncols=min(len(names), 8), loc="outside lower center")
    return finalize(figure)


def _points(
    axes: Axes, points: np.ndarray, photos: Sequence[ClassifiedPhoto], classes: Sequence[str], size: float
) -> None:
    for label, name in enumerate(classes):
        own, style = points[[photo.label == name for photo in photos]], {"markeredgewidth": 0.5} | series_style(label)
        axes.plot(*own.T, linestyle="none", markersize=size, zorder=ABOVE, markeredgecolor="white", **style)
    wrong = points[[not photo.correct for photo in photos]]
    axes.plot(*wrong.T, "o", markersize=9, color="black", markerfacecolor="none", zorder=ABOVE)
    axes.margins(0.06)
    axes.set(xticks=[], yticks=[], xlim=axes.get_xlim(), ylim=axes.get_ylim())  # thumbnails do not change the limits


def _thumbnail(
    axes: Axes, image: Image.Image, point: np.ndarray, photo: ClassifiedPhoto, classes: Sequence[str]
) -> None:
    """Draw a small picture over its point, framed in its class's colour; mistakes have a black dashed frame."""
    picture = OffsetImage(np.asarray(square(image, 2 * THUMBNAIL)), zoom=0.5)
    colour = series_style(classes.index(photo.label))["color"] if photo.correct else "black"
    frame = {"edgecolor": colour, "linewidth": 1.5, "linestyle": "-" if photo.correct else "--"}
    axes.add_artist(AnnotationBbox(picture, point, pad=0, bboxprops=frame | {"boxstyle": "square,pad=0"}))
