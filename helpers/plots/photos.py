"""Every figure. Each function takes data, not trainers, and returns a closed matplotlib Figure.

Closed means: pyplot does not hold it any more, so a notebook shows it once, as the cell's value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from torchvision.transforms import v2

from helpers.common.seeding import derive_seed
from helpers.data.augmentation import denormalize, five_augmentations, train_transform, val_transform
from helpers.plots.style import SIDE, WIDTH, finalize, notice, panels, square
from helpers.recipe import Recipe


def class_samples(rows: dict[str, Sequence[Image.Image]]) -> Figure:
    """One row of photos per class, the class's name before it."""
    columns = max(map(len, rows.values()))
    figure, grid = panels(len(rows), columns, height=len(rows) * (WIDTH - 1) / columns)
    for axes_row, (name, photos) in zip(grid, rows.items(), strict=True):
        for axes, photo in zip(axes_row, photos, strict=False):
            axes.imshow(square(photo, 160))
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
    return finalize(figure)


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
    return finalize(figure)


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
    return finalize(figure)


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
    return finalize(figure)


def filled_share(photo: Image.Image, crop_size: int) -> float:
    """The share of a central ``crop_size`` square that the photo covers; the rest is black."""
    return filled_share_of(photo.width, photo.height, crop_size)


def filled_share_of(width: int, height: int, crop_size: int) -> float:
    """The same for a photo of a size, in px."""
    return min(width, crop_size) * min(height, crop_size) / crop_size**2


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
    return finalize(figure)


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
    return finalize(figure)
