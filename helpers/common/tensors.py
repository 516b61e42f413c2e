"""Save and load tensors: atomically, without executing code from the file, and with a check for flipped bits."""

import io
import zipfile
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils._pytree import tree_leaves

from helpers.common.errors import RunError
from helpers.common.files import read_bytes, write_atomically


def save_tensors(path: Path, value: Any, previous: Path | None = None) -> None:
    """Save a state dict, or a nest of dicts and lists with tensors and plain values at the leaves.

    Args:
        previous: where to keep the old file.
    """
    buffer = io.BytesIO()  # torch.save to a path would put the file's name into the bytes
    torch.save(value, buffer)
    write_atomically(path, buffer.getbuffer(), previous)


def tensor_fault(tensor: torch.Tensor) -> str:
    """Say why a tensor from a file is not one of ordinary numbers in memory of their own; empty if it is.

    A view with a stride of 0 claims terabytes in a file of bytes, and takes them once it is copied.
    """
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return f"a tensor is {str(tensor.layout).removeprefix('torch.')} on {tensor.device}, not of plain numbers"
    size, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    return f"a tensor of {size:,} bytes has {held:,} in the file" if size > held else ""


def load_tensors(path: Path) -> Any:
    """Load what ``save_tensors`` saved.

    Raises RunError: the file is missing, damaged (even by one bit), or holds anything but tensors and plain values.
    """
    try:
        # All at once: the file may be replaced meanwhile.
        content = read_bytes(path, psutil.virtual_memory().available // 2)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()  # torch.save stores a CRC-32 of each part, torch.load ignores it
        if damaged:
            raise ValueError(f"{damaged} was changed")
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if faults := [
            fault for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor) and (fault := tensor_fault(leaf))
        ]:
            raise ValueError(faults[0])
        return value
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist: run the training first") from error
    except Exception as error:  # torch and zipfile raise many kinds
        raise RunError(f"{path} cannot be loaded ({type(error).__name__}): delete it and run again") from error
