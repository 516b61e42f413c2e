"""Saving and loading: whole files or none, and nothing but tensors and plain values inside."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from helpers.common.errors import RunError
from helpers.common.files import write_atomically


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
