"""Re-execute committed notebooks in place: ``python -m helpers refresh_notebooks notebooks/*.ipynb``.

Times and the editor's state are left out, so that a commit shows what really changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")


def run(options: argparse.Namespace) -> int:
    for path in options.notebooks:
        refresh(path)
    return 0


def refresh(path: Path) -> None:
    """Execute the notebook from its own folder, on a kernel of this Python, and write it back."""
    import nbformat
    from nbclient import NotebookClient

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
