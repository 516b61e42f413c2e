"""One photo from disk to pixels, as a person would expect to see it."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from helpers.common.errors import PhotosError

MAX_PIXELS = 100_000_000  # a file of kilobytes can claim gigapixels; no camera of today does


LARGE = 25_000_000  # pixels; larger photos are decoded one after the other, or several threads would need gigabytes


_one_at_a_time = threading.Lock()


# No others are tried, whatever a file's name: EPS, for one, would be handed to Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF")  # JPEG: MPO of phones too


def load_photo(path: Path | str) -> Image.Image:
    """The photo as 8-bit RGB, upright.

    EXIF orientation is applied, 16-bit values are scaled (not cut off), transparency is laid over
    white, and of an animation the first frame is taken.

    Raises:
        PhotosError: the file is missing, damaged, no picture, or larger than ``MAX_PIXELS``.
    """
    try:
        with Image.open(path, formats=FORMATS) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise PhotosError(f"{path}: {photo.width} × {photo.height} is more than {MAX_PIXELS:,} pixels")
            with _one_at_a_time if photo.width * photo.height > LARGE else nullcontext():
                photo.load()
                ImageOps.exif_transpose(photo, in_place=True)
                return _to_rgb(photo)
    except PhotosError:
        raise
    except FileNotFoundError as error:
        raise PhotosError(f"{path} does not exist: check the path") from error
    except Exception as error:  # damaged files make Pillow raise OSError, SyntaxError, ValueError, struct.error …
        raise PhotosError(f"{path} is not a readable photo: {_reason(path, error)}") from error


def _to_rgb(photo: Image.Image) -> Image.Image:
    if photo.mode.startswith(("I", "F")):
        photo = _to_8_bit(photo)
    if photo.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    return photo.convert("RGB")


def _to_8_bit(photo: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits: Pillow's own conversion would cut off at 255.

    White is the format's (1 for fractions, 65,535 for 16 bits and what fits into them), so that a dark photo stays
    dark; larger values have no known white, and the largest of them is taken.
    """
    values = np.nan_to_num(np.asarray(photo, dtype=np.float64), posinf=0.0)
    largest = values.max(initial=0)
    top = 1.0 if photo.mode.startswith("F") and largest <= 1 else max(65535.0, largest)
    return Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))


def _reason(path: Path | str, error: Exception) -> str:
    if not Path(path).is_file():
        return "not a file"
    if Path(path).stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        return "no picture format that is known"
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own limit is higher, and looked at earlier
        return f"more than {MAX_PIXELS:,} pixels"
    return str(error) or type(error).__name__
