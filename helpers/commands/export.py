"""Export a finished run's model for use elsewhere: ``python -m helpers export work_dir/<run> --onnx --time``."""

from __future__ import annotations

import argparse
import sys

from helpers.common.errors import UserError
from helpers.inference.export import export_run
from helpers.runs.table import find_run


def main(arguments: list[str] | None = None) -> int:
    """Export from the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers export", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="folder of a finished run, or its name in work_dir; default: the newest")
    parser.add_argument("--onnx", action="store_true", help="also write an ONNX file (needs requirements-export.txt)")
    parser.add_argument("--time", action="store_true", help="also measure the speed on one core; includes --onnx")
    parser.add_argument("--data", help="folder of the run's photos, if they are not where its recipe says")
    options = parser.parse_args(arguments)
    try:
        folder = find_run(options.run)
        target = export_run(folder, onnx=options.onnx, measure_speed=options.time, data=options.data)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{target}: " + ", ".join(sorted(path.name for path in target.iterdir())))
    return 0
