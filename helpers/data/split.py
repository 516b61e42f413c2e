"""Training and validation photos: seeded, stratified, near-duplicates on one side."""

import csv
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from helpers.common.errors import ParameterError, PhotosError
from helpers.common.files import csv_text, read_csv, write_atomically
from helpers.common.seeding import derive_seed
from helpers.data.audit import Audit
from helpers.data.image_folder import PhotoSet
from helpers.data.near_duplicates import group_scenes
from helpers.recipe import Recipe


def stratified_folds(audit: Audit, scenes: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """Assign a fold to every photo, int64 ``(n,)``: classes in equal shares, scenes whole.

    Raises:
        ParameterError: a class has fewer scenes than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes most of a second; few commands need it

    labels = np.array(audit.photos.labels)
    for label, name in enumerate(audit.photos.classes):
        if (n := len(np.unique(scenes[labels == label]))) < folds:
            raise ParameterError(f"folds = {folds}: class {name!r} has {n} different photos, choose at most as many")
    maker = StratifiedGroupKFold(folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32)
    fold = np.empty(len(labels), dtype=np.int64)
    for k, (_, held_out) in enumerate(maker.split(labels, labels, scenes)):
        fold[held_out] = k
    return fold


@dataclass(frozen=True)
class Split:
    """The positions of training and validation photos in a PhotoSet, ascending."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)  # remarks for the reader; not in split.csv


def split_photos(audit: Audit, train_fraction: float, seed: int) -> Split:
    """Draw ``int(train_fraction * n)`` training photos, every class in the same proportion, scenes on one side.

    Scenes of several photos go to the training side first: validation then counts every scene once, and none under two
    labels. Both numbers are met as nearly as scenes allow; where these leave no split (one scene is most of a class),
    only identical files are kept together, and a note says so. Where the layout brings its own split, that is used;
    of an identical photo on both of its sides the training copy is left out.

    Raises:
        PhotosError: a class would have no photo on one of the sides.
    """
    photos = audit.photos
    given = any(photos.subsets)
    split = _given_split(audit) if given else _drawn_split(audit, train_fraction, seed)
    if absent := _absent(photos, split):
        name, side = absent
        remedy = f"add one to {side}/{name}" if given else "add photos, or change train_fraction"
        raise PhotosError(f"class {name!r} has no photo on the {side} side: {remedy}")
    return split


def open_split(path: Path, audit: Audit, recipe: Recipe) -> Split:
    """Return the split of a run: that of its ``split.csv`` if it is being resumed, else a new one, written there.

    Raises:
        PhotosError: as ``read_split`` and ``split_photos``.
    """
    split = split_photos(audit, recipe.train_fraction, recipe.seed)
    if path.exists() and (kept := read_split(path, audit.photos)) != split:
        left_out = len(audit.photos) - len(kept.train) - len(kept.val)
        return replace(kept, notes=(f"the split is that of {path}; photos that it does not name: {left_out}",))
    write_split(path, audit.photos, split)
    return split


def write_split(path: Path, photos: PhotoSet, split: Split) -> None:
    """Write ``split.csv``: a row (name, class, subset) per photo, in the PhotoSet's order."""
    side = {i: name for name in ("train", "val") for i in getattr(split, name)}
    rows = [[photos.names[i], photos.classes[photos.labels[i]], side[i]] for i in sorted(side)]
    write_atomically(path, csv_text([["name", "class", "subset"], *rows]).encode())


def read_split(path: Path, photos: PhotoSet) -> Split:
    """Read what ``write_split`` wrote.

    Raises:
        PhotosError: the file is missing or not a split, or a photo in it is missing, of another class, or listed twice.
    """
    position = {name: i for i, name in enumerate(photos.names)}
    sides: dict[str, list[int]] = {"train": [], "val": []}
    for row in read_split_rows(path):
        i = position.pop(row["name"], None)
        if i is None:
            again = "twice" if row["name"] in photos.names else f"which is not among the photos in {photos.root}"
            raise PhotosError(f"{path} names {row['name']!r}, {again}: make a new split")
        if row["class"] != photos.classes[photos.labels[i]] or row["subset"] not in sides:
            raise PhotosError(f"{path}: {row['name']!r} as {row['class']!r}, {row['subset']!r} does not fit the photos")
        sides[row["subset"]].append(i)
    return Split(tuple(sorted(sides["train"])), tuple(sorted(sides["val"])))


def read_split_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows (name, class, subset) of a ``split.csv``, without the photos.

    Raises:
        PhotosError: the file is missing or not a split.
    """
    try:
        header, *rows = read_csv(path) or [[]]
        if header != ["name", "class", "subset"]:
            raise PhotosError(f"{path} is no split: its first line must be name,class,subset")
        return [dict(zip(header, row, strict=True)) for row in rows if row]
    except (OSError, ValueError, csv.Error) as error:
        raise PhotosError(f"{path} cannot be read as a split ({error}): make a new one") from error


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
    total = int(train_fraction * len(photos))
    split = _divide(photos, group_scenes(audit), total, seed)
    if _absent(photos, split) or abs(len(split.train) - total) > 0.1 * len(photos):
        split = _divide(photos, np.unique(audit.hashes, return_inverse=True)[1], total, seed)
        note = "near-duplicates may be on both sides: kept together, they leave no split of this size"
        return replace(split, notes=(note,))
    return split


def _divide(photos: PhotoSet, group: np.ndarray, total: int, seed: int) -> Split:
    """Draw ``total`` training photos; those with the same number in ``group``, int64 ``(n,)``, stay together."""
    quota, left = _quotas(photos, total), Counter(photos.labels)
    members: dict[int, list[int]] = {}
    for i, number in enumerate(group.tolist()):
        members.setdefault(number, []).append(i)
    groups = list(members.values())
    shuffled = [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    ordered = sorted(shuffled, key=len, reverse=True)  # a stable sort: the largest first, else shuffled
    train: set[int] = set()
    for fits in (lambda label, count: count <= quota[label], lambda label, count: count < left[label]):
        for rows in ordered:  # again, if quotas were not filled: photos of any class then
            if len(train) + len(rows) > total or not train.isdisjoint(rows):
                continue
            needed = Counter(photos.labels[i] for i in rows)
            if all(fits(label, count) for label, count in needed.items()):
                quota.subtract(needed)
                left.subtract(needed)
                train.update(rows)
    return Split(tuple(sorted(train)), tuple(i for i in range(len(photos)) if i not in train))


def _absent(photos: PhotoSet, split: Split) -> tuple[str, str] | None:
    """Name a class and a side on which it has no photo, if there is one."""
    for side in ("train", "val"):
        present = {photos.labels[i] for i in getattr(split, side)}
        for label, name in enumerate(photos.classes):
            if label not in present:
                return name, side
    return None


def _quotas(photos: PhotoSet, total: int) -> Counter[int]:
    """Divide ``total`` among the classes by largest remainders, at least one photo of each class on both sides.

    Raises:
        PhotosError: there are too few on one side for all classes.
    """
    counts = np.array(list(photos.counts().values()))
    exact = counts * total / len(photos)
    quotas = np.floor(exact).astype(int)
    for label in np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]:
        quotas[label] += 1
    lowest, highest = np.ones_like(counts), np.maximum(counts - 1, 1)
    if not lowest.sum() <= total <= highest.sum():
        _refuse_sides(photos, total)
    quotas = quotas.clip(lowest, highest)
    while surplus := int(quotas.sum() - total):  # clipping changed small classes: others make up for it
        step = -1 if surplus > 0 else 1
        room = quotas > lowest if step < 0 else quotas < highest
        quotas[np.where(room, (exact - quotas) * step, -np.inf).argmax()] += step
    return Counter(dict(enumerate(quotas.tolist())))


def _refuse_sides(photos: PhotoSet, total: int) -> None:
    rarest, count = min(photos.counts().items(), key=lambda item: item[1])
    if count == 1:
        raise PhotosError(f"class {rarest!r} has no photo on the val side: it has one only; add photos")
    raise PhotosError(
        f"{total} training and {len(photos) - total} validation photos cannot hold one of each of the "
        f"{len(photos.classes)} classes: add photos, or change train_fraction"
    )
