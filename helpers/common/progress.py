"""Progress bars, only where a person watches."""

import os
import sys
from collections.abc import Iterable, Iterator

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
