"""Export a finished run's model for use elsewhere: ``python -m helpers export work_dir/<run> --onnx --time``.

Files land in the run's folder, under ``export/``, after their outputs have been checked against the run's.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="folder of a finished run, or its name in work_dir; default: the newest")
    parser.add_argument("--onnx", action="store_true", help="also write an ONNX file (needs requirements-export.txt)")
    parser.add_argument("--time", action="store_true", help="also measure the speed on one core; includes --onnx")
    parser.add_argument("--data", help="folder of the run's photos, if they are not where its recipe says")


def run(options: argparse.Namespace) -> int:
    from helpers.inference.export import export_run
    from helpers.runs.finished import damage_named
    from helpers.runs.table import find_run

    folder = find_run(options.run)
    with damage_named(folder):
        target = export_run(folder, onnx=options.onnx, measure_speed=options.time, data=options.data)
    print(f"{target}: " + ", ".join(sorted(path.name for path in target.iterdir())))
    return 0
