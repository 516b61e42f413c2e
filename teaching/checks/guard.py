"""Limits and a guard for a process that runs a student's code: what it may use, and a record of what it tried.

This stops accidents and simple attacks. Code that is written to deceive the checks can: they share a process with it.
"""

import builtins
import contextlib
import copy
import ctypes
import math
import os
import resource
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

PROCESSES = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn", "pty.spawn", "os.kill", "os.killpg"}
PROGRAMS = {"os.system", "subprocess.Popen", "os.startfile"}
SOCKETS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
# How many paths the event names first, and where the descriptors of folders that they are relative to follow.
REMOVALS = {"os.remove": (1, 1), "os.rmdir": (1, 1), "shutil.rmtree": (1, 1), "os.truncate": (1, 2), "os.chmod": (1, 2)}
REMOVALS |= {"os.rename": (2, 2), "os.link": (2, 2), "shutil.move": (2, 2), "sqlite3.connect": (1, 1)}
NATIVE = {"ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function", "ctypes.cdata", "ctypes.string_at"}
FRAMES = {"sys._getframe", "sys._current_frames", "gc.get_objects", "gc.get_referrers", "gc.get_referents"}
WRITTEN_FILES = 100
WRITTEN_BYTES = 64 << 20  # per file
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID = 0x10000000, 0x40000000, 0x20000000
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock's system calls
NO_NEW_PRIVILEGES, BELOW_PATH = 38, 1
EXECUTE, WRITE, REFER, TRUNCATE = 1 << 0, 1 << 1, 1 << 13, 1 << 14
CHANGE = WRITE | sum(1 << bit for bit in range(4, 13))  # remove and make files and folders, too
TCP, OUTSIDE = 0b11, 0b11  # bind and connect; sockets and signals of processes outside


def leave_network() -> list[str]:
    """Move this process into namespaces without a network and, for its children, of its own processes, if allowed."""
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    user = 0 if os.geteuid() == 0 else CLONE_NEWUSER
    kinds = {"network": CLONE_NEWNET, "processes": CLONE_NEWPID}
    if libc.unshare(user | CLONE_NEWNET | CLONE_NEWPID) == 0:
        return list(kinds)
    return [name for name, flag in kinds.items() if libc.unshare(flag) == 0] if not user else []


def lock_files(folder: Path) -> list[str]:
    """Let this process and its children change files in a folder only and start no program, if the system can."""
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return []
    change = CHANGE | (REFER if version > 1 else 0) | (TRUNCATE if version > 2 else 0)
    known = struct.pack("=QQQ", change | EXECUTE, TCP if version > 3 else 0, OUTSIDE if version > 5 else 0)
    rules = libc.syscall(CREATE_RULESET, known, len(known), 0)
    for path, allowed in ((folder, change), (os.devnull, change & (WRITE | TRUNCATE))):
        place = os.open(path, os.O_PATH)
        libc.syscall(ADD_RULE, rules, BELOW_PATH, struct.pack("=Qi", allowed, place), 0)
        os.close(place)
    done = libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and libc.syscall(RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return ["files"] if done else []


def limit_resources(seconds: float, gigabytes: float) -> None:
    """Cap CPU time, memory beyond what is in use, the size of files, and core dumps."""
    used = 0
    with contextlib.suppress(OSError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _cap(resource.RLIMIT_AS, used + int(gigabytes * 1e9))
    _cap(resource.RLIMIT_CPU, int(4 * seconds) + 1)
    _cap(resource.RLIMIT_FSIZE, WRITTEN_BYTES)
    _cap(resource.RLIMIT_CORE, 0)


def _cap(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (min(value, hard) if hard != resource.RLIM_INFINITY else value,) * 2)


class Guard:
    """An audit hook that refuses files outside of a folder, processes and sockets, and remembers the attempts."""

    def __init__(self, folder: Path, secret: Path) -> None:
        """Args: ``folder``: may be written to. ``secret``: may not be read: the checks themselves."""
        self.attempts: list[str] = []
        self.armed = False
        self._folder, self._secret = os.path.realpath(folder), os.path.realpath(secret)
        paths = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *map(str, filter(None, sys.path))}
        # The checks lie somewhere on sys.path: that entry allows nothing but the import of what is loaded already.
        known = [os.path.realpath(path) for path in paths if not self._secret.startswith(os.path.realpath(path))]
        self._readable = (self._folder, *known, "/usr", "/lib", "/etc", "/proc", "/sys", "/dev", "/opt")
        self._written = 0
        for module in (subprocess, sys.modules.get("_posixsubprocess")):  # what has no event of its own
            for name in ("_fork_exec", "fork_exec"):
                if hasattr(module, name):
                    setattr(module, name, lambda *_: self._refuse("starts other programs"))
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.armed:
            return
        if event == "open":
            self._opened(*arguments[:3])
        elif event in PROCESSES:
            self._refuse("starts other processes")
        elif event in PROGRAMS:
            self._refuse("starts other programs")
        elif event in SOCKETS:
            self._refuse("opens network connections")
        elif event in NATIVE | FRAMES and self._called_by_hand_in():
            self._refuse("calls native code" if event in NATIVE else "looks into the checks")
        elif event in REMOVALS:
            paths, folders = REMOVALS[event]
            for path, base in zip(arguments[:paths], (*arguments[folders:], -1, -1), strict=False):
                if not self._inside(path, base):
                    self._refuse("deletes or changes files outside of its folder")

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        real = os.path.realpath(os.fsdecode(path))
        writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
            isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        )
        if writes and real != os.devnull:
            self._written += 1
            if not _within(real, self._folder):
                self._refuse("writes files outside of its folder")
            if self._written > WRITTEN_FILES:
                self._refuse("writes too many files")
        elif _within(real, self._secret) or (real.startswith("/proc/") and real.endswith(("/mem", "/environ"))):
            self._refuse("reads the tests")
        elif not any(_within(real, each) for each in self._readable) and os.path.exists(real):
            self._refuse("reads files outside of its folder")

    def _inside(self, path: Any, base: Any) -> bool:
        """Args: ``base``: the descriptor of the folder that a relative path starts from; -1 or None: this one."""
        try:
            start = f"/proc/self/fd/{base}" if isinstance(base, int) and base >= 0 else ""
            return _within(os.path.realpath(os.path.join(start, os.fsdecode(path))), self._folder)
        except TypeError:
            return False

    def _called_by_hand_in(self) -> bool:
        """Whether the code that asks for something is the hand-in's, not a library's."""
        self.armed = False  # the look at the frames would be an event itself
        try:
            frame = sys._getframe(2)
            while frame and "ctypes" in frame.f_code.co_filename:
                frame = frame.f_back
            return frame is not None and frame.f_code.co_filename.startswith("<")
        finally:
            self.armed = True

    def _refuse(self, what: str) -> None:
        if what not in self.attempts:
            self.attempts.append(what)
        raise PermissionError(f"this hand-in {what}, which the checks do not allow")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


class Integrity:
    """A record of the functions and constants that verdicts rest on, to see whether a student's code changed one."""

    LIBRARIES = (builtins, copy, math, os, os.path, np, torch, torch.nn.functional, torch.Tensor, torch.nn.Module)
    LIBRARIES += (torch.nn.CrossEntropyLoss, torch.optim.Optimizer, torch.optim.SGD, torch.utils.data.DataLoader)
    # No verdict rests on torch.load, and some replace it to read old files.
    FREE = ("load", "__warningregistry__", "__builtins__")

    def __init__(self, checks: list[ModuleType]) -> None:
        """Args: ``checks``: the modules of the checks, whose functions and classes are watched too."""
        torch.optim.SGD([torch.zeros(1)])  # the first one wraps its class's step
        own = [each for module in checks for each in vars(module).values() if isinstance(each, type)]
        own = [each for each in own if each.__module__.startswith(__package__)]
        self._before = [
            (holder, name, value)
            for holder in (*self.LIBRARIES, *checks, *own)
            for name, value in vars(holder).items()
            if name not in self.FREE and (callable(value) or isinstance(holder, type) or holder in checks)
        ]
        self._entries = [(name, value, dict(value)) for _, name, value in self._before if isinstance(value, dict)]

    def changed(self, vars: Any = vars) -> list[str]:  # bound here: a hand-in could replace the one in builtins
        """Return the names of what was replaced."""
        names = [
            f"{holder.__name__}.{name}" for holder, name, value in self._before if vars(holder).get(name) is not value
        ]
        return names + [name for name, value, entries in self._entries if value != entries]
