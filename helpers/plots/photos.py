"""Figures of photos: samples, augmentation, the black border, and pairs of near-duplicates."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from torchvision.transforms import v2

from helpers.common.seeding import derive_seed
from helpers.data.augmentation import denormalize, is_recipes, train_transform, val_transform
from helpers.plots.style import SIDE, finalize, gallery, notice, panels, picture_rows, square
from helpers.recipe import Recipe


def class_samples(rows: dict[str, Sequence[Image.Image]]) -> Figure:
    """Draw one row of photos per class, labelled with its name."""
    return picture_rows({name: [square(photo, 160) for photo in photos] for name, photos in rows.items()})


def augmentation_grid(photo: Image.Image, transform: v2.Transform, seed: int = 0) -> Figure:
    """Draw the photo, each method of a training transform alone, and six training images.

    Methods that are switched off are left out. Without randomness all training images are the same: one is drawn.
    """
    together = [transformed(transform, photo, derive_seed(seed, "all", i)) for i in range(6)]
    if all(np.array_equal(each, together[0]) for each in together):
        return gallery((photo, together[0]), ("photo", "training image, the same in every epoch"), columns=3)
    names, alone = zip(*_one_at_a_time(photo, transform, seed), strict=True)
    numbers = [f"image {i + 1}" for i in range(len(together))]
    return picture_rows({"one at a time": alone, "all together": together}, names, numbers)


def augmentation_strip(photo: Image.Image, recipe: Recipe, seed: int = 0) -> Figure:
    """Draw in one row the photo, each augmentation alone, all of them together, and the validation image."""
    pictures = [
        *_one_at_a_time(photo, train_transform(recipe), seed),
        ("together", transformed(train_transform(recipe), photo, derive_seed(seed, "all", 0))),
        ("validation", transformed(val_transform(recipe), photo, seed)),
    ]
    shapes = [np.asarray(picture).shape for _, picture in pictures]
    ratios = [width / height for height, width, _ in shapes]  # so that pictures of two shapes are equally high
    figure, grid = panels(1, len(pictures), height=1.2, width_ratios=ratios)
    for axes, (name, picture) in zip(grid[0], pictures, strict=True):
        axes.imshow(picture)
        axes.set_xlabel(name)
    return finalize(figure)


def black_border(photo: Image.Image, recipe: Recipe, training: v2.Transform | None = None) -> Figure:
    """Draw the photo, its CenterCrop, and its validation image, each with the share that is photo.

    A run that trains on other images is shown what the published crop would do.

    Args:
        training: the transform that is used, if it may be another than the recipe's.
    """
    own = training is not None and not is_recipes(training, train_transform(recipe))
    used = recipe.augmentation and recipe.crop == "center" and not own
    name = "training" if used else f"published crop ({recipe.crop_size} px), not used here"
    crop, val = v2.CenterCrop(recipe.crop_size)(photo), transformed(val_transform(recipe), photo, 0)
    titles = (
        f"photo, {photo.width} × {photo.height} px",
        f"{name}:\n{filled_share(*photo.size, recipe.crop_size):.0%} of the image is photo",
        "validation:\nall of the image is photo",
    )
    return gallery((photo, crop, val), titles, columns=3)


def filled_share(width: int, height: int, crop_size: int) -> float:
    """Return the share of a central crop (px) that a photo of this size (px) fills; the rest is black."""
    return min(width, crop_size) * min(height, crop_size) / crop_size**2


def transformed(transform: v2.Transform, photo: Image.Image, seed: int) -> np.ndarray:
    """Apply a transform that ends in normalization, and undo the latter: float32 ``(H, W, 3)`` in [0, 1]."""
    return denormalize(_apply(transform, photo, seed)).permute(1, 2, 0).numpy()


def _one_at_a_time(photo: Image.Image, transform: v2.Transform, seed: int) -> list[tuple[str, Image.Image]]:
    """Return the photo and the outcome of each method that changes it before it becomes a tensor, by name."""
    pictures = [("photo", photo)]
    for i, method in enumerate(getattr(transform, "transforms", [])):
        if getattr(method, "p", 0) and "Flip" in type(method).__name__:
            method = type(method)(1.0)  # a flip that does not happen shows nothing
        picture = _apply(method, photo, derive_seed(seed, "method", i))
        if not isinstance(picture, Image.Image):
            break
        if (picture.size, picture.tobytes()) != (photo.size, photo.tobytes()):
            pictures.append((type(method).__name__.removeprefix("Random"), picture))
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
    transforms = {"training": (train_transform(recipe), 1), "another epoch": (train_transform(recipe), 2)}
    if not recipe.augmentation:
        del transforms["another epoch"]
    transforms["validation"] = (val_transform(recipe), 0)
    rows: dict[str, Sequence] = {"photo": [ImageOps.pad(photo, (224, 224), color="white") for photo in photos.values()]}
    for name, (transform, seed) in transforms.items():
        rows[name] = [transformed(transform, photo, seed) for photo in photos.values()]
    return picture_rows(rows, tuple(photos))
