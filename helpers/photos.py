"""Which photos there are, and of which class: reading the folder layouts that people have.

Two layouts are known. Flat: ``<root>/<class>/*.jpg``. ImageNet: ``train/<class>/``, ``val/<class>/``,
with optional ``classes.txt`` (their order), ``train.txt`` and ``val.txt`` (lines ``rose/a.jpg 2``).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from helpers.errors import PhotosError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True)
class PhotoSet:
    """``n`` photos in a fixed order."""

    root: Path
    classes: tuple[str, ...]  # a label is a position in it
    names: tuple[str, ...]  # (n,) paths below root, with forward slashes
    labels: tuple[int, ...]  # (n,)
    subsets: tuple[str | None, ...]  # (n,) train or val where the layout says so

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        return self.root / self.names[index]

    def counts(self) -> dict[str, int]:
        """Photos per class, in the classes' order; 0 where there are none."""
        return {name: self.labels.count(label) for label, name in enumerate(self.classes)}

    def first_of_each(self, count: int) -> dict[str, list[int]]:
        """Positions of the first ``count`` photos of each class."""
        return {
            name: [i for i, own in enumerate(self.labels) if own == label][:count]
            for label, name in enumerate(self.classes)
        }

    def subset(self, indices: Iterable[int]) -> PhotoSet:
        """Only these photos, with the same classes."""
        chosen = list(indices)
        names, labels, subsets = ([column[i] for i in chosen] for column in (self.names, self.labels, self.subsets))
        return PhotoSet(self.root, self.classes, tuple(names), tuple(labels), tuple(subsets))


def find_photos(root: Path | str) -> PhotoSet:
    """The photos below ``root``, whichever layout it has.

    Raises:
        PhotosError: the folder does not exist, holds fewer than two classes, or holds folders of
            folders. Taking those for classes is how several published solutions of this assignment
            trained "train against val" and were stuck at an accuracy of 79.99 %.
    """
    root = _unwrapped(_existing(Path(root)))
    folders = {folder.name: folder for folder in _folders(root)}
    if "train" in folders and ("val" in folders or "valid" in folders):
        return _imagenet(root, folders["train"], folders.get("val") or folders["valid"])
    _refuse_nested(root, list(folders.values()))
    classes = tuple(folders)
    _refuse_too_few(root, classes)
    entries = [(path, label, None) for label, name in enumerate(classes) for path in _photos(folders[name])]
    return _photo_set(root, classes, entries)


def _imagenet(root: Path, train: Path, val: Path) -> PhotoSet:
    found = {folder.name for part in (train, val) for folder in _folders(part)}
    for part in (train, val):
        _refuse_nested(part, _folders(part))
    classes = _listed_classes(root / "classes.txt", found) or tuple(sorted(found))
    _refuse_too_few(root, classes)
    entries = []
    for subset, part in (("train", train), ("val", val)):
        listing = root / f"{subset}.txt"
        if listing.is_file():
            entries += [(path, label, subset) for path, label in _listed_photos(listing, part, classes)]
        else:
            entries += [(p, label, subset) for label, c in enumerate(classes) for p in _photos(part / c)]
    photos = _photo_set(root, classes, entries)
    for subset in ("train", "val"):
        if subset not in photos.subsets:
            raise PhotosError(f"{root / subset} holds no photos: a train and a val folder need photos both")
    return photos


def _photo_set(root: Path, classes: tuple[str, ...], entries: list[tuple[Path, int, str | None]]) -> PhotoSet:
    names = tuple(path.relative_to(root).as_posix() for path, _, _ in entries)
    photos = PhotoSet(root, classes, names, tuple(e[1] for e in entries), tuple(e[2] for e in entries))
    for name, count in photos.counts().items():
        if count == 0:
            raise PhotosError(f"class {name!r} in {root} has no photos: add some, or remove the folder")
    return photos


def _listed_classes(path: Path, found: set[str]) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    classes = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if missing := [name for name in classes if name not in found]:
        raise PhotosError(f"{path} names {missing[0]!r}, but there is no such folder in train/ or val/")
    if unlisted := sorted(found - set(classes)):
        raise PhotosError(f"{path} does not name the folder {unlisted[0]!r}: add a line for it, or remove the folder")
    if len(set(classes)) < len(classes):
        raise PhotosError(f"{path} names a class twice: remove one of the lines")
    return classes


def _listed_photos(listing: Path, folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    entries = []
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        path = folder / name
        if not label.isdecimal() or int(label) >= len(classes):
            raise PhotosError(
                f"{listing}, line {number}: {line!r} is not 'class/photo.jpg label' with a label < {len(classes)}"
            )
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise PhotosError(f"{listing}, line {number}: there is no photo {path}")
        if Path(name).parts[0] != classes[int(label)]:
            raise PhotosError(f"{listing}, line {number}: {name} has label {label}, which is {classes[int(label)]!r}")
        entries.append((path, int(label)))
    return entries


def _existing(root: Path) -> Path:
    if root.is_dir():
        return root
    siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
    near = difflib.get_close_matches(root.name, siblings, n=1)
    hint = f": did you mean {root.parent / near[0]}?" if near else ": check the path"
    raise PhotosError(f"the photo folder {root} does not exist{hint}")


def _unwrapped(root: Path) -> Path:
    """Archives often hold one folder that holds everything."""
    folders = _folders(root)
    while len(folders) == 1 and not _photos(folders[0]) and _folders(folders[0]):
        root, folders = folders[0], _folders(folders[0])
    return root


def _refuse_nested(root: Path, folders: list[Path]) -> None:
    for folder in folders:
        inner = [sub for sub in _folders(folder) if _photos(sub)]
        if inner and not _photos(folder):
            raise PhotosError(
                f"{root} is one level too high: its folder {folder.name!r} holds no photos but folders of photos "
                f"({', '.join(sub.name for sub in inner[:3])}). Folders must be classes; trained on these, the network "
                f"would tell folders apart, not what the photos show. Point dataset to {folder}, or give train/ a val/"
            )


def _refuse_too_few(root: Path, classes: tuple[str, ...]) -> None:
    if len(classes) == 0:
        raise PhotosError(f"{root} holds no class folders: it should look like {root}/rose/photo.jpg")
    if len(classes) == 1:
        raise PhotosError(f"{root} holds one class only, {classes[0]!r}: two are needed to tell apart")


def _folders(folder: Path) -> list[Path]:
    """Sub-folders by name; hidden ones and those that archives of macOS bring are passed over."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def _photos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and e.is_file()]
    return [folder / name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES]
