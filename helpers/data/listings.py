"""Lists beside the photos: ``classes.txt`` and ``train.txt`` of the ImageNet layout, and tables of labels."""

import codecs
import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from helpers.common.errors import PhotosError
from helpers.common.files import read_bytes
from helpers.common.text import did_you_mean, printable

PHOTO_LINE = re.compile(r"(.+?)[\s,;]+(\d+)\s*")  # class/photo.jpg 0, or with a comma
NUMBERED = (
    re.compile(r"(?P<name>.+?)[\s,;:]+(?P<number>\d+)"),
    re.compile(r"\(?(?P<number>\d+)[\s,;:]+(?P<name>.+?)\)?"),
)
# Headers of the columns of a table, the likelier first.
IMAGE = ("image", "filename", "file", "file_name", "image_name", "image_path", "filepath", "path", "photo", "name")
IMAGE += ("image_id", "id")
LABEL = ("label", "class", "class_name", "category", "species", "breed", "target")
SUBSET = ("split", "subset", "set", "part")
LONGEST = 100  # characters of a label


class Labelled(NamedTuple):
    """A row of a table of labels."""

    label: str
    subset: str | None
    line: int


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
    return _text(path).splitlines()


def _text(path: Path) -> str:
    content = read_bytes(path)
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if utf_16 else ("utf-8-sig", "gb18030"):  # Windows' editors; those in China
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise PhotosError(f"{path} is not UTF-8 text: save it anew as UTF-8")


def labelled_photos(
    table: Path, names: Iterable[str], parts: Mapping[str, Iterable[str]]
) -> dict[str, Labelled] | None:
    """Read a table with a photo and its label in each row, and perhaps its part of the data set.

    Args:
        names: of the photos, below the table's folder. A row may leave out folders and suffix.
        parts: how people call each part, such as ``{"val": ["valid", "dev"]}``.

    Returns:
        The rows by the photos' names, in the names' order. None if it is another table.

    Raises PhotosError: a row does not fit the photos or another row, or a class has one photo only.
    """
    part_of = {name: part for part, known in parts.items() for name in known}
    index = _ends(names)
    rows, columns = _columns(_rows(table), index)
    if columns is None:
        return None
    found: dict[str, Labelled] = {}
    missing = []
    for line, row in rows:
        where = f"{table}, line {line}"
        name, label, part = ("" if i is None else (row[i] if i < len(row) else "") for i in columns)
        if not label or len(label) > LONGEST or printable(label) != label or re.search(r"[/\\]|^\.+$", label):
            raise PhotosError(f"{where}: the label {label[:LONGEST]!r} is not a plain name: write a word or a number")
        if columns[2] is not None and part.lower() not in part_of:
            raise PhotosError(f"{where}: {part!r} is no part of a data set: write {', '.join(parts)}")
        hits = sorted(_matching(index, _posix(name), part_of))
        if len(hits) > 1:
            raise PhotosError(f"{where}: {name!r} may be {' or '.join(hits[:3])}: write its folder and suffix, too")
        new = Labelled(label, part_of.get(part.lower()), line)
        old = found.setdefault(hits[0], new) if hits else new
        if not hits:
            missing.append(f"{where}: there is no photo {name!r}")
        elif old[:2] != new[:2]:
            is_, was = (f"{each.label!r}" + (f" in {each.subset}" if each.subset else "") for each in (new, old))
            raise PhotosError(f"{where}: {name!r} is {is_}, but {was} in line {old.line}: keep one of the lines")
    if missing:
        others = f" (nor those of {len(missing) - 1:,} other lines)" * (len(missing) > 1)
        raise PhotosError(f"{missing[0]}{others}: add it, or remove the line")
    counts = Counter(each.label for each in found.values())
    for each in found.values():
        if counts[each.label] == 1:
            known = [label for label, count in counts.items() if count > 1]
            hint = did_you_mean(each.label, known, "add photos, or remove the line")
            raise PhotosError(f"{table}, line {each.line}: class {each.label!r} has this one photo only{hint}")
    return {name: found[name] for name in sorted(found)}


def _rows(table: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not empty, with their numbers, cut at commas, semicolons or tabs."""
    text = _text(table)
    first = next(filter(str.strip, text.splitlines()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise PhotosError(f"{table}, line {reader.line_num} cannot be read ({error}): save the table anew") from error
    return [(line, row) for line, row in rows if any(row)]


Columns = tuple[int, int, int | None]  # of the photo, its label, its part of the data set
Index = Mapping[str, set[str]]


def _columns(rows: list[tuple[int, list[str]]], index: Index) -> tuple[list[tuple[int, list[str]]], Columns | None]:
    """Return the rows without a header, and the places of the columns; None if it is no table of labels."""
    head = [cell.lower() for cell in rows[0][1]] if rows else []
    image, label, part = (
        next((head.index(name) for name in known if name in head), None) for known in (IMAGE, LABEL, SUBSET)
    )
    if image is not None and label is not None:
        return rows[1:], (image, label, part)
    if 2 <= len(head) <= 3:  # without a header, or with an unknown one
        for start, (_, row) in enumerate(rows[:2]):
            if _matching(index, _posix(row[0]), {}):
                return rows[start:], (0, 1, 2 if len(head) == 3 else None)
    return [], None


def _ends(names: Iterable[str]) -> Index:
    """Map each end of a name, with and without the suffix, to the names: ``a/b.jpg``, ``b.jpg``, ``a/b`` and ``b``."""
    index = defaultdict(set)
    for name in names:
        path = PurePosixPath(name)
        for whole in (path, path.with_suffix("")):
            for start in range(len(whole.parts)):
                index["/".join(whole.parts[start:])].add(name)
    return index


def _matching(index: Index, name: PurePosixPath, part_of: Mapping[str, str]) -> set[str]:
    """Return the photos that a name may mean: those with its longest end, but none of another part of the data set."""
    for start in range(len(name.parts) if ".." not in name.parts else 0):
        if found := index.get("/".join(name.parts[start:])):
            wanted, own = _parts(name, part_of), {each: _parts(PurePosixPath(each), part_of) for each in found}
            fitting = {each for each in found if not wanted or not own[each] or wanted & own[each]}
            return {str(name)} & fitting or fitting
    return set()


def _parts(name: PurePosixPath, part_of: Mapping[str, str]) -> set[str]:
    return {part_of[folder.lower()] for folder in name.parts[:-1] if folder.lower() in part_of}
