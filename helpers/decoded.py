"""Photos decoded once, to what the network will see of them, in memory; kept on disk for the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch

from helpers import resident
from helpers.audit import Audit
from helpers.cache import Arrays, Shapes, cached_arrays
from helpers.decode import load_photo
from helpers.recipe import Recipe

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
    side, _ = resident.canvas_sides(recipe)
    parts = {"canvases": ((3, side, side), "uint8"), "frames": ((2,), "float32")}

    def store(arrays: Arrays, row: int, path: Path) -> None:
        photo = load_photo(path)
        arrays["canvases"][row] = resident.train_canvas(photo, recipe)
        arrays["frames"][row] = resident.frame(photo, recipe)

    kind = "whole" if recipe.crop == "random_resized" else recipe.crop_size
    name = f"train-{recipe.image_size}-{side}-{kind}"
    arrays = _decoded(audit, rows, parts, store, name, cache)
    return arrays["canvases"], arrays["frames"]


def val_pictures(audit: Audit, rows: Sequence[int], recipe: Recipe, cache: Path | None = None) -> torch.Tensor:
    """What validation sees of the photos ``rows`` of the audit: uint8 ``(n, 3, val_size, val_size)``."""
    parts = {"pictures": ((3, recipe.val_size, recipe.val_size), "uint8")}

    def store(arrays: Arrays, row: int, path: Path) -> None:
        arrays["pictures"][row] = resident.val_picture(load_photo(path), recipe)

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
