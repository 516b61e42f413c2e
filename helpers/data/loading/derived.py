"""Arrays derived from photos: several kinds in one pass, so that each photo is decoded once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from helpers.data.decode import decode_each
from helpers.data.loading.array_cache import Arrays, Shapes

# To be raised whenever the same photo gives other rows.
VERSION = f"decoded photos 4, Pillow {PIL.__version__}"


@dataclass(frozen=True, eq=False)
class Derived:
    """Arrays with one row per photo, and the function that writes a row."""

    name: str  # of the cache's entry; contains every setting that the rows depend on
    shapes: Shapes  # of one row
    write: Callable[[Image.Image, Arrays, int], None]  # (photo, arrays of zeros, row)

    def shapes_of(self, photos: int) -> Shapes:
        """Return the shapes for so many photos."""
        return {name: ((photos, *shape), dtype) for name, (shape, dtype) in self.shapes.items()}

    def zeros(self, photos: int) -> Arrays:
        """Return arrays of zeros for so many photos."""
        return {name: np.zeros(shape, dtype) for name, (shape, dtype) in self.shapes_of(photos).items()}


def fill(
    paths: Sequence[tuple[int, Path]], tables: Sequence[tuple[Derived, Arrays]], workers: int | None = None
) -> dict[int, str]:
    """Decode each photo once, and write its row into all tables.

    Args:
        paths: pairs of row and path.

    Returns:
        Row → reason, for the files that are not photos. Their rows stay unchanged.
    """

    def write(row: int, photo: Image.Image) -> None:
        for derived, arrays in tables:
            derived.write(photo, arrays, row)

    return decode_each(paths, write, workers)
