"""Compare finished runs in a table and a figure: ``python -m helpers runs``, or with the folders of some of them.

The table has accuracy, time and device of each, the settings in which they differ, and the paired difference of runs
that were evaluated on the same photos.
"""

import argparse
import os
import sys
from pathlib import Path

from helpers.common.errors import RunError
from helpers.common.files import save_figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", help="folders of runs, or names in the work_dir; default: all")
    parser.add_argument("--work-dir", help="folder of runs, such as report/results; default: work_dir")
    parser.add_argument("--figure", help="file for the figure; default: work_dir/runs.png")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")


def run(options: argparse.Namespace) -> int:
    from helpers.plots.training import compare_runs
    from helpers.recipe import Recipe
    from helpers.runs.folders import project_root, work_folder
    from helpers.runs.table import load_run_table, run_folders
    from helpers.runs.table_text import format_csv, format_json, format_text

    default = work_folder(Recipe(), project_root(Path(__file__).parent))
    work_dir = Path(options.work_dir) if options.work_dir else default
    table = load_run_table(run_folders(work_dir, options.runs))
    if not table.rows:
        raise RunError("\n".join([f"{work_dir}: no finished run to compare (make run makes one)", *table.notes]))
    print(format_json(table) if options.json else format_csv(table).rstrip() if options.csv else format_text(table))
    figure = Path(options.figure) if options.figure else default / "runs.png"
    try:
        save_figure(figure, compare_runs(table.rows), "name another file with --figure")
    except RunError as error:
        if options.figure:
            raise
        print(f"no figure: {error}", file=sys.stderr)  # the project may be read-only
        return 0
    print(f"figure: {os.path.relpath(figure)}", file=sys.stderr)
    return 0
