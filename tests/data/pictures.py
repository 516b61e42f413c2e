"""Pictures whose pixels are easily read wrongly: colour profiles, chunks of PNGs, greyscale of many bits."""

import struct
import zlib

import numpy as np
from PIL import Image

P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))  # red, green, blue in XYZ (D50)
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
ADOBE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))


def profile(space, **tags):
    """Write an ICC profile for monitors (``mntr``), or for printers if the space is CMYK."""
    tags = {"wtpt": _xyz((0.9642, 1.0, 0.8249)), **tags}
    body, table = b"", struct.pack(">I", len(tags))
    for name, data in tags.items():
        table += struct.pack(">4sII", name.encode(), 132 + 12 * len(tags) + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    kind, pcs = (b"prtr", b"Lab ") if space == "CMYK" else (b"mntr", b"XYZ ")
    head = struct.pack(">III", 128 + len(table) + len(body), 0, 0x02400000) + kind + space.encode() + pcs
    head = (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0") + _xyz((0.9642, 1.0, 0.8249))[8:]
    return head.ljust(128, b"\0") + table + body


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(each * 65536) for each in values))


def _curve(gamma):
    """Return a curve: a number, or sRGB's as a table."""
    if gamma != "sRGB":
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    x = np.linspace(0, 1, 256)
    table = np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) * 65535
    return b"curv\0\0\0\0" + struct.pack(">I256H", 256, *table.round().astype(int))


def rgb_profile(primaries=P3, gamma=2.2):
    """Return a profile of these primaries; that of a phone has sRGB's curve with P3."""
    matrix = {f"{name}XYZ": _xyz(values) for name, values in zip("rgb", primaries, strict=True)}
    return profile("RGB ", **matrix, **{f"{name}TRC": _curve(gamma) for name in "rgb"})


def grey_profile(gamma=1.0):
    return profile("GRAY", kTRC=_curve(gamma))


def cmyk_profile():
    """Return a press's profile, in which all inks but cyan only darken, and cyan is a pale green."""
    grid = np.indices((2,) * 4).reshape(4, -1).T  # cyan, magenta, yellow, black
    light = 255 * (1 - grid[:, 1:].max(1)) * np.where(grid[:, 0], 0.8, 1)
    green = np.where(grid[:, 0] > grid[:, 1:].max(1), 78, 128)
    colours = np.stack([light, green, np.full(16, 128)], 1).astype(np.uint8).tobytes()
    ramp, gain = bytes(range(256)), bytes(round(255 * (i / 255) ** 0.3) for i in range(256))  # paper drinks ink
    table = struct.pack(">4B", 4, 3, 2, 0) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    return profile("CMYK", A2B0=b"mft1\0\0\0\0" + table + gain * 4 + colours + ramp * 3)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def icc_chunk(data):
    return chunk(b"iCCP", b"a\0\0" + zlib.compress(data, 9))


def text_chunk(data):
    return chunk(b"zTXt", b"a\0\0" + zlib.compress(data, 9))


def insert(path, *chunks, before=b"IDAT"):
    """Put chunks into a PNG, before its pixels or its end."""
    content = path.read_bytes()
    place = content.index(before) - 4
    path.write_bytes(content[:place] + b"".join(chunks) + content[place:])


def gradient(dtype, low, high):
    return np.linspace(low, high, 90 * 60).reshape(60, 90).astype(dtype)


def _grey(dtype, low, high, **options):
    return lambda folder: _saved(Image.fromarray(gradient(dtype, low, high)), folder / "a.tif", **options)


def _colours(mode, suffix, icc):
    values = np.stack([gradient(np.uint8, *ends) for ends in ((0, 255), (255, 0), (40, 200))], -1)
    return lambda folder: _saved(Image.fromarray(values).convert(mode), folder / f"a.{suffix}", icc_profile=icc)


def _with_chunks(*chunks):
    def write(folder):
        path = _colours("RGB", "png", None)(folder)
        insert(path, *chunks)
        return path

    return write


def _saved(picture, path, **options):
    picture.save(path, **options)
    return path


# name → function of a folder that writes the picture and returns its path
PICTURES = {
    "16 bit": _grey(np.uint16, 0, 65535),
    "12 bits in 16": _grey(np.uint16, 0, 4095),
    "white is zero": _grey(np.uint8, 0, 255, tiffinfo={262: 0}),
    "16-bit white is zero": _grey(np.uint16, 0, 65535, tiffinfo={262: 0}),
    "float": _grey(np.float32, 0, 1),
    "large float": _grey(np.float32, -5, 90_000),
    "signed": _grey(np.int32, -40_000, 40_000),
    "P3": _colours("RGB", "jpg", rgb_profile()),
    "palette with a profile": _colours("P", "png", rgb_profile()),
    "transparent with a profile": _colours("RGBA", "webp", rgb_profile()),
    "grey profile": _colours("L", "jpg", grey_profile()),
    "CMYK with a profile": _colours("CMYK", "jpg", cmyk_profile()),
    "damaged profile": _colours("RGB", "jpg", b"no profile"),
    "2 MB of text": _with_chunks(text_chunk(bytes(2_000_000))),
    "a bomb of text": _with_chunks(text_chunk(bytes(20_000_000)), icc_chunk(rgb_profile())),
}
