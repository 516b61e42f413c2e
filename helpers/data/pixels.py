"""From an open file to upright 8-bit sRGB. An export carries a copy of this module, which imports nothing of ours."""

import contextlib
import functools
import io
import struct

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

# Others are not tried, whatever the file's name: Pillow would hand EPS to Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")  # JPEG includes MPO
MAX_PIXELS = 100_000_000  # a file of kilobytes can claim gigapixels; no camera of today has as many
MAX_ASPECT = 50  # longer strips, scaled until their shorter side fits the network, would fill the memory
MAX_PROFILE = 16 << 20  # bytes; the largest profiles, of printing presses, have a few million
PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE  # a PNG's profile counts as text for Pillow, which stops at 1 MB
NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}  # the chunks of a PNG that make its picture
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners have
SRGB = ImageCms.createProfile("sRGB")


def open_photo(file: io.BufferedIOBase, formats: tuple[str, ...] = FORMATS, most: int = 0) -> Image.Image | None:
    """Decode a photo: upright, 8-bit sRGB, transparency on white, the first frame.

    Args:
        file: open for reading, and seekable.
        most: with more pixels than these, the photo is not decoded, and None is returned; 0: without this limit.

    Raises:
        OSError: it has more than ``MAX_PIXELS``, or is a line.
        Exception: damaged files make Pillow raise many kinds.
    """
    try:
        return _open(file, formats, most)
    except (ValueError, SyntaxError, UnidentifiedImageError):
        file.seek(0)
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            raise
        for needed in (NEEDED | {b"iCCP"}, NEEDED):  # what is too large or damaged may not belong to the picture
            with contextlib.suppress(ValueError, SyntaxError, OSError, struct.error):
                return _open(_bare_png(file, needed), formats, most)
        raise


def _open(file: io.BufferedIOBase, formats: tuple[str, ...], most: int) -> Image.Image | None:
    with Image.open(file, formats=formats) as photo:
        if photo.width * photo.height > MAX_PIXELS:
            raise OSError(f"{photo.width} × {photo.height} is more than {MAX_PIXELS:,} pixels")
        if max(photo.size) > MAX_ASPECT * min(photo.size):
            raise OSError(f"{photo.width} × {photo.height} px is a line, not a photo")
        if most and photo.width * photo.height > most:
            return None
        photo.load()
        ImageOps.exif_transpose(photo, in_place=True)
        return _to_rgb(photo)


def _bare_png(file: io.BufferedIOBase, needed: set[bytes]) -> io.BytesIO:
    """Copy a PNG without its other chunks; one that is cut off stays so."""
    file.seek(0)
    content = file.read()
    parts, place = [content[:8]], 8
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind in needed:
            parts.append(content[place : place + length + 12])
        place += length + 12
    return io.BytesIO(b"".join(parts))


def _to_rgb(photo: Image.Image) -> Image.Image:
    profile = photo.info.pop("icc_profile", None)
    if photo.mode.startswith(("I", "F")):
        photo = _to_8_bit(photo)
    if profile and len(profile) <= MAX_PROFILE:
        photo = _to_srgb(photo, profile)
    if photo.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    return photo if photo.mode == "RGB" else photo.convert("RGB")  # convert would copy


def _to_8_bit(photo: Image.Image) -> Image.Image:
    """Scale greyscale of more than 8 bits, which Pillow's own conversion would clip at 255.

    White is 1 for fractions, otherwise the largest value of the fewest bits that hold all values: files of 16 bits
    hold the 10, 12 or 14 of a camera without a word about it. Beyond 16 bits, white is the largest value.
    """
    values = np.nan_to_num(np.asarray(photo, dtype=np.float64), posinf=0.0)
    largest = values.max(initial=0)
    if photo.mode.startswith("F") and largest < 2:  # sharpening exceeds 1
        white = 1.0
    else:
        white = next((2.0**bits - 1 for bits in DEPTHS if largest < 2**bits), largest)
    clear = values == photo.info.get("transparency", np.nan)
    values.clip(0, white, out=values)
    if getattr(photo, "tag_v2", {}).get(262) == 0:  # TIFF's WhiteIsZero, which Pillow heeds up to 8 bits
        values = white - values
    values *= 255 / white
    values[clear] = 255
    return Image.fromarray(values.round().astype(np.uint8))


def _to_srgb(photo: Image.Image, profile: bytes) -> Image.Image:
    """Convert the colours; unchanged if the profile is damaged, or of other colours than the photo's."""
    grey, clear = photo.mode in ("L", "LA", "La"), photo.has_transparency_data
    layers = photo.convert("LA" if grey else "RGBA") if clear else photo  # a palette's colours are RGB
    plain = photo if photo.mode == "CMYK" else layers.convert("L" if grey else "RGB")
    for mode in ("L", "RGB") if grey else (plain.mode,):  # programs put sRGB's profile into greyscale, too
        if convert := _conversion(profile, mode):
            converted = convert.apply(plain.convert(mode))
            del converted.info["icc_profile"]
            if clear:
                converted.putalpha(layers.getchannel("A"))
            return converted
    return photo


@functools.lru_cache(maxsize=8)
def _conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what turns colours of this mode into sRGB; None if the profile is damaged or makes no sense."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        convert = ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(SRGB), mode, "RGB")
    except (OSError, TypeError, ValueError):
        return None
    ink = mode == "CMYK"
    ramp = np.arange(0, 256, 51, dtype=np.uint8).repeat(len(mode))  # white to black with inks, otherwise black to white
    found = np.asarray(convert.apply(Image.frombytes(mode, (6, 1), ramp.tobytes())))[0]
    sensible = found[0 if ink else -1].min() > 200 and (ink or 40 < found[3].mean() < 230)
    return convert if sensible else None
