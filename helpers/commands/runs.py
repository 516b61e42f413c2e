"""All finished runs side by side: ``python -m helpers runs``, or with the folders of some of them.

Accuracy, time and device of each, the settings in which they differ, and, where two runs were examined on the same
photos, their paired difference. Nothing but the run folders' JSON and CSV files is read.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

from helpers.common import files
from helpers.common.errors import RunError, UserError
from helpers.recipe import Recipe
from helpers.runs.run import project_root, work_folder
from helpers.runs.table import Table, load_run_table, run_folders
from helpers.runs.table_text import as_csv, as_json, as_text


def main(arguments: list[str] | None = None) -> int:
    """Compare from the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers runs", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", help="folders of runs, or names in the work_dir; default: all")
    parser.add_argument("--work-dir", help="folder of runs, such as report/results; default: work_dir")
    parser.add_argument("--figure", help="where the figure goes; default: work_dir/runs.png")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")
    options = parser.parse_args(arguments)
    try:
        usual = work_folder(Recipe(), project_root(Path(__file__).parent))
        work_dir = Path(options.work_dir) if options.work_dir else usual
        table = load_run_table(run_folders(work_dir, options.runs))
        figure = Path(options.figure) if options.figure else usual / "runs.png"
        if not table.rows:
            raise RunError("\n".join([f"{work_dir}: no finished run to compare (make run makes one)", *table.others]))
        _save_figure(table, figure)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(as_json(table) if options.json else as_csv(table).rstrip() if options.csv else as_text(table))
    print(f"figure: {os.path.relpath(figure)}", file=sys.stderr)
    return 0


def _save_figure(table: Table, path: Path) -> None:
    from helpers.plots.training import compare_runs  # matplotlib, which the table does without

    picture = io.BytesIO()
    compare_runs(table.rows).savefig(picture, format="png", dpi=120, bbox_inches="tight")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{path.parent} cannot be made ({error.strerror}): choose another place with --figure"
        ) from error
    files.write_atomically(path, picture.getvalue())
