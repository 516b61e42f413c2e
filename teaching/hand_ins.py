"""Find the hand-ins in a folder: one per student, as a folder, a file, or a zip file."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from helpers.common import tensors
from helpers.common.errors import UserError
from helpers.common.files import read_bytes
from teaching.checks.blocks import read_script
from teaching.checks.sections import SECTIONS

KINDS = (".py", ".ipynb")
CODE_BYTES, LARGE, ARCHIVE_ENTRIES = 5 << 20, 100 << 20, 10_000
LOGS = (".txt", ".log", ".out", ".ipynb")
TRAP = re.compile(r"val\w*[^\n]{0,40}\b(?:0\.79(?:99|82)|0\.80(?:00|18)|79\.99|80\.00)")  # of 570, 456 right


@dataclass
class Student:
    """A line of the roster."""

    number: str
    name: str = ""


@dataclass
class HandIn:
    """What one student handed in: the script or notebook to grade, and what is odd about the rest."""

    student: Student
    file: str = ""
    content: bytes = b""
    warnings: list[str] = field(default_factory=list)


def read_roster(path: Path) -> list[Student]:
    """Read a CSV file with a heading; columns for number and name are recognized in English and Chinese.

    Raises:
        UserError: it cannot be read, or has no column of numbers.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): name the roster, as in ROSTER=roster.csv"
        ) from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            rows = list(csv.DictReader(io.StringIO(content.decode(encoding), newline="")))
            break
        except (UnicodeDecodeError, csv.Error):
            rows = []
    number = _column(rows, "sid", "id", "number", "学号", "student")
    name = _column(rows, "name", "姓名")
    if not number:
        raise UserError(f"{path} has no column of student numbers: its first line should be id,name")
    return [Student(str(row[number]).strip(), str(row.get(name) or "").strip()) for row in rows if row[number]]


def _column(rows: list[dict], *words: str) -> str:
    names = [name for name in (rows[0] if rows else ()) if name]
    matches = [name for word in words for name in names if word in re.split(r"[\s_\-]+", name.lower().strip())]
    return next(iter(matches), "")


def find_hand_ins(folder: Path, roster: list[Student]) -> list[HandIn]:
    """Return a hand-in per student, in the roster's order; those of nobody on it follow, each under its own name.

    Raises:
        UserError: the folder does not exist or is empty.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name the folder of all hand-ins, as in make grade SUB=hand-ins")
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]
    entries = [path for path in entries if path.is_dir() or path.suffix.lower() in (*KINDS, ".zip")]
    if not entries:
        raise UserError(f"{folder} holds no hand-in: a folder, script, notebook or zip file per student")
    owners = {path: _owner(path.stem if path.is_file() else path.name, roster) for path in entries}
    found = []
    for student in roster:
        own = [path for path in entries if owners[path] is student]
        found.append(_collected(student, own) if own else HandIn(student))
    return found + [_collected(Student(path.name), [path]) for path in entries if owners[path] is None]


def _owner(name: str, roster: list[Student]) -> Student | None:
    """Find the student whose number, or else whose name, a file's name contains as a whole."""
    plain = " ".join(re.split(r"[\W_]+", name.lower()))
    for attribute in ("number", "name"):
        words = {" ".join(re.split(r"[\W_]+", getattr(each, attribute).lower())): each for each in roster}
        matches = [key for key in words if key and re.search(rf"(?<![^\W_]){re.escape(key)}(?![^\W_])", plain)]
        if matches:
            return words[max(matches, key=len)]
    return None


def _collected(student: Student, paths: list[Path]) -> HandIn:
    """Choose the script to grade from everything that a student handed in."""
    hand_in, candidates = HandIn(student), []
    for path in paths:
        for name, read in _files(path, hand_in.warnings):
            if PurePosixPath(name).suffix.lower() in KINDS:
                candidates.append((name, read()))
    rated = sorted(((_rating(*each), each) for each in candidates), key=lambda each: each[0], reverse=True)
    if not rated:
        hand_in.warnings.append("There is no script and no notebook.")
        return hand_in
    (best, _), (hand_in.file, hand_in.content) = rated[0]
    others = [name for (blocks, _), (name, _) in rated[1:] if blocks]
    if best and others:
        hand_in.warnings.append(
            f"Several scripts have graded blocks; {hand_in.file} was graded, not {', '.join(others)}."
        )
    return hand_in


def _rating(name: str, content: bytes) -> tuple[int, tuple]:
    """Rate a script: how many sections it answers; then by its name, scripts before notebooks."""
    try:
        script = read_script(name, content)
    except ValueError:
        return 0, (False, False, name)
    answered = sum(not script.is_blank(number) for number in script.blocks)
    path = PurePosixPath(name)
    tie = (path.suffix.lower() == ".py", path.stem.lower() == "main", "check" not in path.stem, -len(path.parts))
    return min(answered, len(SECTIONS)), tie


def _files(path: Path, warnings: list[str]) -> Iterator[tuple[str, callable]]:
    """Yield name and reader of each file of a hand-in, those in zip files too; links are not followed."""
    for each in [path] if path.is_file() else sorted(path.rglob("*")):
        inner = str(each.relative_to(path.parent))
        if each.is_symlink() or not each.is_file() or "__MACOSX" in inner or each.name.startswith("._"):
            continue
        if each.stat().st_size > LARGE:
            warnings.append(f"{inner} is larger than 100 MB.")
        if each.suffix.lower() == ".zip":
            yield from _zipped(each, inner, warnings)
            continue
        if each.suffix.lower() == ".pth":
            warnings += _about_weights(each, inner)
        if each.suffix.lower() in LOGS and each.stat().st_size < CODE_BYTES:
            warnings += _about_log(read_bytes(each), inner)
        if each.stat().st_size < CODE_BYTES:
            yield inner, lambda each=each: read_bytes(each)


def _zipped(path: Path, name: str, warnings: list[str]) -> Iterator[tuple[str, callable]]:
    """Yield the scripts in a zip file. Nothing is unpacked to disk."""
    try:
        archive = zipfile.ZipFile(path)
        entries = archive.infolist()[:ARCHIVE_ENTRIES]
    except (OSError, zipfile.BadZipFile):
        warnings.append(f"{name} cannot be opened.")
        return
    for entry in entries:
        small = entry.file_size < CODE_BYTES and not entry.is_dir() and "__MACOSX" not in entry.filename
        if small and PurePosixPath(entry.filename).suffix.lower() in KINDS:
            try:
                content = archive.open(entry).read(CODE_BYTES)
            except Exception as error:  # encrypted, damaged, an unknown compression
                warnings.append(f"{name}/{entry.filename} cannot be unpacked ({type(error).__name__}).")
                continue
            yield f"{name}/{entry.filename}", lambda content=content: content


def _about_weights(path: Path, name: str) -> list[str]:
    try:
        state = tensors.load_tensors(path)
        last = [value for value in state.values() if getattr(value, "ndim", 0) == 2][-1:]
    except Exception:  # a file of a student's own
        return [f"{name} cannot be loaded as a plain state dict."]
    if last and len(last[0]) == 2:
        return [f"{name} tells two classes apart: it was trained on the folders train and val (the 79.99 % trap)."]
    return []


def _about_log(content: bytes, name: str) -> list[str]:
    if len(TRAP.findall(content.decode("utf-8", "replace"))) >= 3:
        return [
            f"{name} stays at 79.99 %, the share of train/ in train/ and val/: the classes are folders, not flowers."
        ]
    return []
