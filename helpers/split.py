"""Training and validation photos: seeded, stratified, duplicates on one side."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.audit import Audit
from helpers.checkpoint import write_atomically
from helpers.errors import PhotosError
from helpers.photos import PhotoSet


@dataclass(frozen=True)
class Split:
    """Positions in a PhotoSet, ascending; no position is on both sides."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    notes: tuple[str, ...] = ()


def split_photos(audit: Audit, train_fraction: float, seed: int) -> Split:
    """``int(train_fraction * n)`` training photos, every class in the same proportion.

    Where the layout brings its own split, that is used; of a photo on both of its sides the
    training copy is left out. Otherwise byte-identical photos stay together, and go to the training
    side first: validation then counts every photo once, and holds none under two labels.

    Raises:
        PhotosError: a class would have no photo on one of the sides.
    """
    photos = audit.photos
    given = any(photos.subsets)
    split = _given_split(audit) if given else _drawn_split(audit, train_fraction, seed)
    for label, name in enumerate(photos.classes):
        for side in ("train", "val"):
            if not any(photos.labels[i] == label for i in getattr(split, side)):
                raise PhotosError(
                    f"class {name!r} has no photo on the {side} side: "
                    + (f"add one to {side}/{name}" if given else "add photos, or change train_fraction")
                )
    return split


def write_split(path: Path, photos: PhotoSet, split: Split) -> None:
    """``split.csv``: a row (name, class, subset) per photo, in the PhotoSet's order."""
    side = {i: name for name in ("train", "val") for i in getattr(split, name)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "class", "subset"])
    writer.writerows([photos.names[i], photos.classes[photos.labels[i]], side[i]] for i in sorted(side))
    write_atomically(path, text.getvalue().encode("utf-8", "surrogateescape"))


def read_split(path: Path, photos: PhotoSet) -> Split:
    """The split that ``write_split`` wrote.

    Raises:
        PhotosError: a photo that it names is not among the photos.
    """
    position = {name: i for i, name in enumerate(photos.names)}
    sides: dict[str, list[int]] = {"train": [], "val": []}
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        for row in csv.DictReader(file):
            if row["name"] not in position or row["subset"] not in sides:
                raise PhotosError(f"{path} names {row['name']!r}, which is not among the photos in {photos.root}")
            sides[row["subset"]].append(position[row["name"]])
    return Split(tuple(sorted(sides["train"])), tuple(sorted(sides["val"])))


def _given_split(audit: Audit) -> Split:
    photos = audit.photos
    val = [i for i, subset in enumerate(photos.subsets) if subset == "val"]
    examined = {audit.hashes[i] for i in val}
    train = [i for i, subset in enumerate(photos.subsets) if subset == "train"]
    leaked = [i for i in train if audit.hashes[i] in examined]
    notes = tuple(f"{photos.names[i]} is in val/ too: left out of training" for i in leaked)
    return Split(tuple(i for i in train if i not in set(leaked)), tuple(val), notes)


def _drawn_split(audit: Audit, train_fraction: float, seed: int) -> Split:
    photos = audit.photos
    quota = _quotas(photos, int(train_fraction * len(photos)))
    rng = np.random.default_rng(seed)
    shuffled = [_groups(audit)[i] for i in rng.permutation(len(_groups(audit)))]
    train: list[int] = []
    for group in sorted(shuffled, key=len, reverse=True):  # a stable sort: duplicates first, else shuffled
        needed = Counter(photos.labels[i] for i in group)
        if all(quota[label] >= count for label, count in needed.items()):
            quota.subtract(needed)
            train += group
    chosen = set(train)
    return Split(tuple(sorted(train)), tuple(i for i in range(len(photos)) if i not in chosen))


def _groups(audit: Audit) -> list[tuple[int, ...]]:
    """All photos, each alone or with its duplicates."""
    together = [*audit.cross_class_duplicates, *audit.duplicates]
    member = {i for group in together for i in group}
    return [*together, *((i,) for i in range(len(audit.photos)) if i not in member)]


def _quotas(photos: PhotoSet, total: int) -> Counter[int]:
    """Training photos per class: proportional, with the rest to the largest remainders."""
    counts = np.array(list(photos.counts().values()))
    exact = counts * total / len(photos)
    quotas = np.floor(exact).astype(int)
    for label in np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]:
        quotas[label] += 1
    return Counter(dict(enumerate(quotas.tolist())))
