"""The demo's photos: five species of flowers that the program draws itself.

Every photo is a pure function of (species, seed, index). It is painted at twice its size and
then reduced, which smooths the edges. ``garden_flowers`` holds the species, ``garden_scene``
their surroundings.
"""

from __future__ import annotations

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

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from helpers.common.errors import PhotosError
from helpers.data.sources.garden_flowers import VARIETIES, bloom, place, pose
from helpers.data.sources.garden_scene import (
    PETAL_COLOURS,
    Shape,
    a_green,
    backdrop,
    develop,
    grass,
    out_of_focus,
    paint,
    ribbon,
)

SPECIES = ("daisy", "dandelion", "rose", "sunflower", "tulip")


VERSION = 1  # raise it when the drawing changes: gardens on disk are then redrawn


SIZES = ((240, 180), (180, 240), (240, 240), (320, 240))  # width, height in px


STEMS = {"daisy": 0.045, "dandelion": 0.05, "rose": 0.06, "sunflower": 0.09, "tulip": 0.09}  # half width / radius


def draw_photo(species: str, seed: int, index: int) -> Image.Image:
    """One RGB photo of a species, 180–320 px wide and 180–240 px high.

    Raises:
        PhotosError: the species is none of SPECIES, or a number is negative.
    """
    if species not in SPECIES:
        raise PhotosError(f"species {species!r} is unknown: choose one of {', '.join(SPECIES)}")
    if seed < 0 or index < 0:
        raise PhotosError(f"seed = {seed}, index = {index}: both must be 0 or more")
    rng = np.random.default_rng((seed, SPECIES.index(species), index))
    size = SIZES[rng.choice(len(SIZES), p=(0.5, 0.2, 0.15, 0.15))]
    flowers = _arrange(rng, size)
    light = _unit(rng.normal((-0.3, -0.5, 0.8), 0.3))
    colour = _petal_colour(rng, species)
    scene = backdrop(rng, size)
    deep = rng.random() < 0.5  # the companions stand so far behind that they blur with the backdrop
    if deep:
        _bloom_all(rng, scene, species, flowers[1:], colour, light)
    scene = out_of_focus(scene, rng.uniform(0.8, 2.2) if deep else rng.uniform(1.2, 5.5))
    scene = scene.resize((2 * size[0], 2 * size[1]), Image.Resampling.BICUBIC)
    _bloom_all(rng, scene, species, [(2 * c, 2 * r) for c, r in (flowers[:1] if deep else flowers)], colour, light)
    if rng.random() < 0.35:
        grass(rng, ImageDraw.Draw(scene, "RGBA"), scene.size, int(rng.integers(1, 6)), rng.uniform(4, 10))
    return develop(rng, scene.reduce(2))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _petal_colour(rng: Generator, species: str) -> np.ndarray:
    names = VARIETIES[species]
    return np.array(PETAL_COLOURS[names[rng.integers(len(names))]]) + rng.normal(0, 9, 3)


def _arrange(rng: Generator, size: tuple[int, int]) -> list[tuple[np.ndarray, float]]:
    """1–5 flowers as (centre, radius) in px, the subject, near the middle, first."""
    short = min(size)
    count = int(rng.choice(5, p=(0.52, 0.24, 0.12, 0.07, 0.05))) + 1
    radius = short * rng.uniform(0.35, 0.47) * (1 - 0.04 * (count - 1))
    centre = np.array(size) * (0.5, 0.47) + rng.normal(0, 0.06, 2) * short
    flowers = [(centre, radius)]
    for _ in range(count - 1):
        turn, other = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.4, 0.85)
        away = (radius + other) * rng.uniform(0.75, 1.25)
        flowers.append((centre + away * np.array([np.cos(turn), 0.8 * np.sin(turn)]), other))
    return flowers


def _bloom_all(
    rng: Generator, image: Image.Image, species: str, flowers: list, colour: np.ndarray, light: np.ndarray
) -> None:
    """Paints the flowers with stems and leaves, the last one first."""
    draw = ImageDraw.Draw(image, "RGBA")
    for centre, radius in reversed(flowers):
        own = _petal_colour(rng, species) if rng.random() < 0.2 else colour
        frame = pose(rng, species)
        _stem(rng, draw, species, centre, radius, frame[2], image.height)
        for shape in bloom(rng, species, own * rng.uniform(0.93, 1.05), frame, min(1.0, radius / 150)):
            paint(draw, place(shape, frame, centre, radius, light))


def _stem(
    rng: Generator,
    draw: ImageDraw.ImageDraw,
    species: str,
    centre: np.ndarray,
    radius: float,
    axis: np.ndarray,
    bottom: int,
) -> None:
    """A stem from the head's base down to the picture's lower edge, with leaves."""
    base = centre - axis[:2] * radius * (0.7 if species == "tulip" else 0.1)
    foot = np.array([base[0] + rng.normal(0, 0.5) * radius, max(bottom, base[1]) + radius])
    bend = np.array([base[0] - axis[0] * radius * 0.8, (base[1] + foot[1]) / 2])
    green = a_green(rng)
    leaves = {"tulip": 3, "rose": 5, "sunflower": 3}.get(species, 2)
    for _ in range(int(rng.integers(leaves > 2, leaves + 1))):
        paint(draw, _leaf(rng, species, base, foot, radius, green))
    stem_green = green if species != "dandelion" else green * 0.7 + (50, 35, 25)
    paint(
        draw, ribbon(np.array([base, bend, foot]), radius * STEMS[species] * rng.uniform(0.7, 1.2), stem_green, "stem")
    )


def _leaf(rng: Generator, species: str, base: np.ndarray, foot: np.ndarray, radius: float, green: np.ndarray) -> Shape:
    """Tulips have long leaves from the ground, the others shorter ones along the stem."""
    side = rng.choice((-1, 1))
    if species == "tulip":
        start = base + (foot - base) * rng.uniform(0.8, 1.0)
        tip = start + radius * np.array([side * rng.uniform(0.4, 1.4), -rng.uniform(1.6, 3.0)])
        width = 0.22
    else:
        start = base + (foot - base) * rng.uniform(0.2, 0.7)
        tip = start + radius * np.array([side * rng.uniform(0.7, 1.4), rng.uniform(-0.7, 0.4)])
        width = {"rose": 0.3, "sunflower": 0.36}.get(species, 0.12)
    middle = (start + tip) / 2 + radius * rng.normal(0, 0.2, 2)
    return ribbon(np.array([start, middle, tip]), radius * width * rng.uniform(0.7, 1.2), green * 0.9, "leaf")


def plant_garden(folder: Path, photos_per_class: int = 120, seed: int = 0, workers: int | None = None) -> Path:
    """Draws the garden into ``folder/<species>/<species>_0001.jpg`` …, or reuses it if it is there.

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
    """(species, index, relative path) of every photo of a garden."""
    return [(s, i, f"{s}/{s}_{i + 1:04d}.jpg") for s in SPECIES for i in range(photos_per_class)]


def _files(folder: Path) -> list[str]:
    """Relative paths of the files below, sorted, except hidden ones such as .DS_Store."""
    paths = [p.relative_to(folder) for p in folder.rglob("*") if not p.is_dir()]
    return sorted(p.as_posix() for p in paths if not any(part.startswith(".") for part in p.parts))


def _digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files but the manifest."""
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
    """An outdated garden may be replaced, but never anything that a person put there."""
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
    """Puts the fresh garden in its place; another process may have been quicker."""
    if folder.exists() and not _is_complete(folder, manifest):
        os.replace(folder, old)
    try:
        os.replace(fresh, folder)
    except OSError:
        if not _is_complete(folder, manifest):
            raise


def _end_with_parent() -> None:
    """Each worker holds ends of the others' pipes: without their parent they would wait for each other for ever."""

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
                for _ in pool.map(_draw_chunk, chunks, [folder] * len(chunks), [seed] * len(chunks)):
                    pass
            return
        except BrokenProcessPool:
            pass  # spawning needs a main module that can be imported; without one, draw here
    for chunk in chunks:
        _draw_chunk(chunk, folder, seed)


def _draw_chunk(chunk: list[tuple[str, int, str]], folder: Path, seed: int) -> None:
    for species, index, name in chunk:
        draw_photo(species, seed, index).save(folder / name, quality=88)
