"""Progress bars, drawn only where a person watches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from tqdm import tqdm


def watched() -> bool:
    """Whether a person sees the output as it comes: JupyterLab, VS Code, or a terminal.

    Jupyter's server tells a kernel by JPY_SESSION_NAME which notebook it serves; papermill, nbclient and nbval
    start kernels without a server. In their logs each update of a bar would be a line.
    FLOWERS_PROGRESS=0 or 1 decides otherwise.
    """
    asked = os.environ.get("FLOWERS_PROGRESS", "")
    if asked in ("0", "1"):
        return asked == "1"
    return "JPY_SESSION_NAME" in os.environ or "VSCODE_PID" in os.environ or sys.stdout.isatty()


def progress(iterable: Iterable, total: int, description: str) -> Iterator:
    """The same items; with a bar that disappears at the end where a person watches."""
    return iter(tqdm(iterable, description, total, leave=False, file=sys.stdout, disable=not watched()))
