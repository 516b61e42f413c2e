"""Training, validation and test photos: seeded, stratified, near-duplicates on one side."""

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

SUBSETS = ("train", "val", "test")


def stratified_folds(photos: PhotoSet, scenes: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """Assign a fold to every photo, int64 ``(n,)``: classes in equal shares, scenes whole.

    Raises:
        ParameterError: a class has fewer scenes than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes most of a second; few commands need it

    labels = np.array(photos.labels)
    for label, name in enumerate(photos.classes):
        if (n := len(np.unique(scenes[labels == label]))) < folds:
            raise ParameterError(f"folds = {folds}: class {name!r} has {n} different photos, choose at most as many")
    maker = StratifiedGroupKFold(folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32)
    fold = np.empty(len(labels), dtype=np.int64)
    for k, (_, held_out) in enumerate(maker.split(labels, labels, scenes)):
        fold[held_out] = k
    return fold


@dataclass(frozen=True)
class Split:
    """The positions of training, validation and test photos in a PhotoSet, ascending."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...] = ()  # evaluated once, at the end
    notes: tuple[str, ...] = field(default=(), compare=False)  # remarks for the reader; not in split.csv

    @property
    def parts(self) -> dict[int, str]:
        """The part that each photo is in, in words."""
        sides = {"training": self.train, "validation": self.val, "test": self.test}
        return {i: part for part, side in sides.items() for i in side}


def split_photos(audit: Audit, train_fraction: float, seed: int, test_fraction: float = 0.0) -> Split:
    """Set the test photos aside (``set_test_aside``), and draw the training photos from the rest.

    ``int(train_fraction * n)`` of ``n`` are drawn, every class in the same proportion, scenes on one side. Scenes of
    several photos go to the training side first: validation then counts every scene once, and none under two labels.
    Both numbers are met as nearly as scenes allow; where these leave no split (one scene is most of a class), only
    identical files are kept together, and a note says so. Where the layout brings its own split, that is used; of an
    identical photo in two parts, the copy in the test set is kept, then that in validation.

    Raises:
        ParameterError: ``test_fraction`` is set, and the layout brings its own split.
        PhotosError: a class would have no photo on one of the sides.
    """
    photos = audit.photos
    test, rest, notes = set_test_aside(audit, test_fraction)
    given = any(photos.subsets[i] for i in rest)
    total = int(train_fraction * len(rest))
    split = _given_split(audit, rest) if given else _draw(audit, rest, total, seed, "val")
    if absent := _absent(photos, split):
        name, side = absent
        alone = photos.counts()[name] == 1
        remedy = "add one there" if given else "it has one only; add photos" if alone else "change train_fraction"
        raise PhotosError(f"class {name!r} has no photo on the {side} side: {remedy}")
    return replace(split, test=test, notes=(*notes, *split.notes))


def set_test_aside(audit: Audit, fraction: float = 0.0) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Return the test photos, those that may be learned and chosen from, and notes on the photos in neither.

    The test photos are those of the layout's ``test/``, or ``int(fraction * n)`` drawn with scenes whole. The draw is
    the same for every ``seed`` of a recipe, so that no run learns from what another one is tested on.

    Raises:
        ParameterError: ``fraction`` is set, and the layout brings its own split.
        PhotosError: a class would have no photo in the test set, or none elsewhere.
    """
    photos, everything = audit.photos, tuple(range(len(audit.photos)))
    if fraction:
        if any(photos.subsets):
            raise ParameterError(
                f"test_fraction = {fraction}: {photos.root} brings its own split. Put test photos into test/, "
                "or set test_fraction back to 0"
            )
        total = len(photos) - int(fraction * len(photos))
        drawn = _draw(audit, everything, total, derive_seed(0, "test"), "test")
        if absent := _absent(photos, drawn):
            raise PhotosError(f"class {absent[0]!r} would have no test photo or no other: change test_fraction")
        return drawn.val, drawn.train, drawn.notes
    test = tuple(i for i in everything if photos.subsets[i] == "test")
    rest, notes = _without_copies(audit, tuple(sorted({*everything} - {*test})), test, "test")
    return test, rest, notes


def open_split(path: Path, audit: Audit, recipe: Recipe) -> Split:
    """Return the split of a run: that of its ``split.csv`` if it is being resumed, else a new one, written there.

    Raises:
        PhotosError: as ``read_split`` and ``split_photos``.
    """
    split = split_photos(audit, recipe.train_fraction, recipe.seed, recipe.test_fraction)
    if path.exists() and (kept := read_split(path, audit.photos)) != split:
        left_out = len(audit.photos) - len(kept.train) - len(kept.val) - len(kept.test)
        return replace(kept, notes=(f"the split is that of {path}; photos that it does not name: {left_out}",))
    write_split(path, audit.photos, split)
    return split


def write_split(path: Path, photos: PhotoSet, split: Split) -> None:
    """Write ``split.csv``: a row (name, class, subset) per photo, in the PhotoSet's order."""
    side = {i: name for name in SUBSETS for i in getattr(split, name)}
    rows = [[photos.names[i], photos.classes[photos.labels[i]], side[i]] for i in sorted(side)]
    write_atomically(path, csv_text([["name", "class", "subset"], *rows]).encode())


def read_split(path: Path, photos: PhotoSet) -> Split:
    """Read what ``write_split`` wrote.

    Raises:
        PhotosError: the file is missing or not a split, or a photo in it is missing, of another class, or listed twice.
    """
    position = {name: i for i, name in enumerate(photos.names)}
    sides: dict[str, list[int]] = {name: [] for name in SUBSETS}
    for row in read_split_rows(path):
        i = position.pop(row["name"], None)
        if i is None:
            again = "twice" if row["name"] in photos.names else f"which is not among the photos in {photos.root}"
            raise PhotosError(f"{path} names {row['name']!r}, {again}: make a new split")
        if row["class"] != photos.classes[photos.labels[i]] or row["subset"] not in sides:
            raise PhotosError(f"{path}: {row['name']!r} as {row['class']!r}, {row['subset']!r} does not fit the photos")
        sides[row["subset"]].append(i)
    return Split(*(tuple(sorted(sides[name])) for name in SUBSETS))


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


def _given_split(audit: Audit, rest: tuple[int, ...]) -> Split:
    subsets = audit.photos.subsets
    val = tuple(i for i in rest if subsets[i] == "val")
    train, notes = _without_copies(audit, tuple(i for i in rest if subsets[i] == "train"), val, "val")
    return Split(train, val, notes=notes)


def _without_copies(
    audit: Audit, rows: tuple[int, ...], of: tuple[int, ...], part: str
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the rows without identical copies of photos that are held out, and a note on each copy."""
    held_out = {audit.hashes[i] for i in of}
    copies = [i for i in rows if audit.hashes[i] in held_out]
    use = {i: "validation" if audit.photos.subsets[i] == "val" else "training" for i in copies}
    notes = tuple(f"{audit.photos.names[i]} is in {part}/ too: left out of {use[i]}" for i in copies)
    return tuple(i for i in rows if i not in set(copies)), notes


def _draw(audit: Audit, among: tuple[int, ...], total: int, seed: int, part: str) -> Split:
    """Divide these photos in two: ``total`` as ``train``, the others, which are to be this ``part``, as ``val``."""
    photos, rows, notes = audit.photos.subset(among), np.array(among), ()
    of = " of the test set" if part == "test" else ""
    _check_sides(photos, total, part)
    split = _divide(photos, group_scenes(audit)[rows], total, seed)
    if _absent(photos, split) or abs(len(split.train) - total) > 0.1 * len(photos):
        split = _divide(photos, np.unique(audit.hashes, return_inverse=True)[1][rows], total, seed)
        notes = (f"near-duplicates may be on both sides{of}: kept together, they leave no split of this size",)
    return Split(*(tuple(rows[list(side)].tolist()) for side in (split.train, split.val)), notes=notes)


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
    """Divide ``total`` among the classes by largest remainders, at least one photo of each class on both sides."""
    counts = np.array(list(photos.counts().values()))
    exact = counts * total / len(photos)
    quotas = np.floor(exact).astype(int)
    for label in np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]:
        quotas[label] += 1
    lowest, highest = np.ones_like(counts), np.maximum(counts - 1, 1)
    quotas = quotas.clip(lowest, highest)
    while surplus := int(quotas.sum() - total):  # clipping changed small classes: others make up for it
        step = -1 if surplus > 0 else 1
        room = quotas > lowest if step < 0 else quotas < highest
        quotas[np.where(room, (exact - quotas) * step, -np.inf).argmax()] += step
    return Counter(dict(enumerate(quotas.tolist())))


def _check_sides(photos: PhotoSet, total: int, part: str) -> None:
    """Check that both sides can hold one photo of each class. Raises PhotosError: one cannot."""
    counts, others = photos.counts(), len(photos) - total
    least = len(counts) * (2 if part == "test" else 1)  # the others are divided once more
    if least <= total <= sum(max(count - 1, 1) for count in counts.values()):
        return
    rarest, count = min(counts.items(), key=lambda item: item[1])
    if count == 1:
        raise PhotosError(f"class {rarest!r} has no photo on the {part} side: it has one only; add photos")
    sides, setting = (f"{total} training and {others} validation photos", "train_fraction")
    if part == "test":
        sides, setting = (f"{others} test photos and {total} others", "test_fraction")
    raise PhotosError(f"{sides} cannot hold one of each of the {len(counts)} classes: add photos, or change {setting}")
