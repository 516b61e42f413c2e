"""Progress bars, only where a person watches."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm import tqdm


def watched() -> bool:
    """Tell whether a person sees the output as it comes: JupyterLab, VS Code, or a terminal.

    Jupyter's server sets JPY_SESSION_NAME for its kernels; papermill, nbclient and nbval start theirs without a
    server, and each update of a bar would be a line in their logs. FLOWERS_PROGRESS=0 or 1 overrides this.
    """
    if (override := os.environ.get("FLOWERS_PROGRESS")) in ("0", "1"):
        return override == "1"
    return "JPY_SESSION_NAME" in os.environ or "VSCODE_PID" in os.environ or sys.stdout.isatty()


def progress(iterable: Iterable, total: int, description: str) -> Iterator:
    """Iterate over the items, with a bar that disappears at the end if a person watches."""
    return iter(tqdm(iterable, description, total, leave=False, file=sys.stdout, disable=not watched()))


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
            options = {"initial": done, "unit": " photos", "leave": False, "file": sys.stdout, "bar_format": form}
            self.bar = tqdm(total=self.epochs * self.photos, disable=not watched(), **options)
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
        with tqdm.external_write_mode(file=sys.stdout):
            show(value)

    def close(self) -> None:
        """Remove the line."""
        if self.bar is not None:
            self.bar.close()
