"""Figures of photos with what was said of them: mistakes, reasons, pairs that are alike, what the network is given."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from helpers.common.text import percent
from helpers.data.augmentation import denormalize
from helpers.evaluation.answers import ClassifiedPhoto
from helpers.evaluation.label_errors import Suspect
from helpers.evaluation.saliency import Reason
from helpers.plots.style import BLUE, ORANGE, SIDE, WIDTH, despine, finalize, notice, panels, square


def suspected(photos: Sequence[Image.Image], found: Sequence[Suspect], columns: int = 6) -> Figure:
    """Suspected photos with the label that their folder gives them and the class that they look like."""
    rows = -(-len(found) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns + 0.45))
    for axes, photo, each in zip(grid.flat, photos, found, strict=False):
        axes.imshow(square(photo, 160))
        axes.set_title(f"labelled {each.label},\n{each.predicted} {each.predicted_probability:.0%}", fontsize=8)
    return finalize(figure)


def photo_prediction(photo: Image.Image, probabilities: torch.Tensor, classes: Sequence[str]) -> Figure:
    """The photo beside its probability for each class."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 0.8, 2.8), width_ratios=(1, 1.2))
    left.imshow(photo)
    left.axis("off")
    best = int(probabilities.argmax())
    colours = [BLUE if i == best else "#BBBBBB" for i in range(len(classes))]
    bars = right.barh(range(len(classes)), probabilities.tolist(), color=colours)
    right.bar_label(bars, [f"{p:.1%}" for p in probabilities.tolist()], padding=4, fontsize=9)
    right.set_yticks(range(len(classes)), classes)
    right.set(xlim=(0, 1.15), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel="probability")
    right.invert_yaxis()
    despine(right)
    right.grid(visible=False)
    return finalize(figure)


def answer_gallery(answers: Sequence[ClassifiedPhoto], photos: Sequence[Image.Image], columns: int = 6) -> Figure:
    """Photos, one per answer, with what the network said and what they are; mistakes in another colour."""
    if not answers:
        return notice("none: every photo is classified correctly")
    rows = -(-len(answers) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns + 0.42))
    for axes, photo, answer in zip(grid.flat, photos, answers, strict=False):
        axes.imshow(square(photo, SIDE))
        said = f"{answer.said} {percent(answer.probability)}"
        below = f"{answer.other} {percent(answer.other_probability)}"
        if not answer.right:
            said, below = f"called {said}", f"is {answer.truth} {percent(answer.truth_probability)}"
        axes.set_title(f"{said}\n{below}", fontsize=8.5, color="black" if answer.right else ORANGE)
    return finalize(figure)


def saliency(reasons: Sequence[Reason], columns: int = 3) -> Figure:
    """For each answer the picture, what speaks for the class that was said, and what speaks for the other one."""
    if not reasons:
        return notice("no answers to explain")
    rows = -(-len(reasons) // columns)
    widths = [1, 1, 1, 0.12] * columns
    figure, grid = panels(rows, len(widths) - 1, rows * (WIDTH / columns / 3.2 + 0.42), widths[:-1])
    for row in range(rows):
        for column, reason in enumerate(reasons[row * columns : (row + 1) * columns]):
            _reason(grid[row, 4 * column : 4 * column + 3], reason)
    return finalize(figure)


def _reason(three: Sequence[Axes], reason: Reason) -> None:
    answer, picture = reason.answer, _small(denormalize(reason.picture).permute(1, 2, 0).numpy())
    chance = answer.other_probability if answer.right else answer.truth_probability
    titles = (
        f"{answer.truth}," + ("\nfound" if answer.right else f"\ncalled {answer.said}"),
        f"for {answer.said}\n{percent(answer.probability)}",
        f"for {reason.other_class}\n{percent(chance)}",
    )
    for axes, title, heat in zip(three, titles, (None, reason.said, reason.other), strict=True):
        axes.imshow(picture)
        if heat is not None:  # it covers as far as it is hot: what speaks for nothing stays as it is
            hot = _small(heat.numpy())
            axes.imshow(hot, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * hot, interpolation="bilinear")
        axes.set_title(title, fontsize=8, color="black" if answer.right else ORANGE)


def _small(picture: np.ndarray) -> np.ndarray:
    step = max(1, picture.shape[0] // SIDE)
    return picture[::step, ::step]
