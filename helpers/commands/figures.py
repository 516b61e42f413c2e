"""Draw every figure of a run again, from its folder alone: ``python -m helpers figures work_dir/<run>``.

Of a run that is unfinished or damaged, the figures that can still be drawn are; the exit code is then 1.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="folder of a run, or its name in work_dir; default: the newest finished")
    parser.add_argument("--data", help="where the photos are now, if they were moved: a folder or an archive")
    parser.add_argument("--output", type=Path, help="folder for the figures; default: figures in the run's folder")


def run(options: argparse.Namespace) -> int:
    from helpers.commands.run_figures import FIGURES, RunData, draw_all
    from helpers.common.files import inside
    from helpers.runs.finished import damage_named, read_partial_run
    from helpers.runs.run import project_root
    from helpers.runs.table import find_run

    folder = find_run(options.run)
    with damage_named(folder):
        run = read_partial_run(folder)
    data = RunData(run, project_root(), options.data, log=lambda text: print(f"note: {text}"))
    for note in data.run.notes:
        print(f"note: {note}")
    missing = draw_all(data, options.output or inside(folder, "figures"))
    print(f"{len(FIGURES) - len(missing)} of {len(FIGURES)} figures drawn")
    return 1 if missing else 0
