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
WIDTH = 9.0  # inches: the width of a JupyterLab column


def class_samples(rows: dict[str, Sequence[Image.Image]]) -> Figure:
    """One row of photos per class, the class's name before it."""
    columns = max(map(len, rows.values()))
    figure, grid = _panels(len(rows), columns, height=len(rows) * (WIDTH - 1) / columns)
    for axes_row, (name, photos) in zip(grid, rows.items(), strict=True):
        for axes, photo in zip(axes_row, photos, strict=False):
            axes.imshow(_square(photo, 160))
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
    return _finished(figure)


def augmentation_grid(photo: Image.Image, recipe: Recipe, seed: int = 0) -> Figure:
    """The photo before, after each of the five methods alone, and after all of them, six times."""
    methods = five_augmentations(recipe)
    figure, grid = _panels(2, 6, height=3.2)
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
    return _finished(figure)


def black_border(photo: Image.Image, recipe: Recipe) -> Figure:
    """The photo, what CenterCrop gives training, and what validation sees, each with its filled share."""
    crop = v2.CenterCrop(recipe.crop_size)(photo)
    figure, grid = _panels(1, 3, height=3.0)
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
    return _finished(figure)


def filled_share(photo: Image.Image, crop_size: int) -> float:
    """The share of a central ``crop_size`` square that the photo covers; the rest is black."""
    return min(photo.width, crop_size) * min(photo.height, crop_size) / crop_size**2


def learning_rate_curve(rates: Sequence[float]) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 2.4))
    axes.step(range(len(rates)), rates, where="mid", color=BLUE, linewidth=2)
    axes.set(xlabel="epoch", ylabel="learning rate", yscale="log" if min(rates) > 0 else "linear")
    _quiet(axes)
    return _finished(figure)


def training_curves(history: History) -> Figure:
    """Loss and accuracy of training and validation; the epoch of the best validation accuracy marked."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    epochs = history.column("epoch")
    for axes, quantity in ((left, "loss"), (right, "accuracy")):
        for subset, colour in (("train", BLUE), ("val", ORANGE)):
            axes.plot(epochs, history.column(f"{subset}_{quantity}"), color=colour, marker="o", markersize=3)
        axes.axvline(history.best.epoch, color=GREY, linestyle=":", linewidth=1.2)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _quiet(axes)
    left.set_ylim(bottom=0)
    right.plot(history.best.epoch, history.best.val_accuracy, "o", color=ORANGE, markersize=9, markerfacecolor="none")
    left.legend(["training (augmented)", "validation", f"best epoch ({history.best.epoch})"], frameon=False, fontsize=9)
    return _finished(figure)


def confusion(matrix: torch.Tensor, classes: Sequence[str]) -> Figure:
    """Counts, coloured by the share of the true class, so that classes of any size compare."""
    side = 1.9 + 0.6 * len(classes)
    figure, axes = plt.subplots(figsize=(side + 0.8, side))
    shares = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(classes)):
        for column in range(len(classes)):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, int(matrix[row, column]), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    return _finished(figure)


def photo_prediction(photo: Image.Image, probabilities: torch.Tensor, classes: Sequence[str]) -> Figure:
    """The photo beside its probability for each class."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 0.8, 2.8), width_ratios=(1, 1.2))
    left.imshow(photo)
    left.axis("off")
    best = int(probabilities.argmax())
    bars = right.barh(
        range(len(classes)), probabilities, color=[BLUE if i == best else "#BBBBBB" for i in range(len(classes))]
    )
    right.bar_label(bars, [f"{p:.1%}" for p in probabilities.tolist()], padding=4, fontsize=9)
    right.set_yticks(range(len(classes)), classes)
    right.set(xlim=(0, 1.15), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel="probability")
    right.invert_yaxis()
    _quiet(right)
    right.grid(visible=False)
    return _finished(figure)


def _certain(method: v2.Transform) -> v2.Transform:
    """The method with probability 1: a flip that does not happen shows nothing."""
    flips = (v2.RandomHorizontalFlip, v2.RandomVerticalFlip)
    return type(method)(1.0) if isinstance(method, flips) else method


def _applied(transform: v2.Transform, photo: Image.Image, seed: int):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transform(photo)


def _displayable(image: torch.Tensor) -> np.ndarray:
    return denormalize(image).permute(1, 2, 0).numpy()


def _square(photo: Image.Image, side: int) -> Image.Image:
    """The photo's central square; small, so that the notebook's file stays small."""
    short = min(photo.size)
    return v2.functional.center_crop(photo, [short, short]).resize((side, side), Image.Resampling.LANCZOS)


def _panels(rows: int, columns: int, height: float) -> tuple[Figure, np.ndarray]:
    """A grid of pictures without ticks or frames."""
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure, grid


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def comparison(rows: Sequence[dict]) -> Figure:
    """Recipes against the seed recipe: paired differences in points with their intervals, the accuracy beside each.

    Args:
        rows: of ``comparison.json``, as many as are to be compared; the seed recipe itself draws the line at 0.
    """
    seed = next(row for row in rows if row["recipe"] == "seed")
    others = sorted((row for row in rows if row is not seed), key=lambda row: row["difference_to_seed"])
    figure, axes = plt.subplots(figsize=(WIDTH, 1.2 + 0.3 * len(others)))
    for y, row in enumerate(others):
        mean, low, high = (100 * row[name] for name in ("difference_to_seed", "difference_low", "difference_high"))
        colour = GREEN if low > 0 else ORANGE if high < 0 else GREY
        axes.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="o", color=colour, capsize=3)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(others)), [f"{row['recipe']}  {row['accuracy_mean']:.1%}" for row in others])
    axes.set_ylim(-0.7, len(others) - 0.3)
    axes.set_xlabel(
        f"points above the seed recipe ({seed['accuracy_mean']:.1%} of {seed['photos']:,} photos), 95 % interval"
    )
    axes.grid(axis="x", alpha=0.3)
    return _finished(figure)


def study_history(numbers: Sequence[int], accuracies: Sequence[float]) -> Figure:
    """The accuracy of every finished trial, and the best so far."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    axes.plot(numbers, [100 * value for value in accuracies], "o", color=BLUE, label="trial")
    best = np.maximum.accumulate([100 * value for value in accuracies])
    axes.step(numbers, best, where="post", color=ORANGE, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel("accuracy (%)")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    return _finished(figure)


def importances(shares: dict[str, float]) -> Figure:
    """How much of the difference between trials goes with each setting."""
    names = sorted(shares, key=shares.get)
    figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.28 * len(names)))
    axes.barh(names, [shares[name] for name in names], color=BLUE)
    axes.set_xlabel("share of the importance (PED-ANOVA, Watanabe et al., 2023)")
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    figure.set_layout_engine("constrained")
    plt.close(figure)
    return figure
