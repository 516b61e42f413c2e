"""What many answers come to: counts per class, and the accuracy where folders are named as classes."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from helpers.common.errors import ParameterError
from helpers.common.text import printable
from helpers.evaluation.published import species
from helpers.evaluation.statistics import wilson_interval
from helpers.inference.predictor import Prediction


class PredictionSummary:
    """Counts over answers; its memory does not depend on how many there are."""

    def __init__(self, classes: tuple[str, ...], trained: frozenset[str] = frozenset()) -> None:
        self.classes, self.trained = classes, trained
        self.unreadable, self.unlike = 0, 0
        self.called = [0] * len(classes)
        self.matrix = torch.zeros(2, len(classes), len(classes), dtype=torch.int64)  # trained on, true, called

    def add(self, answer: Prediction) -> None:
        if answer.reason:
            self.unreadable += 1
            return
        call = answer.ranked[0]
        self.called[call] += 1
        self.unlike += answer.unlike
        true = label_of(answer.path, self.classes)
        if true is not None:
            known = f"{self.classes[true]}/{answer.path.name}" in self.trained
            self.matrix[int(known), true, call] += 1

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in zip(self.classes, self.called, strict=True) if count)
        photos = sum(self.called)
        lines = [f"\n{photos:,} {'photo' if photos == 1 else 'photos'}: {counts or 'none could be read'}"]
        if self.unreadable:
            lines.append(f"{self.unreadable:,} could not be read")
        if photos:
            lines.append(f"{self.unlike:,} ({self.unlike / photos:.1%}) look like none of the classes")
        return "\n".join([*lines, *self._accuracy()])

    def _accuracy(self) -> list[str]:
        lines = []
        for known, words in ((0, ""), (1, ", whose names are those of photos that the run was trained on")):
            matrix = self.matrix[known]
            right, photos = int(matrix.diagonal().sum()), int(matrix.sum())
            if photos:
                interval = wilson_interval(right, photos)
                lines.append(
                    f"folders named as classes: {right:,} of {photos:,} photos called as their folder{words}: "
                    f"{right / photos:.2%} (95 % interval {interval})"
                )
                lines += [
                    f"  {name:<14} {row}" for name, row in zip(self.classes, self._rows(matrix), strict=True) if row
                ]
        return lines

    def _rows(self, matrix: torch.Tensor) -> list[str]:
        rows = []
        for true, counts in enumerate(matrix.tolist()):
            wrong = [(count, name) for count, name in zip(counts, self.classes, strict=True) if count]
            wrong = sorted((pair for pair in wrong if pair[1] != self.classes[true]), reverse=True)
            said = f"{counts[true]:,} of {sum(counts):,}" + "".join(
                f", {count:,} called {name}" for count, name in wrong
            )
            rows.append(said if sum(counts) else "")
        return rows


def label_of(path: Path, classes: tuple[str, ...]) -> int | None:
    """The class that the photo's folder is named as, in upper or lower case, singular or with an s; or None."""
    folder = path.absolute().parent.name
    if folder in classes:
        return classes.index(folder)
    alike = (label for label, name in enumerate(classes) if species([name]) == species([folder]))
    return next(alike, None)


def trained_names(folder: Path) -> frozenset[str]:
    """``class/file`` of the photos that the run was trained on, by its ``split.csv``; none if that cannot be read."""
    try:
        with (folder / "split.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.DictReader(file))
        return frozenset(f"{row['class']}/{Path(row['name']).name}" for row in rows if row["subset"] == "train")
    except (OSError, KeyError, csv.Error):
        return frozenset()


UNLIKE = "like none of the classes?"


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
