"""Look closer at a finished run: ``python -m helpers look work_dir/<run>``.

Executes ``closer_look.ipynb`` on it: mistakes, what drives them, calibration, near-duplicates, doubtful labels, own
photos, and the model as a file. The executed notebook and its page are saved in the run's folder.
"""

import argparse
import os
from pathlib import Path

NOTEBOOK = "closer_look.ipynb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="folder of a finished run, or its name in work_dir; default: the newest")
    parser.add_argument("--data", help="where the run's photos are now, if they were moved: a folder or an archive")
    parser.add_argument("--photo", help="a photo or a folder of your own to classify")


def run(options: argparse.Namespace) -> int:
    from helpers.commands.page import write_page
    from helpers.commands.run import run_papermill
    from helpers.runs.folders import project_root
    from helpers.runs.table import find_run

    folder, root = find_run(options.run).resolve(), project_root()
    given = {name: str(Path(path).resolve()) for name in ("data", "photo") if (path := getattr(options, name))}
    executed = run_papermill(root / "notebooks" / NOTEBOOK, folder, {"run": str(folder), **given}, root)
    for path in (executed, write_page(executed), folder / "figures", folder / "export"):
        print(os.path.relpath(path))
    return 0
