"""Audit the photos before anything is learned from them: which are readable, how large, and which are duplicates."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
from PIL import Image

from helpers.common.errors import PhotosError
from helpers.common.files import file_digest
from helpers.common.text import padded, printable
from helpers.data.image_folder import PhotoSet
from helpers.data.loading.array_cache import Arrays, new_entries, read_entry
from helpers.data.loading.derived import VERSION, Derived, fill
from helpers.recipe import Recipe

Group = tuple[int, ...]  # positions in Audit.photos


@dataclass(frozen=True)
class Audit:
    """The readable photos, and the findings about all files."""

    found: PhotoSet  # all files
    rows: tuple[int, ...]  # (n,) positions of the readable photos in found, ascending
    unreadable: tuple[tuple[str, str], ...]  # (name, reason) of the others
    sizes: np.ndarray  # int64 (n, 2): width and height in px, upright
    hashes: tuple[str, ...]  # (n,) SHA-256 of the files
    perceptual_hashes: np.ndarray  # bool (n, 64)
    key: str  # names the cache's entries for these files
    made: dict[Path, Arrays] = field(default_factory=dict, repr=False)  # cache entries filled by the audit's pass

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"made": {}}  # other processes read them from the cache

    @cached_property
    def photos(self) -> PhotoSet:
        """Return the readable photos."""
        return self.found.subset(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the names, classes and contents of the readable photos."""
        photos = self.photos
        told = (
            name if f"/{photos.classes[label]}/" in f"/{name}" else f"{name}\t{photos.classes[label]}"
            for name, label in zip(photos.names, photos.labels, strict=True)
        )
        return _sha256(sorted(_lines(told, self.hashes)))

    @cached_property
    def duplicates(self) -> tuple[Group, ...]:
        """Return the groups of byte-identical photos within one class."""
        return tuple(group for group in self._identical if len({self.photos.labels[i] for i in group}) == 1)

    @cached_property
    def cross_class_duplicates(self) -> tuple[Group, ...]:
        """Return the groups of byte-identical photos in several classes."""
        return tuple(group for group in self._identical if len({self.photos.labels[i] for i in group}) > 1)

    @cached_property
    def _identical(self) -> list[Group]:
        groups = defaultdict(list)
        for i, digest in enumerate(self.hashes):
            groups[digest].append(i)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    def table(self) -> list[tuple[str, ...]]:
        """Return a header, a row per class and one for all photos, as text.

        Columns: class, photos, unreadable files, photos with an identical one in the same class and
        in another, smallest, median and largest size (width × height in px, by area).
        """
        labels = np.array(self.photos.labels)
        rows = [("class", "photos", "unreadable", "twice", "elsewhere", "smallest", "median", "largest")]
        counts = self.found.counts()
        rows += [self._row(name, labels == label, counts[name]) for label, name in enumerate(self.photos.classes)]
        return [*rows, self._row("total", labels >= 0, len(self.found))]

    def _row(self, title: str, chosen: np.ndarray, found: int) -> tuple[str, ...]:
        groups = self.duplicates, self.cross_class_duplicates
        twice, elsewhere = (sum(bool(chosen[i]) for group in each for i in group) for each in groups)
        return (
            title,
            *map(str, (chosen.sum(), found - chosen.sum(), twice, elsewhere)),
            *map(_size, _three(self.sizes[chosen])),
        )

    def __str__(self) -> str:
        """Summarize in a table, then list unreadable and duplicate files."""
        lines = [f"{padded(name, 14)} {count:>6} photos" for name, count in self.photos.counts().items()]
        lines.append(f"{'total':<14} {len(self.photos):>6} photos in {len(self.photos.classes)} classes")
        smallest, median, largest = _three(self.sizes)
        lines.append(f"{'sizes':<14} {_size(smallest)} to {_size(largest)} px, the median {_size(median)}")
        lines += self.found.notes
        lines += _named("unreadable, left out", [f"{name}: {reason}" for name, reason in self.unreadable])
        lines += _named("the same photo in several classes", [self._group(g) for g in self.cross_class_duplicates])
        lines += _named("the same photo twice in a class", [self._group(g) for g in self.duplicates])
        return "\n".join(lines)

    def _group(self, group: Group) -> str:
        names = " = ".join(self.photos.names[i] for i in group[:4])
        return f"{names} = … ({len(group)} in all)" if len(group) > 4 else names


def audit_photos(
    photos: PhotoSet, recipe: Recipe | None = None, cache: Path | None = None, workers: int | None = None
) -> Audit:
    """Hash every file, and decode every photo once.

    Args:
        recipe: with a cache, the arrays for its loaders are made in the same pass. Without one, none are.
        cache: folder that keeps the audit and decoded photos between runs; None keeps nothing.
        workers: threads; None: one per core and a few.

    Raises:
        PhotosError: a class has no readable photo.
    """
    with ThreadPoolExecutor(workers) as pool:  # hashlib lets other threads run meanwhile
        hashes, problems = zip(*pool.map(_hash_file, map(photos.path, range(len(photos)))), strict=True)
    key = _sha256(_lines(photos.names, hashes))[:16]
    facts, made = _decode(photos, hashes, key, recipe, cache, workers)
    reasons = [a or b.decode(errors="ignore") for a, b in zip(problems, facts["reason"].tolist(), strict=True)]
    unreadable = tuple((printable(photos.names[i]), reason) for i, reason in enumerate(reasons) if reason)
    rows = [i for i, reason in enumerate(reasons) if not reason]
    for name, count in photos.subset(rows).counts().items():
        if count == 0:
            raise PhotosError(f"class {name!r} in {photos.root} has no readable photo; the first: {unreadable[0][1]}")
    kept = tuple(hashes[i] for i in rows)
    sizes, perceptual = facts["size"][rows], facts["perceptual_hash"][rows]
    return Audit(photos, tuple(rows), unreadable, sizes, kept, perceptual, key, made)


def _hash_file(path: Path) -> tuple[str, str]:
    """Return the file's SHA-256, or an empty one and the reason why it cannot be read."""
    if printable(path.name) != path.name:
        return "", "its name is not plain UTF-8 text: rename it"
    try:
        if not path.stat().st_size:  # not opened: reading some of the kernel's files, which have no size, never ends
            return "", "the file is empty"
        return file_digest(path), ""
    except OSError as error:
        return "", error.strerror or type(error).__name__


def perceptual_hash(photo: Image.Image) -> np.ndarray:
    """Hash what a photo shows: bool ``(64,)``, the low frequencies above their median (pHash; Zauner, 2010)."""
    # The gap is as small as it can be: at 3, a pair of the 1,607 real photos is not found any more.
    pixels = np.asarray(photo.convert("L").resize((32, 32), Image.Resampling.BICUBIC, reducing_gap=4.0))
    low = scipy.fft.dctn(pixels)[:8, :8].ravel()
    return low > np.median(low)


def _write_facts(photo: Image.Image, arrays: Arrays, row: int) -> None:
    arrays["size"][row], arrays["perceptual_hash"][row] = photo.size, perceptual_hash(photo)


# "reason" says why a file is not a photo.
FACTS = Derived(
    "audit", {"size": ((2,), "int64"), "perceptual_hash": ((64,), "bool"), "reason": ((), "S200")}, _write_facts
)


def _decode(
    photos: PhotoSet, hashes: Sequence[str], key: str, recipe: Recipe | None, cache: Path | None, workers: int | None
) -> tuple[Arrays, dict[Path, Arrays]]:
    """Return ``FACTS`` from the cache, or from one pass over the photos, and the cache entries filled by it."""
    entries = {}
    if cache:
        entry = cache / f"{FACTS.name}-{key}"
        if facts := read_entry(entry, FACTS.shapes_of(len(photos)), VERSION):
            return facts, {}
        entries = {entry: FACTS} | _missing_entries(recipe, len(photos), key, cache)
    with new_entries({entry: each.shapes_of(len(photos)) for entry, each in entries.items()}, VERSION) as made:
        tables = {FACTS: FACTS.zeros(len(photos))} | {entries[entry]: arrays for entry, arrays in made.items()}
        paths = [(row, photos.path(row)) for row, digest in enumerate(hashes) if digest]
        for row, reason in fill(paths, list(tables.items()), workers).items():
            tables[FACTS]["reason"][row] = reason.encode()[:200]
    return tables[FACTS], made


def _missing_entries(recipe: Recipe | None, photos: int, key: str, cache: Path) -> dict[Path, Derived]:
    if recipe is None:
        return {}
    from helpers.data.loading.loaders import derived_for  # brings torch, which an audit does without

    entries = {cache / f"{derived.name}-{key}": derived for derived in derived_for(recipe, photos)}
    return {entry: derived for entry, derived in entries.items() if not entry.exists()}


def _lines(names: Iterable[str], hashes: Sequence[str]) -> list[str]:
    return [f"{name}\t{digest}\n" for name, digest in zip(names, hashes, strict=True)]


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _three(sizes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the smallest, the (upper) median and the largest size by area."""
    order = sizes.prod(1).argsort(kind="stable")
    return tuple(sizes[order[i]] for i in (0, len(order) // 2, -1))


def _size(size: np.ndarray) -> str:
    return f"{size[0]} × {size[1]}"


def _named(title: str, entries: list[str], most: int = 10) -> list[str]:
    """Return the title with the number of entries, then at most ten of them."""
    lines = [f"{title}: {len(entries) or 'none'}", *(f"  {entry}" for entry in entries[:most])]
    return [*lines, f"  … and {len(entries) - most} more"] if len(entries) > most else lines
