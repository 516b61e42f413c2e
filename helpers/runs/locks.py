"""One process per run folder. The operating system releases the lock of a process that dies."""

import contextlib
import json
import os
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from helpers.common.errors import RunError
from helpers.common.files import read_bytes

_held: dict[Path, FileLock] = {}


def hold(folder: Path, name: str = "run", patience: float = 0.0) -> None:
    """Hold the folder's lock until ``release`` or the end of this process; holding it twice is allowed.

    Args:
        name: what is locked: ``run`` for training, ``notebook`` for executing a notebook into the folder.
        patience: seconds to wait for another holder.

    Raises RunError: another process holds it.
    """
    path = (folder / f".{name}.lock").resolve()
    if path in _held:
        return
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise RunError(
            f"{folder.name} is in use by another process{_holder(path)}: wait for it, close its notebook, "
            "or start a run of your own with resume = False"
        ) from None
    _held[path] = lock
    facts = {"process": os.getpid(), "machine": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):  # it only makes the refusal more helpful
        _facts(path).write_text(json.dumps(facts), encoding="utf-8")


def release(folder: Path, name: str = "run") -> None:
    """Release the lock, if this process holds it."""
    path = (folder / f".{name}.lock").resolve()
    if path in _held:
        _facts(path).unlink(missing_ok=True)
        _held.pop(path).release()


def wait_until_free(folder: Path) -> None:
    """Wait for a training that is just ending. Raises RunError: the lock is still held after ten seconds."""
    if (folder / ".run.lock").exists():
        hold(folder, patience=10)
        release(folder)


def left_behind(folder: Path, name: str) -> bool:
    """Tell whether a process ended without releasing the lock that it held."""
    path = (folder / f".{name}.lock").resolve()
    if path in _held or not _facts(path).exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False


def _facts(path: Path) -> Path:
    return path.with_suffix(".json")


def _holder(path: Path) -> str:
    try:
        facts = json.loads(read_bytes(_facts(path)))
        return f" (number {facts['process']} on {facts['machine']}, since {facts['since']})"
    except (OSError, ValueError, KeyError):
        return ""
