"""Every figure. Each function takes data, not trainers, and returns a closed matplotlib Figure.

Closed means: pyplot does not hold it any more, so a notebook shows it once, as the cell's value.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torchvision.transforms import v2

from helpers.augment import denormalize, five_augmentations, train_transform, val_transform
from helpers.history import History
from helpers.recipe import Recipe
from helpers.seeds import derive_seed

# Okabe & Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#B8A800")  # one after another; yellow is darkened
MARKERS = "osD^vP*"
WIDTH = 9.0  # inches: the width of a JupyterLab column


def class_samples(rows: dict[str, Sequence[Image.Image]]) -> Figure:
    """One row of photos per class, the class's name before it."""
    columns = max(map(len, rows.values()))
    figure, grid = panels(len(rows), columns, height=len(rows) * (WIDTH - 1) / columns)
    for axes_row, (name, photos) in zip(grid, rows.items(), strict=True):
        for axes, photo in zip(axes_row, photos, strict=False):
            axes.imshow(square(photo, 160))
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
    return finished(figure)


def augmentation_grid(photo: Image.Image, recipe: Recipe, seed: int = 0) -> Figure:
    """The photo before, after each of the five methods alone, and after all of them, six times."""
    methods = five_augmentations(recipe)
    figure, grid = panels(2, 6, height=3.2)
    grid[0][0].imshow(photo)
    grid[0][0].set_title("before", fontsize=9)
    for i, (axes, method) in enumerate(zip(grid[0][1:], methods, strict=True)):
        axes.imshow(_applied(_certain(method), photo, derive_seed(seed, "method", i)))
        axes.set_title(type(method).__name__.replace("Random", ""), fontsize=9)
    for i, axes in enumerate(grid[1]):
        picture = _applied(train_transform(recipe), photo, derive_seed(seed, "all", i))
        axes.imshow(_displayable(picture))
    grid[0][0].set_ylabel("one at a time", fontsize=10)
    grid[1][0].set_ylabel("all together", fontsize=10)
    return finished(figure)


def augmentation_strip(photo: Image.Image, recipe: Recipe, seed: int = 0) -> Figure:
    """In one row: the photo, each of the five methods alone, all together, and what validation sees."""
    pictures = [("photo", photo)]
    for i, method in enumerate(five_augmentations(recipe)):
        name = type(method).__name__.replace("Random", "")
        pictures.append((name, _applied(_certain(method), photo, derive_seed(seed, "method", i))))
    together = _applied(train_transform(recipe), photo, derive_seed(seed, "all", 0))
    pictures += [("all five", _displayable(together)), ("validation", _displayable(val_transform(recipe)(photo)))]
    figure, grid = panels(1, len(pictures), height=1.4)
    for axes, (name, picture) in zip(grid[0], pictures, strict=True):
        axes.imshow(picture)
        axes.set_anchor("S")  # pictures of two shapes stand on one line
        axes.set_xlabel(name)
    return finished(figure)


def black_border(photo: Image.Image, recipe: Recipe) -> Figure:
    """The photo, what CenterCrop gives training, and what validation sees, each with its filled share."""
    crop = v2.CenterCrop(recipe.crop_size)(photo)
    figure, grid = panels(1, 3, height=3.0)
    val = _displayable(val_transform(recipe)(photo))
    for axes, picture, title in zip(
        grid[0],
        (photo, crop, val),
        (
            f"the photo, {photo.width} × {photo.height}",
            f"training: {filled_share(photo, recipe.crop_size):.0%} of it is photo",
            "validation: all of it is photo",
        ),
        strict=True,
    ):
        axes.imshow(picture)
        axes.set_title(title, fontsize=10)
    return finished(figure)


def filled_share(photo: Image.Image, crop_size: int) -> float:
    """The share of a central ``crop_size`` square that the photo covers; the rest is black."""
    return filled_share_of(photo.width, photo.height, crop_size)


def filled_share_of(width: int, height: int, crop_size: int) -> float:
    """The same for a photo of a size, in px."""
    return min(width, crop_size) * min(height, crop_size) / crop_size**2


def learning_rate_curve(rates: Sequence[float]) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 2.4))
    axes.step(range(len(rates)), rates, where="mid", color=BLUE, linewidth=2)
    axes.set(xlabel="epoch", ylabel="learning rate", yscale="log" if min(rates) > 0 else "linear")
    quiet(axes)
    return finished(figure)


def training_curves(history: History, training: str = "training (augmented)") -> Figure:
    """Loss and accuracy of training and validation; the epoch of the best validation accuracy marked.

    Args:
        training: the name of the training's line.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    epochs = history.column("epoch")
    for axes, quantity in ((left, "loss"), (right, "accuracy")):
        for subset, colour in (("train", BLUE), ("val", ORANGE)):
            axes.plot(epochs, history.column(f"{subset}_{quantity}"), color=colour, marker="o", markersize=3)
        axes.axvline(history.best.epoch, color=GREY, linestyle=":", linewidth=1.2)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        quiet(axes)
    left.set_ylim(bottom=0)
    right.plot(history.best.epoch, history.best.val_accuracy, "o", color=ORANGE, markersize=9, markerfacecolor="none")
    left.legend([training, "validation", f"best epoch ({history.best.epoch})"], frameon=False, fontsize=9)
    return finished(figure)


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
    return finished(figure)


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
    quiet(right)
    right.grid(visible=False)
    return finished(figure)


def _certain(method: v2.Transform) -> v2.Transform:
    """The method with probability 1: a flip that does not happen shows nothing."""
    flips = (v2.RandomHorizontalFlip, v2.RandomVerticalFlip)
    return type(method)(1.0) if isinstance(method, flips) else method


def _applied(transform: v2.Transform, photo: Image.Image, seed: int):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transform(photo)


def transformed(transform: v2.Transform, photo: Image.Image, seed: int) -> np.ndarray:
    """The photo through a transform that ends in normalization, for looking: float32 ``(H, W, 3)`` in [0, 1]."""
    return _displayable(_applied(transform, photo, seed))


def _displayable(image: torch.Tensor) -> np.ndarray:
    return denormalize(image).permute(1, 2, 0).numpy()


def square(photo: Image.Image, side: int) -> Image.Image:
    """The photo's central square; small, so that the notebook's file stays small."""
    short = min(photo.size)
    return v2.functional.center_crop(photo, [short, short]).resize((side, side), Image.Resampling.LANCZOS)


def panels(
    rows: int, columns: int, height: float, width_ratios: Sequence[float] | None = None
) -> tuple[Figure, np.ndarray]:
    """A grid of pictures without ticks or frames."""
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, width_ratios=width_ratios)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure, grid


def quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def finished(figure: Figure) -> Figure:
    figure.set_layout_engine("constrained")
    plt.close(figure)
    return figure
