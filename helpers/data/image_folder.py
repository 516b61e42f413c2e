"""Find photos and their classes in the usual folder layouts.

Three layouts are known. Flat: ``<root>/<class>/*.jpg``. ImageNet: ``train/<class>/``, and ``val/<class>/`` or
``test/<class>/`` or both, with optional ``classes.txt`` (their order), and ``train.txt``, ``val.txt`` and ``test.txt``
(lines ``rose/a.jpg 2``). A table: photos in one folder or several, and beside them ``labels.csv`` (lines
``a.jpg,rose``, or ``a.jpg,rose,val``).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from helpers.common.errors import PhotosError
from helpers.common.files import regular
from helpers.common.text import did_you_mean_path, listed, printable
from helpers.data.listings import Labelled, classes_in_order, labelled_photos, listed_classes, listed_photos
from helpers.data.pixels import FORMATS

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"}
SUFFIXES |= {".ppm", ".pgm", ".pbm", ".jp2"}
# Photos that cannot be decoded (HEIC: not without an extra package): the audit lists them, with the remedy.
CAMERA_SUFFIXES = {".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
# Folders that systems, network disks and programs leave, in any case; hidden ones are passed over as well.
SYSTEM_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"}
SYSTEM_FOLDERS |= {"recycler", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "found.000"}
SYSTEM_FILES = {"thumbs.db", "desktop.ini"}
# Names of the parts of a data set, in any case: folders of these names alone are not classes.
TRAIN_NAMES = ("train", "training", "train_set", "training_set")
VAL_NAMES = ("val", "valid", "validation", "val_set", "validation_set", "dev")
TEST_NAMES = ("test", "testing", "test_set")
PARTS = {"train": TRAIN_NAMES, "val": VAL_NAMES, "test": TEST_NAMES}
TABLES = (".csv", ".tsv")  # that may label photos
PART_NAMES = {*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES}


@dataclass(frozen=True)
class PhotoSet:
    """A list of ``n`` photos and their labels, in a fixed order."""

    root: Path
    classes: tuple[str, ...]  # a label is a position in it
    names: tuple[str, ...]  # (n,) paths below root, with forward slashes
    labels: tuple[int, ...]  # (n,)
    subsets: tuple[str | None, ...]  # (n,) train, val or test where the layout says so
    notes: tuple[str, ...] = ()  # what of the folder is not used

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        """Return a photo's path."""
        return self.root / self.names[index]

    def counts(self) -> dict[str, int]:
        """Count the photos of each class, in the classes' order."""
        return {name: self.labels.count(label) for label, name in enumerate(self.classes)}

    def first_of_each(self, count: int) -> dict[str, list[int]]:
        """Return the positions of the first ``count`` photos of each class."""
        return {
            name: [i for i, own in enumerate(self.labels) if own == label][:count]
            for label, name in enumerate(self.classes)
        }

    def subset(self, indices: Iterable[int]) -> PhotoSet:
        """Return these photos alone, with the same classes."""
        chosen = list(indices)
        names, labels, subsets = ([column[i] for i in chosen] for column in (self.names, self.labels, self.subsets))
        return PhotoSet(self.root, self.classes, tuple(names), tuple(labels), tuple(subsets), self.notes)


def find_photos(root: Path | str) -> PhotoSet:
    """Find the photos below ``root``, in any of the layouts.

    Raises:
        PhotosError: the folder does not exist, cannot be read, holds fewer than two classes, or holds
            folders of folders. Several published solutions of this assignment took ``train`` and ``val``
            for classes, and were stuck at an accuracy of 79.99 %.
    """
    try:
        base = _existing(Path(root))
        return _labelled(base) or _read_layout(_unwrapped(base))
    except OSError as error:
        raise PhotosError(
            f"{error.filename or root} cannot be read ({error.strerror}): check its permissions"
        ) from error


def _read_layout(root: Path) -> PhotoSet:
    folders = {folder.name: folder for folder in _folders(root)}
    train, val, test = (_part(folders.values(), names) for names in (TRAIN_NAMES, VAL_NAMES, TEST_NAMES))
    rest = [
        folder
        for folder in folders.values()
        if folder not in (train, val, test) and (_folders(folder) or _photos(folder))
    ]
    if train and (val or (test and not rest and not _photos(train))):
        photos = _imagenet(root, {"train": train, "val": val, "test": test})
        left = ", ".join(f"{folder.name}/" for folder in rest)
        return replace(photos, notes=(*photos.notes, f"used for nothing: {printable(left)}")) if left else photos
    _refuse_nested(root, list(folders.values()))
    classes = tuple(folders)
    _refuse_no_problem(root, classes)
    entries = [(path, label, None) for label, name in enumerate(classes) for path in _photos(folders[name])]
    photos = _photo_set(root, classes, entries)
    tables = ", ".join(path.name for path in _files(root) if path.suffix.lower() in TABLES)
    note = f"the folders are the classes; used for nothing: {printable(tables)}"
    return replace(photos, notes=(*photos.notes, note)) if tables else photos


def _labelled(root: Path) -> PhotoSet | None:
    """Read photos that a table beside them labels; None without one, or where folders are the classes."""
    for _ in range(8):
        folders, tables = _folders(root), [p for p in _files(root) if p.suffix.lower() in TABLES]
        below = [photo for folder in folders for photo in _photos(folder)] if tables else []
        classes = {photo.parent.name for photo in below if photo.parent.name.lower() not in PART_NAMES}
        if tables and len(classes) < 2 and not any(map(_folders, folders)):
            names = [photo.relative_to(root).as_posix() for photo in (*_photos(root), *below)]
            found = {table: rows for table in tables if (rows := labelled_photos(table, names, PARTS))}
            if len(found) > 1:
                raise PhotosError(f"{listed([str(table) for table in found])} label photos: keep the one that is meant")
            for table, rows in found.items():
                return _of_table(root, table, names, rows)
        if len(folders) != 1:
            break
        root = folders[0]
    return None


def _of_table(root: Path, table: Path, names: list[str], rows: dict[str, Labelled]) -> PhotoSet:
    subsets = {row.subset for row in rows.values()}
    if not subsets & {"train", None}:
        raise PhotosError(f"{table} has no photo for training: write train into the third column of some")
    classes = tuple(sorted({row.label for row in rows.values()}))
    _refuse_no_problem(root, classes)
    entries = [
        (root / name, classes.index(row.label), row.subset if row.subset == "test" or "val" in subsets else None)
        for name, row in rows.items()
    ]
    left = [name for name in names if name not in rows]
    note = (
        f"photos that {table.name} does not name, left out: {len(left)} ({', '.join(left[:3])}{' …' * (len(left) > 3)})"
    )
    photos = _photo_set(root, classes, entries)
    return replace(photos, notes=(*[printable(note)] * bool(left), *_untested(photos)))


def _part(folders: Iterable[Path], names: tuple[str, ...]) -> Path | None:
    """Return the folder of class folders, or with a list, that has one of these names, in any case."""
    parts = [each for each in folders if _folders(each) or _listing(each.parent, each.name, each)]
    found = {re.sub("[- ]", "_", folder.name.lower()): folder for folder in parts}
    return next((found[name] for name in names if name in found), None)


def _imagenet(root: Path, parts: dict[str, Path | None]) -> PhotoSet:
    """Read the parts ``train``, ``val`` and ``test``; without a ``val``, validation photos are drawn from ``train``."""
    parts = {subset: part for subset, part in parts.items() if part}
    train = parts["train"]
    for part in parts.values():
        _refuse_nested(part, _folders(part))
    found = {folder.name for folder in _folders(train)}
    for part in parts.values():
        if unknown := [folder.name for folder in _folders(part) if folder.name not in found]:
            raise PhotosError(
                f"{part} has a class {unknown[0]!r} that {train} has not: nothing could learn it. "
                f"Add it to {train.name}/, rename it, or remove it"
            )
    lists = {subset: _listing(root, subset, part) for subset, part in parts.items()}
    classes = listed_classes(root / "classes.txt", found) or classes_in_order(filter(None, lists.values()), found)
    _refuse_no_problem(train, classes)
    entries = []
    for subset, part in parts.items():
        if lists[subset]:
            rows = listed_photos(lists[subset], part, classes, PART_NAMES)
        else:
            rows = [(path, label) for label, name in enumerate(classes) for path in _photos(part / name)]
        if not rows:
            raise PhotosError(f"{part} holds no photos: add some, or remove the folder")
        entries += [(path, label, subset if subset == "test" or "val" in parts else None) for path, label in rows]
    photos = _photo_set(root, classes, entries)
    return replace(photos, notes=(*photos.notes, *_untested(photos)))


def _listing(root: Path, subset: str, part: Path) -> Path | None:
    """Return the list of a part's photos: ``train.txt``, beside the parts or in ``meta/``."""
    places = [root / folder / f"{name}.txt" for folder in ("", "meta") for name in (subset, part.name)]
    return next((place for place in places if place.is_file()), None)


def _photo_set(root: Path, classes: tuple[str, ...], entries: list[tuple[Path, int, str | None]]) -> PhotoSet:
    names = tuple(path.relative_to(root).as_posix() for path, _, _ in entries)
    notes = _left_beside({path for path, _, _ in entries})
    photos = PhotoSet(root, classes, names, tuple(e[1] for e in entries), tuple(e[2] for e in entries), notes)
    for name, count in photos.counts().items():
        if count == 0:
            raise PhotosError(f"class {name!r} in {root} has no photos: add some, or remove the folder")
    return photos


def _untested(photos: PhotoSet) -> tuple[str, ...]:
    """Name the classes that a test set has no photos of, in a note."""
    tested = {label for label, subset in zip(photos.labels, photos.subsets, strict=True) if subset == "test"}
    absent = ", ".join(name for label, name in enumerate(photos.classes) if label not in tested)
    return (f"classes without test photos: {absent}",) if tested and absent else ()


def _left_beside(used: set[Path]) -> tuple[str, ...]:
    """Count the files beside the photos that are not used, by their suffixes."""
    beside = [path for folder in {path.parent for path in used} for path in _files(folder) if path not in used]
    kinds = Counter(path.suffix.lower() or "none" for path in beside if path.name.lower() not in SYSTEM_FILES)
    left = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    note = (
        f"files beside the photos, left out, by suffix: {left}. Photos among them: convert them to JPEG, or list them"
    )
    return (printable(note),) if left else ()


def _existing(root: Path) -> Path:
    if root.is_dir():
        return root
    if root.exists():
        raise PhotosError(f"{root} is a file: the folder of photos is needed")
    raise PhotosError(f"the photo folder {root} does not exist{did_you_mean_path(root, 'check the path')}")


def _unwrapped(root: Path) -> Path:
    """Descend through folders that hold a single folder, as archives often do, but not into a lone ``train/``."""
    folders = _folders(root)
    while len(folders) == 1 and _is_wrapping(folders[0]):
        root, folders = folders[0], _folders(folders[0])
    return root


def _is_wrapping(folder: Path) -> bool:
    return folder.name.lower() not in PART_NAMES and not _photos(folder) and bool(_folders(folder))


def _refuse_nested(root: Path, folders: list[Path]) -> None:
    for folder in folders:
        seen = {root.resolve(), folder.resolve()}
        inner = [sub.name for sub in _folders(folder) if _holds_photos(sub, seen)]
        if inner:
            remedy = f"Point dataset to {_class_root(folder)}"
            if folder.name.lower() in PART_NAMES:
                remedy += " (it is then split), or put a train/ and a val/ side by side"
            if _photos(folder):
                remedy += f", or move the photos of {', '.join(inner[:3])} up into {folder.name}"
            raise PhotosError(
                f"{root} is one level too high: its folder {folder.name!r} holds folders of photos "
                f"({', '.join(inner[:3])}). Folders must be classes; trained on these, the network would tell folders "
                f"apart, not what the photos show, and be stuck at the share of the largest (79.99 % for train against "
                f"val). {remedy}"
            )


def _holds_photos(folder: Path, seen: set[Path]) -> bool:
    """Tell whether there are photos at any depth; ``seen`` ends a loop of links."""
    if folder.resolve() in seen:
        return False
    seen.add(folder.resolve())
    return bool(_photos(folder)) or any(_holds_photos(sub, seen) for sub in _folders(folder))


def _class_root(folder: Path) -> Path:
    """Return the nearest folder at or below this one whose folders hold photos."""
    found = folder
    for _ in range(8):
        inner = _folders(found)
        if not inner or any(_photos(sub) for sub in inner):
            return found
        found = inner[0]
    return folder


def _refuse_no_problem(root: Path, classes: tuple[str, ...]) -> None:
    if len(classes) == 0:
        raise PhotosError(
            f"{root} holds no class folders: it should look like {root}/rose/photo.jpg, or hold photos and a CSV file "
            "with the columns image and label"
        )
    if named := [printable(name) for name in classes if printable(name) != name]:
        raise PhotosError(f"{root}: the folder name {named[0]!r} is not plain UTF-8 text: rename the folder")
    alike: dict[str, str] = {}
    for name in classes:
        visible = [c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) not in ("Zs", "Cf")]
        other = alike.setdefault("".join(visible).casefold(), name)
        if other != name:
            raise PhotosError(
                f"{root}: {other!r} and {name!r} differ in case, spaces or invisible characters alone. If they are "
                "one class, put their photos under one name; if they are two, give one another name"
            )
    if len(classes) == 1:
        raise PhotosError(f"{root} holds one class only, {classes[0]!r}: two are needed to tell apart")
    if all(name.lower() in PART_NAMES for name in classes):
        raise PhotosError(
            f"the folders of {root} ({', '.join(classes)}) are parts of a data set, not classes: a network trained on "
            f"them would tell train from val. Photos belong into class folders: {root}/rose/photo.jpg"
        )


def _folders(folder: Path) -> list[Path]:
    """List sub-folders by name, without hidden ones and those that macOS puts into archives."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_system_folder(p.name))


def _files(folder: Path) -> list[Path]:
    """List files by name, without hidden ones."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [folder / name for name in sorted(e.name for e in entries if not e.name.startswith(".") and e.is_file())]


def _photos(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if is_photo(path)]


def is_photo(path: Path) -> bool:
    """Tell whether a file is meant to be a photo: by its suffix, or, of a suffix that is not known, by its content."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix in CAMERA_SUFFIXES:
        return True
    try:
        with open(path, "rb", opener=regular) as file:
            if is_heic(file.read(12)):
                return True
            with Image.open(file, formats=FORMATS):
                return True
    except Exception:  # of a file that is no photo, Pillow may raise anything
        return False


def is_heic(start: bytes) -> bool:
    """Tell from its first twelve bytes whether a file is a HEIC photo."""
    return start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def is_system_folder(name: str) -> bool:
    """Tell whether a folder is hidden, or one that a system or a program made for itself."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS
