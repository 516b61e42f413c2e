"""From the parameter ``dataset`` to an audit: what the command line tools begin with."""

from __future__ import annotations

from pathlib import Path

from helpers.audit import Audit, audit_photos
from helpers.photos import find_photos
from helpers.recipe import Recipe
from helpers.sources import locate_photos


def look_at(recipe: Recipe, root: Path) -> Audit:
    """The audit of the recipe's photos.

    Raises:
        PhotosError: there are none that could be used.
    """
    cache = root / recipe.work_dir / "photos"
    folder = locate_photos(recipe.dataset, cache, root=root, demo_photos=recipe.demo_photos)
    return audit_photos(find_photos(folder))
