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
    from helpers.commands.run_figures import FIGURES, draw_all, open_run_data
    from helpers.common.files import inside

    data = open_run_data(options.run, options.data)
    missing = draw_all(data, options.output or inside(data.run.folder, "figures"))
    print(f"{len(FIGURES) - len(missing)} of {len(FIGURES)} figures drawn")
    return 1 if missing else 0
