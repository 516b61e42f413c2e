"""Your own photos: ``python -m helpers.predict PHOTO… --run work_dir/<run>``.

Files, folders with all below them, or patterns. Every photo is shown to the run's best model exactly as the run's
validation photos were; a table says what it calls them, and which look like none of its classes. What is no photo is
named, the others go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from helpers.discussion import species
from helpers.errors import ParameterError, UserError
from helpers.gather import Gathered, gather
from helpers.photos import printable
from helpers.progress import progress

SHEET = "own_photos.jpg"  # in the run's folder, unless it is to be elsewhere
UNLIKE = "like none of the classes?"


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
    from helpers import sheet  # after the options are read: importing torch and matplotlib takes seconds
    from helpers.predictor import open_predictor
    from helpers.run_rows import find_run
    from helpers.tally import Tally, trained_names

    if options.batch_size is not None and options.batch_size < 1:
        raise ParameterError(f"--batch-size {options.batch_size}: at least 1 is needed")
    folder, place = find_run(options.run), Path(options.sheet) if options.sheet else None
    if place:
        sheet.check_place(place)
    found = gather(options.photos)
    _say_problems(found)
    if not found.photos:
        raise ParameterError("none of what was named is a photo")
    predictor = open_predictor(folder, options.device)
    print(introduction(predictor), flush=True)
    tally, shown = Tally(predictor.classes, trained_names(folder)), sheet.Shown()
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


def introduction(predictor) -> str:
    """Which model answers, how good it was, and when it doubts."""
    results = predictor.run.results
    lines = [
        f"run       {results['run']}: {predictor.recipe.backbone}, {results['best_val_accuracy']:.2%} of "
        f"{results['val_photos']:,} validation photos (95 % interval {results['interval_low']:.1%} to "
        f"{results['interval_high']:.1%})",
        f"classes   {', '.join(predictor.classes)}",
    ]
    if results["demo"]:
        lines.append("trained   on drawings of the project's own: what it says of real photos means nothing")
    if predictor.rule:
        lines.append(f"flagged   {predictor.rule}")
    return "\n".join([*lines, *(f"note      {note}" for note in predictor.notes), ""])


def table(
    answers: Iterable, classes: tuple[str, ...], photos: Iterable[Path], shorter: Callable[[Path], str] = str
) -> Iterator[str]:
    """A line per photo as it comes: name, class, probability, the second class, a note.

    Args:
        photos: all that will be answered; their names decide on the width of the first column.
        shorter: makes a name of a path.
    """
    width = min(56, max(5, *(len(printable(shorter(path))) for path in photos), 5))
    wide = max(9, *(len(name) for name in classes))
    yield f"{'photo':<{width}}  {'class':<{wide}} {'prob.':>6}  {'second':<{wide}} {'prob.':>6}  note"
    for answer in answers:
        name = printable(shorter(answer.path))
        name = name if len(name) <= width else f"…{name[1 - width :]}"
        if answer.reason:
            yield f"{name:<{width}}  {'–':<{wide}} {'–':>6}  {'–':<{wide}} {'–':>6}  {reason(answer)}"
            continue
        pairs = [f"{classes[i]:<{wide}} {answer.probabilities[i]:>6.1%}" for i in answer.ranked[:2]]
        yield f"{name:<{width}}  {'  '.join(pairs)}  {UNLIKE if answer.unlike else ''}".rstrip()


def warning(tally, results: dict[str, Any]) -> str:
    """What no rule tells: to a network that knows dandelions as white seed heads, a yellow one may be a sunflower."""
    called = sum(n for name, n in zip(tally.classes, tally.called, strict=True) if species([name]) == {"sunflower"})
    if results["demo"] or not called or "dandelion" not in species(tally.classes):
        return ""
    return (
        "called sunflower: look at these yourself. In the course's photos every dandelion is a white seed head; a\n"
        "yellow one may well be called a sunflower, and may pass without a flag\n"
    )


def reason(answer) -> str:
    """Why a photo could not be read, without its name."""
    return printable(answer.reason).removeprefix(printable(str(answer.path))).removeprefix(":").strip()


@contextlib.contextmanager
def csv_file(name: str | None, classes: tuple[str, ...]):
    """A function that writes an answer as a row of the file, which appears when all are written.

    Raises:
        ParameterError: the file cannot be written.
    """
    if name is None:
        yield lambda answer: None
        return
    path, aside = Path(name), Path(f"{name}.{os.getpid()}.tmp")
    with _blamed(path):
        file = aside.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    writer = csv.writer(file, lineterminator="\n")

    def write(row: list[str]) -> None:
        with _blamed(path):
            writer.writerow(row)

    try:
        write(["name", "class", "like_none", "problem", *classes])
        yield lambda answer: write(_row(answer, classes))
        with _blamed(path):
            file.close()
            os.replace(aside, path)
        print(f"csv       {path}")
    finally:
        file.close()
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def _blamed(path: Path):
    """Whatever fails here is the CSV file's fault."""
    try:
        yield
    except OSError as error:
        raise ParameterError(f"--csv {path} cannot be written ({error.strerror}): choose another place") from error


def _row(answer, classes: tuple[str, ...]) -> list[str]:
    if answer.reason:
        return [str(answer.path), "", "", reason(answer), *("" for _ in classes)]
    shares = [f"{value:.6g}" for value in answer.probabilities.tolist()]
    return [str(answer.path), classes[answer.ranked[0]], "yes" if answer.unlike else "no", "", *shares]


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
    parser = argparse.ArgumentParser(prog="python -m helpers.predict", description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a file, a folder, or a pattern")
    parser.add_argument("--run", help="folder of a finished run, or its name in work_dir; default: the newest")
    parser.add_argument("--csv", metavar="FILE", help="write all probabilities to this file")
    parser.add_argument("--sheet", metavar="FILE", help=f"the contact sheet; default: {SHEET} in the run's folder")
    parser.add_argument("--no-sheet", action="store_true", help="write no contact sheet")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--batch-size", type=int, help="photos at a time; default: 64, on a GPU 512")
    return parser


if __name__ == "__main__":
    sys.exit(main())
