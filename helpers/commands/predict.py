"""Your own photos: ``python -m helpers predict PHOTO… --run work_dir/<run>``.

Files, folders with all below them, or patterns. Every photo is shown to the run's best model exactly as the run's
validation photos were; a table says what it calls them, and which look like none of its classes. What is no photo is
named, the others go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from helpers.common.errors import ParameterError, UserError
from helpers.common.progress import progress
from helpers.inference.input_photos import Gathered, expand_paths
from helpers.inference.summary import csv_file, introduction, table, warning

SHEET = "own_photos.jpg"  # in the run's folder, unless it is to be elsewhere


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line. Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _predict(options)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: no CSV file and no contact sheet were written", file=sys.stderr)
        return 130


def _predict(options: argparse.Namespace) -> int:
    from helpers.inference import (
        contact_sheet,  # after the options are read: importing torch and matplotlib takes seconds
    )
    from helpers.inference.predictor import open_predictor
    from helpers.inference.summary import PredictionSummary, trained_names
    from helpers.runs.table import find_run

    if options.batch_size is not None and options.batch_size < 1:
        raise ParameterError(f"--batch-size {options.batch_size}: at least 1 is needed")
    folder, place = find_run(options.run), Path(options.sheet) if options.sheet else None
    if place:
        contact_sheet.check_place(place)
    found = expand_paths(options.photos)
    _say_problems(found)
    if not found.photos:
        raise ParameterError("none of what was named is a photo")
    predictor = open_predictor(folder, options.device)
    print(introduction(predictor), flush=True)
    tally, shown = PredictionSummary(predictor.classes, trained_names(folder)), contact_sheet.SheetSelection()
    answers = predictor.answers(found.photos, options.batch_size)
    with csv_file(options.csv, predictor.classes) as write:
        told = (tally.add, write, lambda answer: shown.add(answer, predictor.classes))
        for line in table(_each(answers, told, len(found.photos)), predictor.classes, found.photos):
            tqdm.write(line, file=sys.stdout)
    print(tally)
    print(warning(tally, predictor.run.results), end="")
    if shown.any and not options.no_sheet:
        print(shown.write(place or folder / SHEET))
    return 1 if found.problems or tally.unreadable else 0


def _each(answers: Iterable, told: tuple, total: int) -> Iterator:
    """The answers, with a bar where a person watches; each is told to all of these functions."""
    for answer in progress(answers, total, "photos"):
        for tell in told:
            tell(answer)
        yield answer


def _say_problems(found: Gathered) -> None:
    for problem in found.problems:
        print(problem, file=sys.stderr)
    if found.passed_over:
        print(f"passed over, no photos by their names: {found.passed_over}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers predict", description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a file, a folder, or a pattern")
    parser.add_argument("--run", help="folder of a finished run, or its name in work_dir; default: the newest")
    parser.add_argument("--csv", metavar="FILE", help="write all probabilities to this file")
    parser.add_argument("--sheet", metavar="FILE", help=f"the contact sheet; default: {SHEET} in the run's folder")
    parser.add_argument("--no-sheet", action="store_true", help="write no contact sheet")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--batch-size", type=int, help="photos at a time; default: 64, on a GPU 512")
    return parser
