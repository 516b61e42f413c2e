"""Saving and loading: whole files or none, and nothing but tensors and plain values inside."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from helpers.errors import RunError


def write_atomically(path: Path, content: bytes | memoryview, previous: Path | None = None) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Args:
        previous: where the file that was there before is kept. For a moment then neither is at ``path``.

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
        with contextlib.suppress(OSError):  # a disk that became read-only keeps it
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):  # an interruption
            raise
        raise RunError(
            f"{path} cannot be written ({error.strerror}; {len(content):,} bytes needed): "
            "free some space or choose another work_dir. What was saved before is intact"
        ) from error


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def save_tensors(path: Path, value: Any, previous: Path | None = None) -> None:
    """Save a state dict, or a nest of dicts and lists with tensors and plain values at the leaves.

    Args:
        previous: where the file that was there before is kept.
    """
    buffer = io.BytesIO()  # through memory: a zip named after its file would differ from path to path
    torch.save(value, buffer)
    write_atomically(path, buffer.getbuffer(), previous)


def load_tensors(path: Path, device: torch.device | str = "cpu") -> Any:
    """Load what ``save_tensors`` saved. Code hidden in the file is refused, not run; so is a file with a flipped bit.

    Raises:
        RunError: the file is missing, damaged, or holds other things than tensors.
    """
    try:
        content = path.read_bytes()  # all at once: a writer may replace the file meanwhile
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()  # torch.save notes a CRC-32 of everything, torch.load does not look at it
        if damaged:
            raise ValueError(f"{damaged} was changed")
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist: run the training first") from error
    except Exception as error:  # torch and zipfile raise many kinds for a damaged file
        raise RunError(f"{path} cannot be loaded ({type(error).__name__}): delete it and run again") from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders; its rename is durable enough
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
