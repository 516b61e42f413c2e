"""From the parameter ``dataset`` to an audit: what the command line tools begin with."""

from __future__ import annotations

from pathlib import Path

from helpers.audit import Audit, audit_photos
from helpers.errors import PhotosError
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


def photos_at_hand(recipe: Recipe, root: Path, data: str | None = None) -> Path:
    """The folder of a finished run's photos. Nothing is downloaded for it.

    Args:
        data: where the photos are now, if not where the recipe says: a path seen from here or from ``root``.

    Raises:
        PhotosError: they are not here.
    """
    cache = root / recipe.work_dir / "photos"
    dataset = str(Path(data).resolve()) if data and Path(data).exists() else data or recipe.dataset
    if dataset == "flower_photos" and not (cache / "flower_photos.tgz").is_file():
        raise PhotosError(f"flower_photos is not downloaded yet: {cache} has no flower_photos.tgz")
    return locate_photos(dataset, cache, root=root, demo_photos=recipe.demo_photos)
