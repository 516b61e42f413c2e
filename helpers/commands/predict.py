"""Classify your own photos: ``python -m helpers predict PHOTO… --run work_dir/<run>``.

``PHOTO`` is a file, a folder with everything below it, or a pattern. Photos are prepared exactly as the run's
validation photos were. A table shows the predictions and flags photos that resemble none of the classes. Files that are
not photos are listed and skipped; the exit code is then 1.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from helpers.common.errors import ParameterError, PhotosError, RunError
from helpers.common.progress import progress

if TYPE_CHECKING:
    from helpers.inference.predictor import Predictor  # imports torch

SHEET = "own_photos.jpg"  # default name, in the run's folder
WHEN_INTERRUPTED = "neither CSV file nor contact sheet was written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a file, a folder, or a pattern")
    parser.add_argument("--run", help="folder of a finished run, or its name in work_dir; default: the newest")
    parser.add_argument("--data", help="where the run's own photos are, if moved: for flagging")
    parser.add_argument("--csv", metavar="FILE", help="write all probabilities to this file")
    parser.add_argument(
        "--sheet", metavar="FILE", help=f"write the contact sheet to this file; default: {SHEET} in the run's folder"
    )
    parser.add_argument("--no-sheet", action="store_true", help="do not write a contact sheet")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--batch-size", type=int, help="photos per batch; default: 64, on a GPU 512")


def run(options: argparse.Namespace) -> int:
    if options.batch_size is not None and options.batch_size < 1:
        raise ParameterError(f"--batch-size {options.batch_size}: must be at least 1")

    from helpers.inference import contact_sheet, expand_paths, open_predictor, out_of_distribution, summary
    from helpers.runs.finished import damage_named
    from helpers.runs.table import find_run

    table = _output_path("--csv", options.csv)
    sheet = _output_path("--sheet", options.sheet, contact_sheet.FORMATS)
    folder = find_run(options.run)
    found = expand_paths(options.photos)
    for problem in found.problems:
        print(problem, file=sys.stderr)
    if found.skipped:
        print(f"skipped, not photos by their suffix: {found.skipped}", file=sys.stderr)
    if not found.photos:
        raise ParameterError("no photo was found")
    with damage_named(folder):
        predictor = open_predictor(folder, options.device)
        if not predictor.detector and not (folder / out_of_distribution.FILE).exists():
            predictor = _with_detector(predictor, options)
    counts = summary.PredictionSummary(predictor.classes, summary.trained_names(folder), predictor.detector is not None)
    selection = contact_sheet.SheetSelection(predictor.classes)
    predictions = progress(predictor.predict(found.photos, options.batch_size), len(found.photos), "photos")
    rows: list[list[str]] = []

    def counted() -> Iterator:
        for prediction in predictions:
            counts.add(prediction)
            selection.add(prediction)
            if table:
                rows.append(summary.csv_row(prediction, predictor.classes))
            yield prediction

    for line in summary.prediction_table(counted(), predictor.classes, found.photos):
        tqdm.write(line, file=sys.stdout)
    print(f"\n{counts}")
    for line in summary.caveats(counts, predictor):
        print(line)
    if table:
        summary.write_csv(table, rows, predictor.classes)
        print(f"CSV: {table}")
    if selection and not options.no_sheet:
        print(selection.write(sheet or folder / SHEET))
    return 1 if found.problems or counts.unreadable else 0


def _with_detector(predictor: "Predictor", options: argparse.Namespace) -> "Predictor":
    """Fit what flags unfamiliar photos, if the run's own photos are here; else note why nothing is flagged."""
    from helpers.commands.run_figures import RunData
    from helpers.inference import open_predictor
    from helpers.runs.folders import project_root

    problems: list[str] = []
    data = RunData(predictor.run, project_root(Path(__file__).parent), options.data, log=problems.append)
    try:
        _ = data.audit  # logs if the photos are not the run's
        if not problems:
            data.fit_detector()
            return open_predictor(predictor.run.folder, options.device)
    except (PhotosError, RunError) as error:
        problems.append(str(error))
    return replace(predictor, notes=(*predictor.run.notes, f"unfamiliar photos are not flagged: {problems[0]}"))


def _output_path(option: str, name: str | None, suffixes: Sequence[str] = ()) -> Path | None:
    """Return the path of an output file, checked before the work begins."""
    if not name:
        return None
    path = Path(name)
    if suffixes and path.suffix.lower() not in suffixes:
        raise ParameterError(f"{option} {path}: the name must end in one of {', '.join(suffixes)}")
    if not os.access(path.parent, os.W_OK):
        raise ParameterError(f"{option} {path}: the folder {path.parent} does not exist or cannot be written")
    return path
