"""Figures of a finished run: its answers one by one, its reasons, its probabilities, and its photos as points."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

from helpers.augment import denormalize, train_transform, val_transform
from helpers.calibration import Bin, Calibration
from helpers.class_intervals import ClassIntervals
from helpers.embedding import Plane, apart
from helpers.evaluate import Interval, wilson_interval
from helpers.mistakes import Answer
from helpers.plots import BLUE, GREEN, GREY, ORANGE, WIDTH, finished, panels, quiet, square, transformed
from helpers.recipe import Recipe
from helpers.saliency import Reason

COLOURS = (BLUE, "#E69F00", GREEN, "#CC79A7", "#56B4E9", ORANGE, "#B8A800")  # Okabe and Ito's, yellow darkened
MARKERS = "osD^vP*"
THUMBNAIL = 34  # px


def answer_gallery(answers: Sequence[Answer], photos: Sequence[Image.Image], columns: int = 6) -> Figure:
    """Photos, one per answer, with what the network said and what they are; mistakes in another colour."""
    if not answers:
        return notice("none: every photo is classified correctly")
    rows = -(-len(answers) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns + 0.42))
    for axes, photo, answer in zip(grid.flat, photos, answers, strict=False):
        axes.imshow(square(photo, 120))
        said = f"{answer.said} {percent(answer.probability)}"
        below = f"{answer.other} {percent(answer.other_probability)}"
        if not answer.right:
            said, below = f"called {said}", f"is {answer.truth} {percent(answer.truth_probability)}"
        axes.set_title(f"{said}\n{below}", fontsize=8.5, color="black" if answer.right else ORANGE)
    return finished(figure)


def notice(text: str) -> Figure:
    """A sentence where there is nothing to draw."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.6))
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=11)
    axes.axis("off")
    return finished(figure)


def percent(share: float) -> str:
    """A probability with as many digits as tell it from certainty: 98 %, 99.98 %, 0.02 %."""
    for digits in (0, 1, 2):
        text = f"{share:.{digits}%}"
        if 0 < float(text[:-1]) < 100:
            return text
    return "< 0.01%" if share < 0.5 else "> 99.99%"


def saliency(reasons: Sequence[Reason], columns: int = 3) -> Figure:
    """For each answer the picture, what speaks for the class that was said, and what speaks for the other one."""
    if not reasons:
        return notice("no answers to explain")
    rows = -(-len(reasons) // columns)
    figure, grid = panels(rows, 3 * columns, height=rows * (WIDTH / columns / 3 + 0.42))
    for axes, reason in zip(grid.reshape(-1, 3), reasons, strict=False):
        answer, picture = reason.answer, denormalize(reason.picture).permute(1, 2, 0).numpy()
        said = f"{'is' if answer.right else 'called'} {answer.said}\n{percent(answer.probability)}"
        titles = (f"a {answer.truth}\n", said, f"for {reason.other_class}\n")
        for each, title, heat in zip(axes, titles, (None, reason.said, reason.other), strict=True):
            each.imshow(_small(picture))
            if heat is not None:  # it covers as far as it is hot: what speaks for nothing stays as it is
                hot = _small(heat.numpy())
                each.imshow(hot, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * hot, interpolation="bilinear")
            each.set_title(title, fontsize=8, color="black" if answer.right else ORANGE)
    return finished(figure)


def reliability(calibration: Calibration) -> Figure:
    """How often answers are right, by the probability that they were given with: as said, and with a temperature."""
    figure, grid = plt.subplots(2, 2, figsize=(WIDTH * 0.86, 3.9), sharex=True, sharey="row", height_ratios=(3, 1))
    sides = (
        ("as the network says", calibration.bins, calibration.ece, BLUE),
        ("with temperatures from other photos", calibration.bins_after, calibration.ece_after, GREEN),
    )
    for (upper, lower), (title, bins, error, colour) in zip(grid.T, sides, strict=True):
        _reliability(upper, bins, colour)
        upper.set_title(f"{title}: ECE {error:.1%}", fontsize=10)
        lower.bar(*_bars(bins), color=colour, align="edge", edgecolor="white")
        lower.set(xlabel="probability of the answer", xlim=(0, 1))
        quiet(lower)
    grid[0][0].set(ylabel="share that is right", ylim=(0, 1.02))
    grid[1][0].set_ylabel("photos")
    grid[0][0].legend(frameon=False, fontsize=8, loc="upper left")
    return finished(figure)


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
    quiet(axes)
    return finished(figure)


def embedding(
    plane: Plane, answers: Sequence[Answer], photo_of: Callable[[str], Image.Image], classes: Sequence[str]
) -> Figure:
    """Every photo as a point, by class; on as many as there is room for, the photo itself; mistakes ringed.

    Args:
        answers: one per point, in the points' order.
        photo_of: finds a photo by its name. Only those that are shown are asked for.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 5.2))
    points = plane.points.numpy()
    for label, name in enumerate(classes):
        mine = points[[answer.truth == name for answer in answers]]
        axes.plot(*mine.T, _marker(label), color=_colour(label), markersize=5, alpha=0.8, label=name)
    wrong = [i for i, answer in enumerate(answers) if not answer.right]
    axes.plot(*points[wrong].T, "o", markersize=11, color="black", markerfacecolor="none", label="mistake")
    axes.margins(0.07)
    low, high = (np.array(limits) for limits in zip(axes.get_xlim(), axes.get_ylim(), strict=True))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    order = [*wrong, *(i for i in range(len(points)) if answers[i].right)]
    span = np.maximum(high - low, 1e-12)
    for i in (order[place] for place in apart(points[order], 0.062 * span[0], 0.105 * span[1])):
        _pin(axes, photo_of(answers[i].name), points[i], _colour(classes.index(answers[i].truth)))
    first, second = (f"{share:.0%} of the variance" for share in plane.shares)
    axes.set(xticks=[], yticks=[], xlabel=f"first component: {first}", ylabel=f"second component: {second}")
    figure.legend(frameon=False, fontsize=9, ncols=min(len(classes) + 1, 8), loc="outside upper center")
    return finished(figure)


def pairs(photos: Sequence[tuple[Image.Image, Image.Image]], captions: Sequence[str], columns: int = 4) -> Figure:
    """Two photos side by side, as often as there are pairs."""
    if not photos:
        return notice("no two photos show the same")
    rows = -(-len(photos) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns / 2 + 0.45))
    for axes, (left, right), caption in zip(grid.flat, photos, captions, strict=False):
        gap = np.full((120, 4, 3), 255, dtype=np.uint8)
        axes.imshow(np.hstack([np.asarray(square(left, 120)), gap, np.asarray(square(right, 120))]))
        axes.set_title(caption, fontsize=8)
    return finished(figure)


def what_the_network_sees(photos: dict[str, Image.Image], recipe: Recipe) -> Figure:
    """A photo of each class, what training makes of it, twice, and what validation does."""
    names = ("the photo", "training", "training,\nanother epoch", "validation")
    figure, grid = panels(4, max(len(photos), 5), height=4 * WIDTH / max(len(photos), 5) * 0.8)
    for column, (name, photo) in zip(grid.T, photos.items(), strict=False):
        made = [(train_transform(recipe), 1), (train_transform(recipe), 2), (val_transform(recipe), 0)]
        pictures = [np.asarray(photo), *(transformed(transform, photo, seed) for transform, seed in made)]
        for axes, picture in zip(column, pictures, strict=True):
            axes.imshow(picture)
        column[0].set_title(name, fontsize=10)
    for axes, name in zip(grid[:, 0], names, strict=True):
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    return finished(figure)


def _reliability(axes: Axes, bins: Sequence[Bin], colour: str) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="what was promised")
    for i, each in enumerate(bins):
        reach = _reach(each.accuracy, wilson_interval(each.correct, each.photos))
        label = "what came true, 95 % interval" if i == 0 else None
        style = {"fmt": "o", "color": colour, "markersize": 4, "capsize": 2, "label": label}
        axes.errorbar(each.confidence, each.accuracy, reach, **style)
    quiet(axes)


def _reach(share: float, interval: Interval) -> list[list[float]]:
    """The interval as errorbar wants it. Wilson's ends at 1 but for rounding, which must not come out negative."""
    return [[max(0.0, share - interval.low)], [max(0.0, interval.high - share)]]


def _bars(bins: Sequence[Bin]) -> tuple[list[float], list[int], list[float]]:
    return [b.low for b in bins], [b.photos for b in bins], [b.high - b.low for b in bins]


def _pin(axes: Axes, photo: Image.Image, point: np.ndarray, colour: str) -> None:
    """A thumbnail in the colour of its class."""
    picture = OffsetImage(np.asarray(square(photo, THUMBNAIL)), zoom=1)
    frame = {"edgecolor": colour, "linewidth": 1.6, "boxstyle": "square,pad=0.06"}
    axes.add_artist(AnnotationBbox(picture, point, pad=0.1, bboxprops=frame))


def _small(picture: np.ndarray) -> np.ndarray:
    """Every so many pixels, down to about 112: a notebook's figure shows no more."""
    step = max(1, picture.shape[0] // 112)
    return picture[::step, ::step]


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _marker(label: int) -> str:
    return MARKERS[label // len(COLOURS) % len(MARKERS)]
