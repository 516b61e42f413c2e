"""Figures of photos with what was said of them: mistakes, reasons, pairs that are alike, what the network is given."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from helpers.augment import denormalize, train_transform, val_transform
from helpers.mistakes import Answer
from helpers.plots import GREY, ORANGE, WIDTH, finished, panels, square, transformed
from helpers.recipe import Recipe
from helpers.saliency import Reason

SIDE = 112  # px of a picture: a notebook shows no more


def answer_gallery(answers: Sequence[Answer], photos: Sequence[Image.Image], columns: int = 6) -> Figure:
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
    return finished(figure)


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
    return finished(figure)


def pairs(photos: Sequence[tuple[Image.Image, Image.Image]], captions: Sequence[str], columns: int = 4) -> Figure:
    """Two photos side by side, as often as there are pairs."""
    if not photos:
        return notice("none: no two photos show the same")
    rows = -(-len(photos) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns / 2 + 0.45))
    gap = np.full((SIDE, 4, 3), 255, dtype=np.uint8)
    for axes, (left, right), caption in zip(grid.flat, photos, captions, strict=False):
        axes.imshow(np.hstack([np.asarray(square(left, SIDE)), gap, np.asarray(square(right, SIDE))]))
        axes.set_title(caption, fontsize=8)
    return finished(figure)


def what_the_network_sees(photos: dict[str, Image.Image], recipe: Recipe) -> Figure:
    """A photo of each class, what training makes of it in two epochs, and what validation does."""
    rows = {"training": (train_transform(recipe), 1), "another epoch": (train_transform(recipe), 2)}
    if not recipe.augmentation:
        rows = {"training": (train_transform(recipe), 1)}
    rows["validation"] = (val_transform(recipe), 0)
    columns = max(len(photos), 5)
    figure, grid = panels(len(rows) + 1, columns, height=(len(rows) + 1) * 0.85 * WIDTH / columns)
    for column, (name, photo) in zip(grid.T, photos.items(), strict=False):
        whole = ImageOps.pad(photo, (2 * SIDE, 2 * SIDE), color="white")
        seen = [transformed(transform, photo, seed) for transform, seed in rows.values()]
        for axes, picture in zip(column, [whole, *seen], strict=True):
            axes.imshow(picture)
        column[0].set_title(name, fontsize=10)
    for axes, name in zip(grid[:, 0], ["the photo", *rows], strict=True):
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
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
