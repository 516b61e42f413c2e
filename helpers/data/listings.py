"""Lists beside the photos, as the ImageNet layout has them: ``classes.txt``, and a line per photo in ``train.txt``."""

import codecs
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from helpers.common.errors import PhotosError
from helpers.common.files import read_bytes

PHOTO_LINE = re.compile(r"(.+?)[\s,;]+(\d+)\s*")  # class/photo.jpg 0, or with a comma
NUMBERED = (
    re.compile(r"(?P<name>.+?)[\s,;:]+(?P<number>\d+)"),
    re.compile(r"\(?(?P<number>\d+)[\s,;:]+(?P<name>.+?)\)?"),
)


def listed_classes(path: Path, found: set[str]) -> tuple[str, ...]:
    """Read the classes in their order: a name per line, perhaps with its number; nothing without the file.

    Raises PhotosError: they are not the folders that were found.
    """
    if not path.is_file():
        return ()
    lines = [line.strip() for line in _lines(path) if line.strip()]
    classes = tuple(lines) if set(lines) <= found else _numbered(lines, found) or tuple(lines)
    if missing := [name for name in classes if name not in found]:
        raise PhotosError(f"{path} names {missing[0]!r}, but there is no such folder in train/")
    if unlisted := sorted(found - set(classes)):
        raise PhotosError(f"{path} does not name the folder {unlisted[0]!r}: add a line for it, or remove the folder")
    if len(set(classes)) < len(classes):
        raise PhotosError(f"{path} names a class twice: remove one of the lines")
    return classes


def classes_in_order(listings: Iterable[Path], found: set[str]) -> tuple[str, ...]:
    """Return the classes in the order of the lists' labels; alphabetically where the lists do not settle it."""
    numbers: dict[str, set[int]] = {name: set() for name in found}
    for line in (line for listing in listings for line in _lines(listing)):
        if match := PHOTO_LINE.fullmatch(line):
            for name in found & set(_posix(match[1]).parts):
                numbers[name].add(int(match[2]))
    if sorted(number for each in numbers.values() for number in each) == list(range(len(found))):
        return tuple(sorted(found, key=lambda name: min(numbers[name])))
    return tuple(sorted(found))


def listed_photos(
    listing: Path, folder: Path, classes: tuple[str, ...], parts: Iterable[str] = ()
) -> list[tuple[Path, int]]:
    """Read the photos of a part, and their labels.

    Args:
        folder: of the part. What precedes it in a name, as in an absolute path, is dropped.
        parts: names of parts of data sets: a name that leads to another part is refused.

    Raises PhotosError: a line cannot be read, or its photo is missing, of another class, or listed twice.
    """
    entries: dict[Path, int] = {}
    for number, line in enumerate(_lines(listing), 1):
        if not line.strip():
            continue
        where = f"{listing}, line {number}"
        match = PHOTO_LINE.fullmatch(line.strip())
        if not match or int(match[2]) >= len(classes):
            raise PhotosError(f"{where}: {line!r} is not 'class/photo.jpg label' with a label < {len(classes)}")
        name, label = _inside(_posix(match[1]), folder, set(parts)), int(match[2])
        if name is None:
            raise PhotosError(f"{where}: there is no photo {folder / _posix(match[1])}")
        if len(name.parts) > 1 and name.parts[0] != classes[label]:
            raise PhotosError(f"{where}: {name} has label {label}, which is {classes[label]!r}")
        if folder / name in entries:
            raise PhotosError(f"{where}: {name} is listed twice: remove one of the lines")
        entries[folder / name] = label
    return list(entries.items())


def _inside(name: PurePosixPath, folder: Path, parts: set[str]) -> PurePosixPath | None:
    """Return the longest end of a name that is a file in the part's folder; None if there is none."""
    if ".." in name.parts:
        return None
    for start in range(len(name.parts)):
        dropped = {each.lower() for each in name.parts[:start]} & parts
        if dropped - {folder.name.lower()}:
            return None  # val/rose/0.jpg in the list of train would find train/rose/0.jpg
        end = PurePosixPath(*name.parts[start:])
        if not end.is_absolute() and (folder / end).is_file():
            return end
    return None


def _numbered(lines: list[str], found: set[str]) -> tuple[str, ...]:
    """Return the classes of lines such as ``daisy 0``, ``0: daisy`` or ``(0,'daisy')``, by their numbers."""
    for pattern in NUMBERED:
        matches = [pattern.fullmatch(line) for line in lines]
        if all(matches) and all(match["name"].strip("'\" ") in found for match in matches):
            return tuple(m["name"].strip("'\" ") for m in sorted(matches, key=lambda m: int(m["number"])))
    return ()


def _posix(name: str) -> PurePosixPath:
    return PurePosixPath(name.strip().strip("'\"").replace("\\", "/"))  # Windows writes backslashes


def _lines(path: Path) -> list[str]:
    content = read_bytes(path)
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if utf_16 else ("utf-8-sig", "gb18030"):  # Windows' editors; those in China
        try:
            return content.decode(encoding).splitlines()
        except UnicodeDecodeError:
            continue
    raise PhotosError(f"{path} is not UTF-8 text: save it anew as UTF-8")
