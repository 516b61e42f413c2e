"""Locate photos: drawn, in a folder, in an archive, or to be downloaded."""

import os
from collections.abc import Callable
from pathlib import Path

from helpers.common.errors import PhotosError
from helpers.common.text import did_you_mean
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources.archives import unpack
from helpers.data.sources.download import download
from helpers.recipe import DEFAULTS, Recipe

# TensorFlow's collection of 3,670 photos by photographers on Flickr, CC-BY 2.0; LICENSE.txt inside
# names each of them. Its classes are daisy, dandelion, roses, sunflowers and tulips. It is the larger
# set from which the course took its 2,848. The digest is the one that TensorFlow Datasets publishes
# (tensorflow_datasets/datasets/tf_flowers/checksums.tsv, 228,813,984 bytes).
FLOWER_PHOTOS_URL = "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz"
DRAWN_UNASKED = 1000  # demo photos per class, for the figures of a finished run

FLOWER_PHOTOS_SHA256 = "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c"


def locate_photos(
    dataset: str,
    cache: Path,
    *,
    root: Path,
    demo_photos: int = 160,
    seed: int = 0,
    url: str = FLOWER_PHOTOS_URL,
    sha256: str = FLOWER_PHOTOS_SHA256,
    log: Callable[[str], None] = print,
) -> Path:
    """Return a folder with the photos of ``dataset``: ``demo``, ``flower_photos``, or a path.

    Args:
        cache: folder for drawn, downloaded and unpacked photos, kept between runs.
        root: what a relative path is relative to.
        demo_photos, seed: how many photos per class to draw, and which.
        url, sha256: the archive behind ``flower_photos``, and what it must be.
        log: is told what takes a while.

    Raises:
        PhotosError: there is no such data set, or it cannot be drawn, downloaded or unpacked.
    """
    if dataset == "demo":
        from helpers.data.sources.garden import plant_garden  # drawing is needed for this one alone

        return plant_garden(cache / f"demo-{demo_photos}-{seed}", photos_per_class=demo_photos, seed=seed)
    if dataset == "flower_photos":
        archive = cache / "flower_photos.tgz"
        log("flower_photos: by photographers on Flickr, CC-BY 2.0; the archive's LICENSE.txt names them")
        download(url, archive, sha256, log=log)
        return unpack(archive, cache)
    path = root / _expanded(dataset)
    if path.is_dir():
        return path
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv"):
        raise PhotosError(f"dataset = {dataset!r} is a table of labels: give the folder that holds it and the photos")
    if path.is_file():
        return unpack(path, cache)
    raise PhotosError(_explanation(dataset, path))


def _expanded(dataset: str) -> Path:
    if not dataset.strip():  # would be the root itself
        raise PhotosError("dataset is empty: give demo, flower_photos, or the path of a folder or archive")
    try:
        return Path(dataset).expanduser()
    except RuntimeError as error:
        raise PhotosError(f"dataset = {dataset!r}: there is no such home folder; write the path in full") from error


def _explanation(dataset: str, path: Path) -> str:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    known = ["demo", "flower_photos", *siblings]
    hint = did_you_mean(Path(dataset).name, known, "give demo, flower_photos, or the path of a folder or archive")
    return f"dataset = {dataset!r}: {path} does not exist{hint}"


def open_dataset(recipe: Recipe, root: Path) -> Audit:
    """Locate and audit the recipe's photos.

    Raises:
        PhotosError: there are no usable photos.
    """
    cache = root / recipe.work_dir / "photos"
    folder = locate_photos(recipe.dataset, cache, root=root, demo_photos=recipe.demo_photos)
    return audit_photos(find_photos(folder), recipe, root / recipe.work_dir / "cache")


def locate_existing(recipe: Recipe, root: Path, data: str | None = None) -> Path:
    """Return the folder of a finished run's photos; nothing is downloaded.

    Whoever made the run wrote its recipe, which may name any folder: unasked, only the project's own are opened.

    Args:
        data: where the photos are, if not where the recipe says: a path seen from here or from ``root``.

    Raises:
        PhotosError: they are not here.
    """
    cache = root / DEFAULTS["work_dir"] / "photos"
    dataset = str(Path(data).resolve()) if data and os.path.exists(data) else data or recipe.dataset
    if dataset == "demo" and recipe.demo_photos > DRAWN_UNASKED:
        raise PhotosError(f"{recipe.demo_photos:,} photos per class would be drawn first")
    if not data and outside(dataset, root):
        raise PhotosError(f"the recipe names photos outside of the project, {dataset}, which are not opened unasked")
    if dataset == "flower_photos" and not (cache / "flower_photos.tgz").is_file():
        raise PhotosError(f"flower_photos is not downloaded yet: {cache} has no flower_photos.tgz")
    return locate_photos(dataset, cache, root=root, demo_photos=recipe.demo_photos)


def outside(dataset: str, root: Path) -> bool:
    """Tell whether a run's photos lie outside of the project, whose folder is ``root``."""
    own = dataset in ("demo", "flower_photos")
    return not own and not (root / _expanded(dataset)).resolve().is_relative_to(root.resolve())
