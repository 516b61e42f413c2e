"""Where photos come from: drawn, a folder, an archive, or a download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from helpers.common.errors import PhotosError
from helpers.common.text import did_you_mean
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources.archives import SUFFIXES, is_archive, unpack
from helpers.data.sources.download import download
from helpers.recipe import Recipe

# TensorFlow's collection of 3,670 photos by photographers on Flickr, CC-BY 2.0; LICENSE.txt inside
# names each of them. Its classes are daisy, dandelion, roses, sunflowers and tulips. It is the larger
# set from which the course took its 2,848. The digest is the one that TensorFlow Datasets publishes
# (tensorflow_datasets/datasets/tf_flowers/checksums.tsv, 228,813,984 bytes).
FLOWER_PHOTOS_URL = "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz"


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
    """A folder with the photos of ``dataset``: ``demo``, ``flower_photos``, or a path.

    Args:
        cache: where drawn, downloaded and unpacked photos are kept between runs.
        root: what a relative path is relative to.
        demo_photos, seed: how many photos per class to draw, and which.
        url, sha256: the archive behind ``flower_photos``, and what it must be.
        log: told what takes a while, a line at a time.

    Raises:
        PhotosError: there is nothing of that name, or it cannot be drawn, downloaded or unpacked.
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
    if path.is_file() and is_archive(path):
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
    if path.is_file():
        return f"dataset = {dataset!r} is neither a folder nor an archive ({', '.join(SUFFIXES)})"
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    known = ["demo", "flower_photos", *siblings]
    hint = did_you_mean(Path(dataset).name, known, "give demo, flower_photos, or the path of a folder or archive")
    return f"dataset = {dataset!r}: {path} does not exist{hint}"


def open_dataset(recipe: Recipe, root: Path) -> Audit:
    """The audit of the recipe's photos.

    Raises:
        PhotosError: there are none that could be used.
    """
    cache = root / recipe.work_dir / "photos"
    folder = locate_photos(recipe.dataset, cache, root=root, demo_photos=recipe.demo_photos)
    return audit_photos(find_photos(folder), recipe, root / recipe.work_dir / "cache")


def locate_existing(recipe: Recipe, root: Path, data: str | None = None) -> Path:
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
