"""Write files atomically; read and write JSON, figures and checksums."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.common.errors import RunError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes | memoryview, previous: Path | None = None) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Args:
        previous: where to keep the old file. For a moment then there is none at ``path``.

    Raises:
        RunError: the disk is full, read-only, or otherwise refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
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


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Format rows as CSV, lines ended by a line feed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
        RunError: the file is missing, damaged, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
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


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure in the format of the path's suffix; make its folder if need be.

    Raises:
        RunError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent} cannot be made ({error.strerror}): choose another folder") from error
    write_atomically(path, figure_bytes(figure, path.suffix.lower().removeprefix(".")))


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders; its rename is durable enough
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
