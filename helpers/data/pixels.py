"""From an opened image to upright 8-bit RGB. An export carries a copy of this module, which imports nothing of ours."""

import numpy as np
from PIL import Image, ImageOps

# Others are not tried, whatever the file's name: Pillow would hand EPS to Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")  # JPEG includes MPO


def upright_rgb(photo: Image.Image) -> Image.Image:
    """Decode an opened image: rotated as its EXIF tag says, 8 bits per colour, transparency on white, first frame."""
    photo.load()
    ImageOps.exif_transpose(photo, in_place=True)
    return _to_rgb(photo)


def _to_rgb(photo: Image.Image) -> Image.Image:
    if photo.mode.startswith(("I", "F")):
        photo = _to_8_bit(photo)
    if photo.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    return photo if photo.mode == "RGB" else photo.convert("RGB")  # convert would copy


def _to_8_bit(photo: Image.Image) -> Image.Image:
    """Scale greyscale of more than 8 bits, which Pillow's own conversion would clip at 255.

    White is 1 for fractions and 65,535 otherwise, so that a dark photo stays dark; beyond that, the largest value.
    """
    values = np.nan_to_num(np.asarray(photo, dtype=np.float64), posinf=0.0)
    largest = values.max(initial=0)
    white = 1.0 if photo.mode.startswith("F") and largest <= 1 else max(65535.0, largest)
    return Image.fromarray((values.clip(0, white) * (255 / white)).round().astype(np.uint8))
