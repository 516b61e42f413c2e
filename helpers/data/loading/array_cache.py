"""Cache arrays on disk: built in a temporary folder and renamed, checked when read, safe to delete.

An entry is a folder with one ``.npy`` file per array and ``facts.json``, which holds their CRC-32. A damaged entry, or
one of another version, is built again.
"""

import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from helpers.common.files import read_bytes, regular

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # name → shape and dtype


def read_entry(entry: Path, shapes: Shapes, version: str, log: Callable[[str], None] = print) -> Arrays | None:
    """Map an entry's arrays from disk, read-only; None if there is no usable entry.

    Args:
        entry: its folder. The name must contain everything that the contents depend on.
        version: of the code that writes the contents. An entry of another version is removed.
        log: is told why an existing entry is not used.
    """
    if not entry.exists():
        return None
    try:
        return _read(entry, shapes, version)
    except (OSError, ValueError, KeyError, TypeError) as error:
        log(f"{entry} cannot be used ({error}): it is made again")
        shutil.rmtree(entry, ignore_errors=True)
        return None


@contextmanager
def new_entries(
    entries: Mapping[Path, Shapes], version: str, log: Callable[[str], None] = print
) -> Iterator[dict[Path, Arrays]]:
    """Provide arrays to be filled in the block; they become entries if it ends without an error.

    Entries that cannot be written (the disk is full or read-only) are left out; ``log`` is told why. The arrays stay
    valid after the block.
    """
    with ExitStack() as stack:
        fresh: dict[Path, tuple[Path, Arrays]] = {}
        for entry, shapes in entries.items():
            try:
                fresh[entry] = _allocate(entry, shapes, stack)
            except OSError as error:
                log(_not_kept(entry, shapes, error))
        yield {entry: arrays for entry, (_, arrays) in fresh.items()}
        for entry, (folder, arrays) in fresh.items():
            try:
                _finish(folder, arrays, version, entry)
            except OSError as error:
                log(_not_kept(entry, entries[entry], error))


def _read(entry: Path, shapes: Shapes, version: str) -> Arrays:
    facts = json.loads(read_bytes(entry / "facts.json"))
    if facts["version"] != version:
        raise ValueError(f"made by {facts['version']}, this is {version}")
    if damaged := [name for name in shapes if _checksum(entry / f"{name}.npy") != facts["crc32"][name]]:
        raise ValueError(f"{damaged[0]}.npy is damaged")
    arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in shapes}
    for name, (shape, dtype) in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.dtype(dtype):
            raise ValueError(f"{name}.npy holds {arrays[name].shape} instead of {shape}")
    return arrays


def _allocate(entry: Path, shapes: Shapes, stack: ExitStack) -> tuple[Path, Arrays]:
    """Make a folder beside the entry's place, removed with the stack, and arrays in it, mapped for writing.

    Disk space is reserved first: a disk that fills up while mapped memory is written would kill the process.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    beside = TemporaryDirectory(prefix=f".{entry.name}.", dir=entry.parent, ignore_cleanup_errors=True)
    folder = Path(stack.enter_context(beside))
    arrays = {}
    for name, (shape, dtype) in shapes.items():
        path = folder / f"{name}.npy"
        arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return folder, arrays


def _finish(folder: Path, arrays: Arrays, version: str, entry: Path) -> None:
    for array in arrays.values():
        array.flush()
    facts = {"version": version, "crc32": {name: _checksum(folder / f"{name}.npy") for name in arrays}}
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    try:
        os.rename(folder, entry)
    except OSError:
        if not entry.is_dir():  # otherwise another process was faster, with the same contents
            raise


def _checksum(path: Path) -> int:
    with open(path, "rb", opener=regular) as file:
        return zlib.crc32(np.memmap(file, np.uint8, "r"))  # against damage only; SHA-256 takes three times as long


def _not_kept(entry: Path, shapes: Shapes, error: OSError) -> str:
    needed = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
    return (
        f"decoded photos are not cached: {entry.parent} cannot be written ({error.strerror or error}; "
        f"{needed / 1e9:.2f} GB needed). This run goes on without, and the next one decodes them again"
    )
