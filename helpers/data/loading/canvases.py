"""The part of each photo that the network may see, decoded to uint8 and kept in memory and on disk."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from helpers.common.errors import PhotosError
from helpers.data.audit import Audit
from helpers.data.augmentation import val_geometry
from helpers.data.loading.array_cache import Arrays, new_entries, read_entry
from helpers.data.loading.derived import VERSION, Derived, fill
from helpers.recipe import Recipe

BILINEAR = Image.Resampling.BILINEAR
BICUBIC = Image.Resampling.BICUBIC  # sharper than torchvision's bilinear by about as much as later sampling smooths


def train_canvas(photo: Image.Image, recipe: Recipe) -> np.ndarray:
    """Draw what training may see of a photo: PIL RGB → uint8 ``(3, side, side)``, black outside the photo."""
    canvas = np.zeros((3, *[canvas_sides(recipe)[0]] * 2), np.uint8)
    _draw_canvas(photo, recipe, canvas)
    return canvas


def _draw_canvas(photo: Image.Image, recipe: Recipe, canvas: np.ndarray) -> None:
    """Draw a photo on its canvas, which is black.

    It is resized across, then down: Pillow chooses the order by the shape, and the bits depend on it.
    """
    side, full = canvas_sides(recipe)
    if recipe.crop == "random_resized":  # the whole photo, squeezed into a square: any part may be needed
        canvas[:] = _pixels(photo.resize((side, side), BICUBIC))
        return
    left, top = (_crop_start(length, full) for length in photo.size)
    (x0, x1), (y0, y1) = (_reach(start, length, recipe) for start, length in zip((left, top), photo.size, strict=True))
    box = [start + place * full // side for start, place in ((left, x0), (top, y0), (left, x1), (top, y1))]
    first, last = max(0, box[1]), min(photo.height, box[3])  # rows that are not black
    part = photo.crop((box[0], first, box[2], last)).resize((x1 - x0, last - first), BICUBIC)
    part = part.crop((0, box[1] - first, x1 - x0, box[3] - first)).resize((x1 - x0, y1 - y0), BICUBIC)
    canvas[:, y0:y1, x0:x1] = _pixels(part)


def half_size(photo: Image.Image, recipe: Recipe) -> np.ndarray:
    """Halve the photo's width and height at the network's scale, float32 ``(2,)``; random_resized: in its own px.

    torchvision's rotation keeps the photo's frame: what turns out of it is lost, and its place is black.
    """
    scale = 1.0 if recipe.crop == "random_resized" else recipe.image_size / recipe.crop_size
    return np.asarray(photo.size, dtype=np.float32) * (scale / 2)


def val_picture(photo: Image.Image, recipe: Recipe) -> np.ndarray:
    """Make what validation sees of a photo: PIL RGB → uint8 ``(3, val_size, val_size)``.

    It is ``val_geometry``'s, bit for bit; to crop between the two steps of Pillow's resizing saves a sixth of the time.
    """
    side, shorter = recipe.val_size, min(photo.size)
    width, height = (int(recipe.val_resize * length / shorter) for length in photo.size)  # as torchvision rounds it
    if photo.height > 1.5 * photo.width:  # of tall photos Pillow resizes the height first
        return _pixels(v2.Compose(val_geometry(recipe))(photo))
    left, top = _crop_start(width, side), _crop_start(height, side)
    across = photo.resize((width, photo.height), BILINEAR).crop((left, 0, left + side, photo.height))
    return _pixels(across.resize((side, height), BILINEAR).crop((0, top, side, top + side)))


def canvas_sides(recipe: Recipe) -> tuple[int, int]:
    """Return the side of the stored canvas, and of the square of the photo that it holds (px).

    A crop of side ``c``, rotated by up to ``a``, reaches over a square of side ``c (cos a + sin a)``. For random
    resized crops the canvas holds the whole photo, whatever its size, at 1.7 times the network's scale: less would blur
    small crops (on 41 real photos their mean gradient is .92 of torchvision's at 1.25, and 1.02 at 1.7).
    """
    if recipe.crop == "random_resized":
        return 2 * math.ceil(0.85 * recipe.image_size), 0
    angle = math.radians(min(recipe.rotation, 45.0))
    reach = math.cos(angle) + math.sin(angle)
    side = math.ceil(recipe.image_size * reach / 2) * 2 + 2
    return side, round(side * recipe.crop_size / recipe.image_size)


def _crop_start(length: int, full: int) -> int:
    """Return where torchvision's central crop begins along one side; negative where the photo is smaller."""
    return round((length - full) / 2) if length >= full else -((full - length) // 2)


def _reach(start: int, length: int, recipe: Recipe) -> tuple[int, int]:
    """Return the range of the canvas, along one side, that may not be black: only that is computed.

    It is resized bit for bit like the whole: it begins where the scale gives whole pixels, and is the whole where the
    scale has no exact binary fraction.
    """
    side, full = canvas_sides(recipe)
    step = Fraction(full, side).denominator
    if step & (step - 1):
        return 0, side
    # The bicubic kernel reaches over 2 px of the coarser scale, and what it reaches to needs as many neighbours.
    margin = 4 * max(1, full / side)
    first, last = (-start - margin) * side / full, (length - start + margin) * side / full
    return max(0, math.floor(first / step) * step), min(side, math.ceil(last / step) * step)


def _pixels(photo: Image.Image) -> np.ndarray:
    return np.asarray(photo, dtype=np.uint8).transpose(2, 0, 1)


def train_arrays(recipe: Recipe) -> Derived:
    """Describe ``canvases``, uint8 ``(n, 3, side, side)``, and ``half_sizes``, float32 ``(n, 2)``."""
    side, _ = canvas_sides(recipe)

    def write(photo: Image.Image, arrays: Arrays, row: int) -> None:
        _draw_canvas(photo, recipe, arrays["canvases"][row])
        arrays["half_sizes"][row] = half_size(photo, recipe)

    kind = "whole" if recipe.crop == "random_resized" else recipe.crop_size
    shapes = {"canvases": ((3, side, side), "uint8"), "half_sizes": ((2,), "float32")}
    return Derived(f"train-{recipe.image_size}-{side}-{kind}", shapes, write)


def val_arrays(recipe: Recipe) -> Derived:
    """Describe ``pictures``, uint8 ``(n, 3, val_size, val_size)``."""

    def write(photo: Image.Image, arrays: Arrays, row: int) -> None:
        arrays["pictures"][row] = val_picture(photo, recipe)

    shapes = {"pictures": ((3, recipe.val_size, recipe.val_size), "uint8")}
    return Derived(f"val-{recipe.val_size}-{recipe.val_resize}", shapes, write)


def val_pictures(audit: Audit, photos: Sequence[int], recipe: Recipe, cache: Path | None = None) -> torch.Tensor:
    """Return what validation sees of these photos of the audit: uint8 ``(n, 3, val_size, val_size)``."""
    return decoded_photos(audit, [(val_arrays(recipe), photos)], cache)[0]["pictures"]


def decoded_photos(
    audit: Audit, wanted: Sequence[tuple[Derived, Sequence[int]]], cache: Path | None = None
) -> list[dict[str, torch.Tensor]]:
    """Return the arrays of each ``(derived, photos)``, for these positions in the audit's photos.

    Args:
        cache: folder that keeps decoded photos between runs; None keeps nothing.

    Raises:
        PhotosError: a photo can no longer be decoded.
    """
    kept = _cached(audit, [derived for derived, _ in wanted], cache) if cache else {}
    result = []
    for derived, photos in wanted:
        if derived.name in kept:  # the cache holds all photos, so that another split finds them there too
            rows = np.array(audit.rows)[list(photos)]
            arrays = {name: array[rows] for name, array in kept[derived.name].items()}
        else:
            arrays = derived.zeros(len(photos))
            _fill([(row, audit.photos.path(i)) for row, i in enumerate(photos)], [(derived, arrays)])
        result.append({name: torch.from_numpy(array) for name, array in arrays.items()})
    return result


def _cached(audit: Audit, wanted: Iterable[Derived], cache: Path) -> dict[str, Arrays]:
    """Return the arrays of all files by name, without those for which the disk has no room."""
    entries = {cache / f"{derived.name}-{audit.key}": derived for derived in wanted}
    shapes = {entry: derived.shapes_of(len(audit.found)) for entry, derived in entries.items()}
    kept = {}
    for entry in entries:
        if arrays := audit.made.get(entry) or read_entry(entry, shapes[entry], VERSION):
            kept[entry] = arrays
    with new_entries({entry: shapes[entry] for entry in entries if entry not in kept}, VERSION) as fresh:
        if fresh:
            tables = [(entries[entry], arrays) for entry, arrays in fresh.items()]
            _fill([(row, audit.found.path(row)) for row in audit.rows], tables)
    return {entries[entry].name: arrays for entry, arrays in (kept | fresh).items()}


def _fill(paths: list[tuple[int, Path]], tables: list[tuple[Derived, Arrays]]) -> None:
    if problems := fill(paths, tables):
        row, reason = min(problems.items())
        raise PhotosError(f"{dict(paths)[row]} is not a readable photo any more: {reason}")
