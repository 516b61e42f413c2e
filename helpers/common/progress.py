"""Progress bars, only where a person watches."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from tqdm import tqdm

TERMINAL = "FLOWERS_TERMINAL"  # environment: the path of the terminal in which a person watches
CLEAR = "\r\x1b[K"  # a terminal's line


def watched() -> bool:
    """Tell whether a person sees the output as it comes: JupyterLab, VS Code, or a terminal.

    Jupyter's server sets JPY_SESSION_NAME for its kernels; papermill, nbclient and nbval start theirs without a
    server, and each update of a bar would be a line in their logs. FLOWERS_PROGRESS=0 or 1 overrides this.
    """
    if (override := os.environ.get("FLOWERS_PROGRESS")) in ("0", "1"):
        return override == "1"
    return "JPY_SESSION_NAME" in os.environ or "VSCODE_PID" in os.environ or sys.stdout.isatty()


def _stream() -> TextIO | None:
    """Return where bars are drawn; None if nobody watches.

    A notebook executed by a command in a terminal has its bars there (``TERMINAL``), not in its outputs.
    """
    if path := os.environ.get(TERMINAL):
        with contextlib.suppress(OSError):
            return _opened(path)
    return sys.stdout if watched() else None


@functools.cache
def _opened(path: str) -> TextIO:
    return open(path, "w", encoding="utf-8")


def in_terminal() -> bool:
    """Tell whether a person watches this command in a terminal, where a line can be drawn again."""
    return os.environ.get("FLOWERS_PROGRESS") != "0" and sys.stdout.isatty()


def bar(**options: Any) -> tqdm:
    """Make a progress bar, which disappears at the end, if a person watches."""
    stream = _stream()
    options = {"leave": False, "dynamic_ncols": True} | options
    return tqdm(file=stream or sys.stdout, disable=stream is None, **options)


def progress(iterable: Iterable, total: int, description: str) -> Iterator:
    """Iterate over the items, with a bar that disappears at the end if a person watches."""
    return iter(bar(iterable=iterable, total=total, desc=description))


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Say what is being done, and about how long it takes, until it is done, if a person watches."""
    stream = _stream()
    if stream:
        print(f"\r{what} …", end="", file=stream, flush=True)
    try:
        yield
    finally:
        if stream:
            print(f"\r{' ' * (len(what) + 2)}\r", end="", file=stream, flush=True)


class TrainingBar:
    """A live line for a whole training, if a person watches: epoch, step, photos/s, time left, best accuracy so far."""

    def __init__(self, epochs: int, steps: int, photos: int, log: Callable[[str], None] = print) -> None:
        """Prepare a bar for epochs of so many ``steps`` and ``photos``; ``log`` writes lines of text, above the bar."""
        self.epochs, self.steps, self.photos, self._log = epochs, steps, photos, log
        self.bar: tqdm | None = None

    def show(self, epoch: int, step: int, photos: int, best: float | None) -> None:
        """Show how far the training is: whole epochs, and steps and photos of the present one."""
        done = epoch * self.photos + photos
        if self.bar is None:  # rate and time left count from here: an interrupted training has a part behind it
            form = "{desc} |{bar}| {rate_fmt}, {remaining} left{postfix}"
            self.bar = bar(total=self.epochs * self.photos, initial=done, unit=" photos", bar_format=form)
        if not self.bar.disable and epoch < self.epochs:
            self.bar.set_description_str(f"epoch {epoch}/{self.epochs - 1}, step {step}/{self.steps}", refresh=False)
            if best is not None:
                self.bar.set_postfix_str(f"best {best:.2%}", refresh=False)
            self.bar.update(done - self.bar.n)

    def log(self, text: str) -> None:
        """Log a line."""
        self.above(self._log, text)

    def above(self, show: Callable[[Any], None], value: Any) -> None:
        """Show something above the line, which is taken away and drawn again below."""
        drawn = self.bar is not None and not self.bar.disable  # a disabled bar has no file
        with tqdm.external_write_mode(file=self.bar.fp if drawn else sys.stdout):
            show(value)

    def close(self) -> None:
        """Remove the line."""
        if self.bar is not None:
            self.bar.close()
