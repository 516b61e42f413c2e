"""The demo's photos: a folder of five species of flowers that the program draws itself.

Every photo is a pure function of (species, seed, index): ``garden_photo`` composes it from the species of
``garden_flowers``, which ``garden_growth`` turns and ages, and from the surroundings in ``garden_scene``.
"""

import hashlib
import json
import multiprocessing
import os
import re
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from helpers.common.errors import PhotosError
from helpers.common.progress import progress
from helpers.data.sources.garden_flowers import SPECIES
from helpers.data.sources.garden_photo import draw_photo

DRAWING = "drawing the demo photos"
VERSION = 2  # raise it when the drawing changes: gardens on disk are then redrawn


def plant_garden(folder: Path, photos_per_class: int = 160, seed: int = 0, workers: int | None = None) -> Path:
    """Draw the garden into ``folder/<species>/<species>_0001.jpg`` …, or reuse it if it is there.

    The folder appears at once and complete: it is drawn beside its place and then renamed.

    Args:
        folder: its place; missing, empty, or an earlier garden (redrawn if damaged or different).
        photos_per_class: how many photos of each species.
        workers: processes; None: one per processor, 0 or 1: draw in this process.

    Raises:
        PhotosError: a number is out of range, or the folder is not writable or holds other files.
    """
    folder = Path(folder)
    if photos_per_class < 1:
        raise PhotosError(f"photos_per_class = {photos_per_class}: the garden needs at least 1 photo of each species")
    if seed < 0:
        raise PhotosError(f"seed = {seed}: must be 0 or more")
    manifest = {"version": VERSION, "seed": seed, "photos_per_class": photos_per_class}
    if _is_complete(folder, manifest):
        return folder
    _refuse_foreign_files(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            fresh = Path(beside) / "garden"
            _draw_all(fresh, photos_per_class, seed, workers)
            (fresh / "garden.json").write_text(json.dumps({**manifest, "sha256": _digest(fresh)}, indent=1) + "\n")
            _move_in(fresh, folder, Path(beside) / "old", manifest)
    except OSError as error:
        raise PhotosError(f"cannot write the demo photos to {folder} ({error}): choose a writable folder") from error
    return folder


def _photo_names(photos_per_class: int) -> list[tuple[str, int, str]]:
    """List (species, index, relative path) of every photo of a garden."""
    return [(s, i, f"{s}/{s}_{i + 1:04d}.jpg") for s in SPECIES for i in range(photos_per_class)]


def _files(folder: Path) -> list[str]:
    """List the relative paths of the files below, sorted, except hidden ones such as .DS_Store."""
    paths = [p.relative_to(folder) for p in folder.rglob("*") if not p.is_dir()]
    return sorted(p.as_posix() for p in paths if not any(part.startswith(".") for part in p.parts))


def _digest(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of all files but the manifest."""
    total = hashlib.sha256()
    for name in _files(folder):
        if name != "garden.json":
            total.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


def _is_complete(folder: Path, manifest: dict) -> bool:
    try:
        found = json.loads((folder / "garden.json").read_text())
        return found == {**manifest, "sha256": _digest(folder)}
    except (OSError, ValueError):
        return False


def _refuse_foreign_files(folder: Path) -> None:
    """Raise PhotosError for files of a person: only an outdated garden may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PhotosError(f"{folder} is a file: choose another folder for the demo photos")
    own = re.compile(rf"garden\.json|({'|'.join(SPECIES)})/\1_\d{{4,}}\.jpg")
    foreign = [name for name in _files(folder) if not own.fullmatch(name)]
    if not foreign and not (folder / "garden.json").exists():
        foreign = _files(folder)
    if foreign:
        raise PhotosError(
            f"{folder} holds files that are not the demo's, such as {foreign[0]}: "
            "move them away, or choose another folder for the demo photos"
        )


def _move_in(fresh: Path, folder: Path, old: Path, manifest: dict) -> None:
    """Put the fresh garden in its place; another process may have been quicker."""
    if folder.exists() and not _is_complete(folder, manifest):
        os.replace(folder, old)
    try:
        os.replace(fresh, folder)
    except OSError:
        if not _is_complete(folder, manifest):
            raise


def _end_with_parent() -> None:
    """End this worker with its parent: the workers hold ends of each other's pipes, and would wait for ever."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _draw_all(folder: Path, photos_per_class: int, seed: int, workers: int | None) -> None:
    for species in SPECIES:
        (folder / species).mkdir(parents=True)
    jobs = _photo_names(photos_per_class)
    if workers is None:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(available, 16, len(jobs) // 30)  # a new process costs as much time as 30 photos
    chunks = [jobs[i : i + 15] for i in range(0, len(jobs), 15)]
    if workers > 1:
        try:
            spawn = multiprocessing.get_context("spawn")  # a fork would copy torch's threads and locks
            with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_end_with_parent) as pool:
                done = pool.map(_draw_chunk, chunks, [folder] * len(chunks), [seed] * len(chunks))
                list(progress(done, len(chunks), DRAWING))
            return
        except BrokenProcessPool:
            pass  # spawning needs a main module that can be imported; without one, draw here
    for chunk in progress(chunks, len(chunks), DRAWING):
        _draw_chunk(chunk, folder, seed)


def _draw_chunk(chunk: list[tuple[str, int, str]], folder: Path, seed: int) -> None:
    for species, index, name in chunk:
        draw_photo(species, seed, index).save(folder / name, quality=88)
