"""Figures of photos: samples, augmentation, the black border, and pairs of near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from torchvision.transforms import v2

from helpers.common.seeding import derive_seed
from helpers.data.augmentation import denormalize, five_augmentations, train_transform, val_transform
from helpers.plots.style import SIDE, WIDTH, finalize, gallery, notice, panels, square
from helpers.recipe import Recipe


def class_samples(rows: dict[str, Sequence[Image.Image]]) -> Figure:
    """Draw one row of photos per class, labelled with its name."""
    columns = max(map(len, rows.values()))
    figure, grid = panels(len(rows), columns, height=len(rows) * (WIDTH - 1) / columns)
    for axes_row, (name, photos) in zip(grid, rows.items(), strict=True):
        for axes, photo in zip(axes_row, photos, strict=False):
            axes.imshow(square(photo, 160))
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
    return finalize(figure)


def augmentation_grid(photo: Image.Image, recipe: Recipe, seed: int = 0) -> Figure:
    """Draw the photo, each of the five augmentations alone, and six outcomes of all together."""
    figure, grid = panels(2, 6, height=3.2)
    for axes, (name, picture) in zip(grid[0], _one_at_a_time(photo, recipe, seed), strict=True):
        axes.imshow(picture)
        axes.set_title(name, fontsize=9)
    for i, axes in enumerate(grid[1]):
        axes.imshow(transformed(train_transform(recipe), photo, derive_seed(seed, "all", i)))
    grid[0][0].set_ylabel("one at a time", fontsize=10)
    grid[1][0].set_ylabel("all together", fontsize=10)
    return finalize(figure)


def augmentation_strip(photo: Image.Image, recipe: Recipe, seed: int = 0) -> Figure:
    """Draw in one row the photo, each of the five augmentations alone, all together, and the validation image."""
    pictures = [
        *_one_at_a_time(photo, recipe, seed),
        ("all five", transformed(train_transform(recipe), photo, derive_seed(seed, "all", 0))),
        ("validation", transformed(val_transform(recipe), photo, seed)),
    ]
    figure, grid = panels(1, len(pictures), height=1.4)
    for axes, (name, picture) in zip(grid[0], pictures, strict=True):
        axes.imshow(picture)
        axes.set_anchor("S")  # pictures of two shapes stand on one line
        axes.set_xlabel(name)
    return finalize(figure)


def black_border(photo: Image.Image, recipe: Recipe) -> Figure:
    """Draw the photo, its CenterCrop for training, and its validation image, each with the share that is photo."""
    share = filled_share(*photo.size, recipe.crop_size)
    pictures = {
        f"photo, {photo.width} × {photo.height} px": photo,
        f"training: {share:.0%} of the image is photo": v2.CenterCrop(recipe.crop_size)(photo),
        "validation: all of the image is photo": transformed(val_transform(recipe), photo, 0),
    }
    figure, grid = panels(1, 3, height=3.0)
    for axes, (title, picture) in zip(grid[0], pictures.items(), strict=True):
        axes.imshow(picture)
        axes.set_title(title, fontsize=10)
    return finalize(figure)


def filled_share(width: int, height: int, crop_size: int) -> float:
    """The share of a central crop (px) that a photo of this size (px) fills; the rest is black."""
    return min(width, crop_size) * min(height, crop_size) / crop_size**2


def transformed(transform: v2.Transform, photo: Image.Image, seed: int) -> np.ndarray:
    """Apply a transform that ends in normalization, and undo the latter: float32 ``(H, W, 3)`` in [0, 1]."""
    return denormalize(_apply(transform, photo, seed)).permute(1, 2, 0).numpy()


def _one_at_a_time(photo: Image.Image, recipe: Recipe, seed: int) -> list[tuple[str, Image.Image]]:
    """The photo and the outcome of each augmentation alone, with their names."""
    pictures = [("photo", photo)]
    for i, method in enumerate(five_augmentations(recipe)):
        if isinstance(method, (v2.RandomHorizontalFlip, v2.RandomVerticalFlip)):
            method = type(method)(1.0)  # a flip that does not happen shows nothing
        name = type(method).__name__.removeprefix("Random")
        pictures.append((name, _apply(method, photo, derive_seed(seed, "method", i))))
    return pictures


def _apply(transform: v2.Transform, photo: Image.Image, seed: int):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transform(photo)


def pairs(photos: Sequence[tuple[Image.Image, Image.Image]], captions: Sequence[str]) -> Figure:
    """Draw pairs of photos side by side."""
    if not photos:
        return notice("no near-duplicates were found")
    gap = np.full((SIDE, 4, 3), 255, dtype=np.uint8)
    pictures = [np.hstack([np.asarray(square(left)), gap, np.asarray(square(right))]) for left, right in photos]
    return gallery(pictures, captions, columns=4, aspect=0.5)


def what_the_network_sees(photos: dict[str, Image.Image], recipe: Recipe) -> Figure:
    """Draw a photo of each class, its training image in two epochs, and its validation image."""
    rows = {"training": (train_transform(recipe), 1), "another epoch": (train_transform(recipe), 2)}
    if not recipe.augmentation:
        rows = {"training": (train_transform(recipe), 1)}
    rows["validation"] = (val_transform(recipe), 0)
    columns = max(len(photos), 5)
    figure, grid = panels(len(rows) + 1, columns, height=(len(rows) + 1) * 0.85 * WIDTH / columns)
    for column, (name, photo) in zip(grid.T, photos.items(), strict=False):
        whole = ImageOps.pad(photo, (2 * SIDE, 2 * SIDE), color="white")
        images = [transformed(transform, photo, seed) for transform, seed in rows.values()]
        for axes, picture in zip(column, [whole, *images], strict=True):
            axes.imshow(picture)
        column[0].set_title(name, fontsize=10)
    for axes, name in zip(grid[:, 0], ["photo", *rows], strict=True):
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    return finalize(figure)
