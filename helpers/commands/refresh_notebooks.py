"""Re-execute a committed notebook in place: ``python -m helpers refresh-notebooks notebooks/….ipynb``.

What changes from run to run without meaning anything (times, the editor's state) is left out, so that a
commit shows what really changed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def refresh(path: Path) -> None:
    """Execute the notebook from its own folder, on a kernel of this Python, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    # Committed are the outputs of a first run in an empty folder, whatever lies in work_dir.
    os.environ["FLOWERS_WORK_DIR"] = "work_dir/refresh"
    shutil.rmtree(path.parent.parent / "work_dir" / "refresh", ignore_errors=True)
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=None, resources={"metadata": {"path": path.parent}}
    )
    client.record_timing = False
    client.execute()
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
    nbformat.write(notebook, path)


def main(arguments: list[str]) -> int:
    for name in arguments:
        refresh(Path(name))
    return 0
