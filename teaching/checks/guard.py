"""Limits and a guard for a process that runs a student's code: what it may use, and a record of what it tried.

This stops accidents and simple attacks. Code that is written to break out of Python can: use a container for that.
"""

import contextlib
import ctypes
import os
import resource
import sys
import sysconfig
from pathlib import Path
from typing import Any

import torch

PROCESSES = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn", "pty.spawn", "os.kill", "os.killpg"}
PROGRAMS = {"os.system", "subprocess.Popen", "os.startfile"}
SOCKETS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
REMOVALS = {"os.remove", "os.rmdir", "shutil.rmtree", "os.rename", "shutil.move", "os.truncate", "os.chmod", "os.link"}
NATIVE = {"ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function", "ctypes.cdata", "ctypes.string_at"}
WRITTEN_FILES = 100
WRITTEN_BYTES = 64 << 20  # per file
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID = 0x10000000, 0x40000000, 0x20000000


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
        elif event in NATIVE and _called_by_hand_in():
            self._refuse("calls native code")
        elif event in REMOVALS and not self._inside(arguments[0]):
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
        elif _within(real, self._secret):
            self._refuse("reads the tests")
        elif not any(_within(real, each) for each in self._readable) and os.path.exists(real):
            self._refuse("reads files outside of its folder")

    def _inside(self, path: Any) -> bool:
        try:
            return _within(os.path.realpath(os.fsdecode(path)), self._folder)
        except TypeError:
            return False

    def _refuse(self, what: str) -> None:
        if what not in self.attempts:
            self.attempts.append(what)
        raise PermissionError(f"this hand-in {what}, which the checks do not allow")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _called_by_hand_in() -> bool:
    """Whether the code that uses ``ctypes`` is the hand-in's, not a library's."""
    frame = sys._getframe(2)
    while frame and "ctypes" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith("<")


class Integrity:
    """A record of the functions that verdicts rest on, to see whether a student's code has replaced one."""

    WATCHED = (
        (torch, "save load equal allclose manual_seed"),
        (torch.Tensor, "backward item __eq__"),
        (torch.nn.Module, "__call__ train eval parameters named_parameters state_dict load_state_dict"),
        (torch.nn.CrossEntropyLoss, "forward"),
        (torch.nn.functional, "cross_entropy"),
        (torch.optim.Optimizer, "zero_grad add_param_group"),
        (torch.optim.SGD, "step"),
        (torch.utils.data.DataLoader, "__iter__ __init__"),
    )

    def __init__(self, own: dict[str, Any]) -> None:
        """Args: ``own``: the modules of the checks, whose functions are watched too."""
        torch.optim.SGD([torch.zeros(1)])  # the first one wraps its class's step
        self._watched = [(holder, name) for holder, names in self.WATCHED for name in names.split()]
        for module in own.values():
            self._watched += [(module, name) for name, value in vars(module).items() if callable(value)]
        self._before = self._state()

    def changed(self) -> list[str]:
        """Return the names of what was replaced."""
        now = self._state()
        return [name for name, value in self._before.items() if now[name] is not value]

    def _state(self) -> dict[str, Any]:
        return {f"{getattr(h, '__name__', h)}.{name}": getattr(h, name, None) for h, name in self._watched}
