"""Decode photos to upright 8-bit sRGB, whatever their format."""

import functools
import importlib.util
import itertools
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from helpers.common.errors import PhotosError
from helpers.common.files import regular
from helpers.common.progress import progress
from helpers.data.image_folder import CAMERA_SUFFIXES, is_heic
from helpers.data.pixels import FORMATS, MAX_PIXELS, open_photo

LARGE = 25_000_000  # pixels; larger photos are decoded one at a time: in several threads they would need gigabytes


def load_photo(path: Path | str) -> Image.Image:
    """Decode a photo to upright 8-bit sRGB.

    EXIF orientation and colour profile are applied, 16-bit values are scaled, transparency is shown on white, and of
    an animation the first frame is taken.

    Raises:
        PhotosError: the file is missing, damaged, not a photo, or larger than ``MAX_PIXELS``.
    """
    return _load(path)


def decode_each(
    paths: Iterable[tuple[int, Path]], use: Callable[[int, Image.Image], None], workers: int | None = None
) -> dict[int, str]:
    """Decode photos in threads and call ``use(row, photo)`` for each; large photos follow one at a time.

    Args:
        paths: pairs of row and path.
        workers: threads; None: one per core and a few.

    Returns:
        Row → reason, for the files that are not readable photos.

    Raises:
        PhotosError: the system cannot read a file, or has too little memory.
    """
    paths, problems = list(paths), {}

    def decode(item: tuple[int, Path], most: int = 0) -> bool:
        """Use a photo; return whether it has more than ``most`` pixels and was left."""
        row, path = item
        try:
            photo = _load(path, most)
            if photo is None:
                return True
            use(row, photo)
        except PhotosError as error:
            if isinstance(error.__cause__, MemoryError) or getattr(error.__cause__, "errno", None):
                raise
            problems[row] = str(error).removeprefix(str(path)).removeprefix(" is not a readable photo").lstrip(": ")
        return False

    # Pillow's warnings about EXIF data and sizes are silenced here, not in the threads: filters belong to the process,
    # and threads would restore each other's.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")
        # Pillow decodes and resizes without holding the interpreter's lock.
        large = list(progress(pool.map(lambda item: decode(item, LARGE), paths), len(paths), "decoding photos"))
        for item in itertools.compress(paths, large):  # in this thread: glibc keeps what a thread freed for that thread
            decode(item)
    return problems


def _load(path: Path | str, most: int = 0) -> Image.Image | None:
    """Decode a photo; None if it has more than ``most`` pixels, where that is not 0."""
    try:
        with open(path, "rb", opener=regular) as file:
            return open_photo(file, readable_formats(), most)
    except FileNotFoundError as error:
        raise PhotosError(f"{path} does not exist: check the path") from error
    except Exception as error:  # damaged files make Pillow raise OSError, SyntaxError, ValueError, struct.error …
        raise PhotosError(f"{path} is not a readable photo: {_reason(path, error)}") from error


def _unknown_format(path: Path) -> str:
    with open(path, "rb", opener=regular) as file:
        head = file.read(32)
    if is_heic(head):
        return "HEIC, which phones write: convert it to JPEG, or install pillow-heif into .venv"
    if path.suffix.lower() in CAMERA_SUFFIXES:
        return f"{path.suffix} is not read: convert it to JPEG"
    return "not a known image format"


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Return the formats that are read: HEIC only where pillow-heif is installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        return FORMATS
    import pillow_heif

    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _reason(path: Path | str, error: Exception) -> str:
    if not Path(path).is_file():
        return "not a file"
    if Path(path).stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        return _unknown_format(Path(path))
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own limit is higher, but checked earlier
        return f"more than {MAX_PIXELS:,} pixels"
    return str(error) or type(error).__name__
