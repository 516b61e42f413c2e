"""Arrays kept on disk: built in a folder aside and renamed, checked when read, safe to delete.

An entry is a folder ``<name>/`` with one ``.npy`` file per array and ``facts.json``, which holds the
SHA-256 of each. What is damaged or was made by another version is built again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # name → shape and dtype


def cached_arrays(
    entry: Path, shapes: Shapes, version: str, build: Callable[[Arrays], None], log: Callable[[str], None] = print
) -> Arrays | None:
    """The entry's arrays, mapped from disk, read-only; ``build`` fills them in place if they have to be made.

    Args:
        entry: the entry's folder. Its name must say all that the contents depend on.
        version: of what makes the contents. An entry of another version is built again.
        log: is told why an entry that was there is not used, or why none can be kept.

    Returns:
        None if no entry can be written: the disk is full or read-only. No half entry is left.
    """
    if entry.exists():
        try:
            return _read(entry, shapes, version)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log(f"{entry} cannot be used ({error}): it is made again")
            shutil.rmtree(entry, ignore_errors=True)
    try:
        return _write(entry, shapes, version, build)
    except OSError as error:
        needed = sum(_bytes(*shape) for shape in shapes.values())
        log(
            f"decoded photos are not cached: {entry.parent} cannot be written ({error.strerror or error}; "
            f"{needed / 1e9:.2f} GB needed). This run goes on without, and decodes them again next time"
        )
        return None


def _read(entry: Path, shapes: Shapes, version: str) -> Arrays:
    facts = json.loads((entry / "facts.json").read_text(encoding="utf-8"))
    if facts["version"] != version:
        raise ValueError(f"made by {facts['version']}, this is {version}")
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(shapes, pool.map(_digest, (entry / f"{name}.npy" for name in shapes)), strict=True))
    if damaged := [name for name in shapes if digests[name] != facts["sha256"][name]]:
        raise ValueError(f"{damaged[0]}.npy is damaged")
    arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in shapes}
    for name, (shape, dtype) in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.dtype(dtype):
            raise ValueError(f"{name}.npy holds {arrays[name].shape} instead of {shape}")
    return arrays


def _write(entry: Path, shapes: Shapes, version: str, build: Callable[[Arrays], None]) -> Arrays:
    entry.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=entry.parent))
    try:
        arrays = {name: _allocate(aside / f"{name}.npy", *shape) for name, shape in shapes.items()}
        build(arrays)
        for array in arrays.values():
            array.flush()
        facts: dict[str, Any] = {"version": version, "sha256": {n: _digest(aside / f"{n}.npy") for n in shapes}}
        (aside / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        try:
            os.rename(aside, entry)
        except OSError:
            if not entry.is_dir():  # otherwise another process was faster, with the same contents
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return _read(entry, shapes, version)


def _allocate(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap:
    """A file mapped for writing. Its room is reserved first: a disk found full later would kill the process."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize
