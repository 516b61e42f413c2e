"""The audit: every photo opened once, before anything is learned from it."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.common.errors import PhotosError
from helpers.common.text import printable
from helpers.data.decode import load_photo
from helpers.data.image_folder import PhotoSet

Group = tuple[int, ...]  # positions in Audit.photos


@dataclass(frozen=True)
class Audit:
    """The readable photos, and what was found out about all."""

    photos: PhotoSet
    unreadable: tuple[tuple[str, str], ...]  # (name, reason), left out of photos
    sizes: np.ndarray  # int64 (n, 2): width and height in px, upright
    hashes: tuple[str, ...]  # (n,) SHA-256 of the files
    duplicates: tuple[Group, ...]  # byte-identical photos within one class
    cross_class_duplicates: tuple[Group, ...]  # byte-identical photos in several classes
    fingerprint: str  # SHA-256 over all names and contents: the same for the same data

    def table(self) -> list[tuple[str, ...]]:
        """A header, a row per class and a last one for all, as text.

        Columns: class, photos, unreadable files, photos with an identical one in the same class and
        in another, smallest, median and largest size (width × height in px, by area).
        """
        labels = np.array(self.photos.labels)
        rows = [("class", "photos", "unreadable", "twice", "elsewhere", "smallest", "median", "largest")]
        rows += [self._row(name, labels == label, name) for label, name in enumerate(self.photos.classes)]
        return [*rows, self._row("together", labels >= 0, None)]

    def _row(self, title: str, chosen: np.ndarray, name: str | None) -> tuple[str, ...]:
        unreadable = sum(name is None or name in Path(file).parent.parts for file, _ in self.unreadable)
        twice, elsewhere = (sum(bool(chosen[i]) for g in gs for i in g) for gs in self._all_duplicates())
        return (title, *map(str, (chosen.sum(), unreadable, twice, elsewhere)), *map(_size, _three(self.sizes[chosen])))

    def _all_duplicates(self) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
        return self.duplicates, self.cross_class_duplicates

    def __str__(self) -> str:
        """A table, then the culprits by name."""
        lines = [f"{name:<14} {count:>6} photos" for name, count in self.photos.counts().items()]
        lines.append(f"{'together':<14} {len(self.photos):>6} photos in {len(self.photos.classes)} classes")
        smallest, median, largest = _three(self.sizes)
        lines.append(f"{'sizes':<14} {_size(smallest)} to {_size(largest)} px, the median {_size(median)}")
        lines += _named("unreadable, left out", [f"{name}: {reason}" for name, reason in self.unreadable])
        lines += _named("the same photo in several classes", [self._group(g) for g in self.cross_class_duplicates])
        lines += _named("the same photo twice in a class", [self._group(g) for g in self.duplicates])
        return "\n".join(lines)

    def _group(self, group: Group) -> str:
        names = " = ".join(self.photos.names[i] for i in group[:4])
        return f"{names} = … ({len(group)} in all)" if len(group) > 4 else names


def audit_photos(photos: PhotoSet, workers: int | None = None) -> Audit:
    """Open and hash every photo, in ``workers`` threads (default: one per core and a few).

    Raises:
        PhotosError: a class has no readable photo.
    """
    # Pillow and hashlib let other threads run meanwhile. Pillow's doubts about EXIF and sizes are silenced here
    # and not by each thread: filters are the process's, and threads would restore each other's.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")
        findings = list(pool.map(_examine, [photos.path(i) for i in range(len(photos))]))
    unreadable = tuple((printable(photos.names[i]), f.reason) for i, f in enumerate(findings) if f.reason)
    readable = [i for i, finding in enumerate(findings) if not finding.reason]
    kept = photos.subset(readable)
    for name, count in kept.counts().items():
        if count == 0:
            raise PhotosError(f"class {name!r} in {photos.root} has no readable photo; the first: {unreadable[0][1]}")
    hashes = tuple(findings[i].digest for i in readable)
    within, across = _duplicates(kept, hashes)
    sizes = np.array([findings[i].size for i in readable], dtype=np.int64)
    return Audit(kept, unreadable, sizes, hashes, within, across, _fingerprint(kept, hashes))


@dataclass(frozen=True)
class _Finding:
    digest: str = ""
    size: tuple[int, int] = (0, 0)
    reason: str = ""


def _examine(path: Path) -> _Finding:
    if printable(path.name) != path.name:
        return _Finding(reason="its name is not UTF-8 text: rename it")
    try:
        return _Finding(hashlib.sha256(path.read_bytes()).hexdigest(), load_photo(path).size)
    except PhotosError as error:
        reason = str(error).removeprefix(str(path)).removeprefix(" is not a readable photo")
        return _Finding(reason=reason.removeprefix(":").strip())
    except OSError as error:
        return _Finding(reason=error.strerror or type(error).__name__)


def _duplicates(photos: PhotoSet, hashes: tuple[str, ...]) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    groups = defaultdict(list)
    for i, digest in enumerate(hashes):
        groups[digest].append(i)
    same = [tuple(group) for group in groups.values() if len(group) > 1]
    across = tuple(g for g in same if len({photos.labels[i] for i in g}) > 1)
    return tuple(g for g in same if g not in across), across


def _fingerprint(photos: PhotoSet, hashes: tuple[str, ...]) -> str:
    lines = sorted(f"{name}\t{digest}\n" for name, digest in zip(photos.names, hashes, strict=True))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _three(sizes: np.ndarray) -> tuple[np.ndarray, ...]:
    """The smallest, the median and the largest by area; of an even number, the upper median."""
    order = sizes.prod(1).argsort(kind="stable")
    return tuple(sizes[order[i]] for i in (0, len(order) // 2, -1))


def _size(size: np.ndarray) -> str:
    return f"{size[0]} × {size[1]}"


def _named(title: str, entries: list[str], most: int = 10) -> list[str]:
    """The title with the number of entries, then the entries themselves, at most ten."""
    lines = [f"{title}: {len(entries) or 'none'}", *(f"  {entry}" for entry in entries[:most])]
    return [*lines, f"  … and {len(entries) - most} more"] if len(entries) > most else lines
