"""Find the hand-ins in a folder: one per student, as a folder, a file, or a zip file."""

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from helpers.common import tensors
from helpers.common.errors import UserError
from helpers.common.files import read_bytes
from helpers.common.text import printable
from teaching.checks.blocks import read_script
from teaching.checks.sections import SECTIONS

KINDS = (".py", ".ipynb")
UNREAD = (".rar", ".7z", ".tar", ".gz", ".tgz", ".xz", ".bz2")
CODE_BYTES, ALL_CODE_BYTES, LARGE, ARCHIVE_ENTRIES = 5 << 20, 50 << 20, 100 << 20, 10_000
LOGS = (".txt", ".log", ".out", ".ipynb")
TRAP = re.compile(r"\b(?:0\.79(?:99|82)|0\.80(?:00|18)|79\.99|80\.00)")  # of 570 photos, 456 right


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
        UserError: it cannot be read, has no column of numbers, or has a number twice.
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
    students = [Student(_plain(row[number]), _plain(row.get(name))) for row in rows if _plain(row[number])]
    twice = [each for each, count in Counter(student.number for student in students).items() if count > 1]
    if twice:
        raise UserError(f"{path} has the number {twice[0]} twice: each student needs a number of their own")
    return students


def _plain(cell: str | None) -> str:
    return printable((cell or "").strip())


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
    entries = [path for path in sorted(folder.iterdir()) if not path.is_symlink()]
    entries = [path for path in entries if not path.name.startswith((".", "__"))]
    entries = [path for path in entries if path.is_dir() or path.suffix.lower() in (*KINDS, ".zip", *UNREAD)]
    if not entries:
        raise UserError(f"{folder} holds no hand-in: a folder, script, notebook or zip file per student")
    owners = {path: _owner(path.stem if path.is_file() else path.name, roster) for path in entries}
    found = []
    for student in roster:
        own = [path for path in entries if owners[path] is student]
        found.append(_collected(student, own) if own else HandIn(student))
    return found + [_collected(Student(printable(path.name)), [path]) for path in entries if owners[path] is None]


def _owner(name: str, roster: list[Student]) -> Student | None:
    """Find the student whose number, or else whose name, a file's name contains as a whole; none that two share."""
    plain = " ".join(re.split(r"[\W_]+", name.lower()))
    for attribute in ("number", "name"):
        words = [" ".join(re.split(r"[\W_]+", getattr(each, attribute).lower())) for each in roster]
        own = {key: each for key, each in zip(words, roster, strict=True) if key and words.count(key) == 1}
        matches = [key for key in own if re.search(rf"(?<![^\W_]){re.escape(key)}(?![^\W_])", plain)]
        if matches:
            return own[max(matches, key=len)]
    return None


def _collected(student: Student, paths: list[Path]) -> HandIn:
    """Choose the script to grade from everything that a student handed in."""
    hand_in, candidates, size = HandIn(student), [], 0
    for name, content in (each for path in paths for each in _scripts(path, hand_in.warnings)):
        size += len(content)
        if size > ALL_CODE_BYTES:
            hand_in.warnings.append(f"There are more than {ALL_CODE_BYTES >> 20} MB of scripts; the rest was not read.")
            break
        candidates.append((name, content))
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


def _scripts(path: Path, warnings: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each script of a hand-in, those in zip files too; links are not followed."""
    for each in [path] if path.is_file() else sorted(path.rglob("*")):
        inner, kind = printable(str(each.relative_to(path.parent))), each.suffix.lower()
        if each.is_symlink() or not each.is_file() or "__MACOSX" in inner or each.name.startswith("._"):
            continue
        if each.stat().st_size > LARGE:
            warnings.append(f"{inner} is larger than 100 MB.")
        if kind in UNREAD:
            warnings.append(f"{inner} is an archive that is not read here: unpack it by hand.")
        elif kind == ".zip":
            yield from _zipped(each, inner, warnings)
        elif kind == ".pth":
            warnings += _about_weights(each, inner)
        elif kind in (*KINDS, *LOGS) and each.stat().st_size < CODE_BYTES:
            try:
                content = read_bytes(each)
            except OSError as error:
                warnings.append(f"{inner} cannot be read ({error.strerror}).")
                continue
            warnings += _about_log(content, inner) if kind in LOGS else []
            if kind in KINDS:
                yield inner, content


def _zipped(path: Path, name: str, warnings: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the scripts in a zip file. Nothing is unpacked to disk."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        warnings.append(f"{name} cannot be opened.")
        return
    with archive:
        for entry in archive.infolist()[:ARCHIVE_ENTRIES]:
            inner = printable(f"{name}/{entry.filename}")
            kind = PurePosixPath(entry.filename).suffix.lower()
            if kind in (".zip", *UNREAD):
                warnings.append(f"{inner} is an archive in an archive, which is not read: unpack it by hand.")
            if kind not in KINDS or "__MACOSX" in inner:
                continue
            try:
                if entry.file_size < CODE_BYTES and not entry.is_dir():
                    yield inner, archive.read(entry)
            except Exception as error:  # encrypted, damaged, an unknown compression
                warnings.append(f"{inner} cannot be unpacked ({type(error).__name__}).")


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
    text = content.decode("utf-8", "replace")
    before = (text[max(0, each.start() - 60) : each.start()].rpartition("\n")[2] for each in TRAP.finditer(text))
    if sum("val" in words for words in before) >= 3:
        return [
            f"{name} stays at 79.99 %, the share of train/ in train/ and val/: the classes are folders, not flowers."
        ]
    return []
