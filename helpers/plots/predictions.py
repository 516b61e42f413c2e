"""Figures of photos with their predictions: mistakes, suspected labels, saliency, and a single photo."""

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
from helpers.plots.style import BLUE, ORANGE, SIDE, WIDTH, despine, finalize, gallery, notice, panels, square


def prediction_gallery(photos: Sequence[ClassifiedPhoto], images: Sequence[Image.Image]) -> Figure:
    """Draw photos with the predicted class and the runner-up; of mistakes, also the true class."""
    if not photos:
        return notice("none: every photo is classified correctly")
    titles = []
    for photo in photos:
        (name, share), first = photo.other, f"{photo.predicted} {percent(photo.probability)}"
        second = f"{name} {percent(share)}" if photo.correct else f"true: {name} ({percent(share)})"
        titles.append(f"{first}\n{second}" if photo.correct else f"predicted {first}\n{second}")
    colours = ["black" if photo.correct else ORANGE for photo in photos]
    return gallery([square(image) for image in images], titles, colours=colours)


def suspected(photos: Sequence[Image.Image], found: Sequence[Suspect]) -> Figure:
    """Draw photos whose label is suspected, with the label and the predicted class."""
    titles = [f"labelled {each.label}\npredicted {each.predicted} {each.predicted_probability:.0%}" for each in found]
    return gallery([square(photo) for photo in photos], titles)


def photo_prediction(photo: Image.Image, probabilities: torch.Tensor, classes: Sequence[str]) -> Figure:
    """Draw a photo beside its probability for each class."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 0.8, 2.8), width_ratios=(1, 1.2))
    left.imshow(photo)
    left.axis("off")
    shares = probabilities.tolist()
    colours = [BLUE if share == max(shares) else "#BBBBBB" for share in shares]
    bars = right.barh(range(len(classes)), shares, color=colours)
    right.bar_label(bars, [f"{share:.1%}" for share in shares], padding=4, fontsize=9)
    right.set_yticks(range(len(classes)), classes)
    right.set(xlim=(0, 1.15), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel="probability")
    right.invert_yaxis()
    despine(right)
    right.grid(visible=False)
    return finalize(figure)


def saliency(explanations: Sequence[Explanation]) -> Figure:
    """Draw for each photo the picture, and the parts that raise the score of the predicted class and of another."""
    if not explanations:
        return notice("no predictions to explain")
    columns = 3
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
        f"{photo.label}\n(correct)" if photo.correct else f"true: {photo.label}\n(mistake)",
        f"for {photo.predicted}\n{percent(photo.probability)}",
        f"for {other}\n{percent(probability)}",
    )
    for axes, title, heat in zip(three, titles, (None, explanation.for_predicted, explanation.for_other), strict=True):
        # Below the heat the picture is grey, or yellow heat would be lost on yellow petals.
        axes.imshow(picture if heat is None else picture.mean(2), cmap="gray", vmin=0, vmax=1)
        if heat is not None:  # opaque where it is hot, so that parts that raise no score stay as they are
            hot = _small(heat.numpy())
            axes.imshow(hot, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * hot, interpolation="bilinear")
        axes.set_title(title, fontsize=8, color="black" if photo.correct else ORANGE)


def _small(picture: np.ndarray) -> np.ndarray:
    step = max(1, picture.shape[0] // SIDE)
    return picture[::step, ::step]
