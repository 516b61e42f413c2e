"""Photos decoded once, to what the network will see of them, in memory; kept on disk for the next run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as T

from helpers.data.audit import Audit
from helpers.data.augmentation import val_geometry
from helpers.data.decode import load_photo
from helpers.data.loading.array_cache import Arrays, Shapes, cached_arrays
from helpers.recipe import Recipe


def train_canvas(photo: Image.Image, recipe: Recipe) -> np.ndarray:
    """What training may see of a photo: PIL RGB → uint8 ``(3, side, side)``, black outside it."""
    side, full = canvas_sides(recipe)
    if recipe.crop == "random_resized":  # the whole photo, squeezed into a square: any part may be asked for
        return _pixels(photo.resize((side, side), Image.Resampling.BICUBIC))
    canvas = T.center_crop(photo, [full, full])
    # Bicubic is sharper than torchvision's bilinear by about as much as the sampling that follows smooths.
    return _pixels(canvas.resize((side, side), Image.Resampling.BICUBIC))


def half_size(photo: Image.Image, recipe: Recipe) -> np.ndarray:
    """Half the photo's width and height at the network's scale, float32 ``(2,)``; random_resized: in its own px.

    torchvision's rotation keeps the photo's frame: what turns out of it is lost, and black.
    """
    if recipe.crop == "random_resized":
        return np.asarray(photo.size, dtype=np.float32) / 2
    return np.asarray(photo.size, dtype=np.float32) * (recipe.image_size / recipe.crop_size / 2)


def val_picture(photo: Image.Image, recipe: Recipe) -> np.ndarray:
    """What validation sees of a photo: PIL RGB → uint8 ``(3, val_size, val_size)``."""
    for transform in val_geometry(recipe):
        photo = transform(photo)
    return _pixels(photo)


def canvas_sides(recipe: Recipe) -> tuple[int, int]:
    """Side of the stored canvas, and of the square of the photo that it holds (px).

    A crop of side ``c``, rotated by up to ``a``, reaches over a square of side ``c (cos a + sin a)``. For random
    resized crops the canvas holds the whole photo, whatever its size, at 5/4 of the network's scale.
    """
    if recipe.crop == "random_resized":
        return 2 * math.ceil(0.625 * recipe.image_size), 0
    angle = math.radians(min(recipe.rotation, 45.0))
    reach = math.cos(angle) + math.sin(angle)
    side = math.ceil(recipe.image_size * reach / 2) * 2 + 2
    return side, round(side * recipe.crop_size / recipe.image_size)


def _pixels(photo: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(photo, dtype=np.uint8).transpose(2, 0, 1))


# To be raised whenever load_photo, train_canvas, frame or val_picture give other pixels than before.
VERSION = f"decoded photos 1, Pillow {PIL.__version__}"


def train_canvases(
    audit: Audit, rows: Sequence[int], recipe: Recipe, cache: Path | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What training may see of the photos ``rows`` of the audit.

    Args:
        cache: folder that keeps decoded photos from run to run; None keeps nothing.

    Returns:
        Canvases, uint8 ``(n, 3, side, side)``, and frames, float32 ``(n, 2)``: see ``resident``.
    """
    side, _ = canvas_sides(recipe)
    parts = {"canvases": ((3, side, side), "uint8"), "frames": ((2,), "float32")}

    def store(arrays: Arrays, row: int, path: Path) -> None:
        photo = load_photo(path)
        arrays["canvases"][row] = train_canvas(photo, recipe)
        arrays["frames"][row] = half_size(photo, recipe)

    kind = "whole" if recipe.crop == "random_resized" else recipe.crop_size
    name = f"train-{recipe.image_size}-{side}-{kind}"
    arrays = _decoded(audit, rows, parts, store, name, cache)
    return arrays["canvases"], arrays["frames"]


def val_pictures(audit: Audit, rows: Sequence[int], recipe: Recipe, cache: Path | None = None) -> torch.Tensor:
    """What validation sees of the photos ``rows`` of the audit: uint8 ``(n, 3, val_size, val_size)``."""
    parts = {"pictures": ((3, recipe.val_size, recipe.val_size), "uint8")}

    def store(arrays: Arrays, row: int, path: Path) -> None:
        arrays["pictures"][row] = val_picture(load_photo(path), recipe)

    return _decoded(audit, rows, parts, store, f"val-{recipe.val_size}-{recipe.val_resize}", cache)["pictures"]


def _decoded(audit: Audit, rows: Sequence[int], parts: Shapes, store, name: str, cache: Path | None):
    """The chosen rows as tensors. The cache holds all photos, so that another split finds them there too."""
    if cache is not None:
        every = range(len(audit.photos))
        shapes = {part: ((len(every), *shape), dtype) for part, (shape, dtype) in parts.items()}
        entry = cache / f"{name}-{_key(audit)}"
        arrays = cached_arrays(entry, shapes, VERSION, lambda arrays: _decode(audit, every, arrays, store))
        if arrays is not None:
            return {part: torch.from_numpy(array[np.asarray(rows)]) for part, array in arrays.items()}
    arrays = {part: np.empty((len(rows), *shape), dtype) for part, (shape, dtype) in parts.items()}
    _decode(audit, rows, arrays, store)
    return {part: torch.from_numpy(array) for part, array in arrays.items()}


def _decode(audit: Audit, rows: Sequence[int], arrays: Arrays, store) -> None:
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the interpreter's lock
        paths = [audit.photos.path(i) for i in rows]
        list(pool.map(lambda row: store(arrays, row, paths[row]), range(len(rows))))


def _key(audit: Audit) -> str:
    """The data's fingerprint and the photos' order, shortened."""
    text = "\n".join([audit.fingerprint, *audit.photos.names])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
