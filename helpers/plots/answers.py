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
from helpers.evaluation.label_errors import Suspect
from helpers.evaluation.mistakes import ClassifiedPhoto
from helpers.evaluation.saliency import Explanation
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


def answer_gallery(photos: Sequence[ClassifiedPhoto], images: Sequence[Image.Image], columns: int = 6) -> Figure:
    """Photos, each with its predicted class and the runner-up, or the true class in another colour."""
    if not photos:
        return notice("none: every photo is classified correctly")
    rows = -(-len(photos) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns + 0.42))
    for axes, image, photo in zip(grid.flat, images, photos, strict=False):
        axes.imshow(square(image, SIDE))
        above, below = f"{photo.predicted} {percent(photo.probability)}", "{} {}"
        if not photo.correct:
            above, below = f"predicted {above}", "true: {} ({})"
        name, probability = photo.other
        title = f"{above}\n{below.format(name, percent(probability))}"
        axes.set_title(title, fontsize=8.5, color="black" if photo.correct else ORANGE)
    return finalize(figure)


def saliency(explanations: Sequence[Explanation], columns: int = 3) -> Figure:
    """For each photo the picture, what raises the score of the predicted class, and what raises another's."""
    if not explanations:
        return notice("no predictions to explain")
    rows = -(-len(explanations) // columns)
    widths = [1, 1, 1, 0.12] * columns
    figure, grid = panels(rows, len(widths) - 1, rows * (WIDTH / columns / 3.2 + 0.42), widths[:-1])
    for row in range(rows):
        for column, explanation in enumerate(explanations[row * columns : (row + 1) * columns]):
            _explanation(grid[row, 4 * column : 4 * column + 3], explanation)
    return finalize(figure)


def _explanation(three: Sequence[Axes], explanation: Explanation) -> None:
    photo, picture = explanation.photo, _small(denormalize(explanation.picture).permute(1, 2, 0).numpy())
    other, probability = photo.other
    titles = (
        f"{photo.label},\n" + ("correct" if photo.correct else f"predicted {photo.predicted}"),
        f"for {photo.predicted}\n{percent(photo.probability)}",
        f"for {other}\n{percent(probability)}",
    )
    for axes, title, heat in zip(three, titles, (None, *explanation[2:]), strict=True):
        axes.imshow(picture)
        if heat is not None:  # it covers as far as it is hot: what raises no score stays as it is
            hot = _small(heat.numpy())
            axes.imshow(hot, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * hot, interpolation="bilinear")
        axes.set_title(title, fontsize=8, color="black" if photo.correct else ORANGE)


def _small(picture: np.ndarray) -> np.ndarray:
    step = max(1, picture.shape[0] // SIDE)
    return picture[::step, ::step]
