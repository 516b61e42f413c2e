"""Write files atomically; read files from outside safely; JSON, CSV, figures and checksums."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.common.errors import RunError, UserError
from helpers.common.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MAX_BYTES = 200_000_000  # of a file that is read as a whole
FORMULA = re.compile(r"'*[=+\-@\t\n＝＋－＠]")  # how a cell begins that a spreadsheet would execute (OWASP)
MISTAKEN = {  # how files begin that are not what their name says
    rb"version https://git-lfs": "a Git LFS pointer, not the file that it stands for: fetch that with git lfs pull",
    rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|!--)": "an HTML page, such as a login or a warning: "
    "open the link in a browser, and save the file itself",
    rb"(\xef\xbb\xbf)?\s*(<\?xml|\{\s*\")": "an answer of a server in XML or JSON, not the file: get it again",
    rb"Rar!": "a RAR archive, which is not read here: unpack it by hand",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive, which is not read here: unpack it by hand",
    rb"\x28\xb5\x2f\xfd": "packed by Zstandard, which is not read here: unpack it by hand",
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+|inf|nan)(e[+-]?\d+)?")


def regular(path: str | Path, flags: int) -> int:
    """Open a regular file only, as the ``opener`` of ``open``: a pipe or a device could keep a reader for ever."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Read a regular file of at most so many bytes; an OSError names another."""
    with open(path, "rb", opener=regular) as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
        return file.read(size)


def read_start(path: Path) -> bytes:
    """Read the first bytes of a regular file, which tell what it is."""
    with open(path, "rb", opener=regular) as file:
        return file.read(4096)


def mistaken_for(start: bytes) -> str:
    """Name what a file is that people take for an archive or for weights, and the remedy; empty if it is none of these.

    Args:
        start: how the file begins.
    """
    if not start:
        return "empty: get it again"
    for beginning, what in MISTAKEN.items():
        if re.match(beginning, start, re.IGNORECASE):
            return what
    return ""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb", opener=regular) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(folder: Path, name: str) -> Path:
    """Return ``folder/name`` for writing; a link there could lead anywhere. Raises RunError: it is one."""
    if (folder / name).is_symlink():
        raise RunError(f"{folder / name} is a link, through which nothing is written: remove it")
    return folder / name


def write_atomically(path: Path, content: bytes | memoryview, previous: Path | None = None) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Args:
        previous: where to keep the old file. For a moment then there is none at ``path``.

    Raises RunError: the disk is full, read-only, or otherwise refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the disk may have become read-only
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):  # an interruption
            raise
        raise RunError(
            f"{path} cannot be written ({error.strerror}; {len(content):,} bytes needed): "
            "free some space or choose another work_dir. What was saved before is intact"
        ) from error


def make_folder(folder: Path, remedy: str, error: type[UserError] = RunError) -> None:
    """Make a folder and check that it can be written; otherwise raise the error, which ends in ``remedy``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as cause:
        raise error(f"{folder} cannot be written ({cause.strerror}): {remedy}") from cause


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Format rows as CSV, lines ended by a line feed.

    Text that a spreadsheet would execute is quoted by an apostrophe, as OWASP advises; ``read_csv`` takes it away.
    """

    def quoted(cell: Any) -> Any:
        if not isinstance(cell, str):
            return cell
        cell = cell.replace("\r", "\\x0d")  # csv would write it as the end of the row
        return f"'{cell}" if FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(quoted, row) for row in rows)
    return text.getvalue()


def read_csv(path: Path) -> list[list[str]]:
    """Read the rows of a CSV file, without a row's formula quotes; OSError, ValueError or csv.Error if it is none."""
    rows = csv.reader(io.StringIO(read_bytes(path).decode(), newline=""))
    return [[printable(cell[1:] if cell[:1] == "'" and FORMULA.match(cell) else cell) for cell in row] for row in rows]


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def load_json(path: Path) -> Any:
    """Read any JSON value, its strings ``printable``; OSError, ValueError or RecursionError if the file holds none."""
    return _printable(json.loads(read_bytes(path)))


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(key): _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return printable(value) if isinstance(value, str) else value


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file. Raises RunError: the file is missing, damaged, or holds something else."""
    try:
        value = load_json(path)
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}): run again") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged (it holds no object): run again")
    return value


def figure_bytes(figure: Figure, kind: str = "png", dpi: int = 120) -> bytes:
    """Render a figure, cropped to what is drawn, as ``kind`` (png, jpg, pdf, …)."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=dpi, bbox_inches="tight")
    return content.getvalue()


def save_figure(path: Path, figure: Figure, remedy: str = "choose another folder") -> None:
    """Write a figure in the format of the path's suffix; make its folder if need be, or raise a RunError."""
    make_folder(path.parent, remedy)
    write_atomically(path, figure_bytes(figure, path.suffix.lower().removeprefix(".")))


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders; its rename is durable enough
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
