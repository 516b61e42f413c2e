"""What many answers come to: counts per class, and the accuracy where folders are named as classes."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from helpers.discussion import species
from helpers.evaluate import wilson_interval
from helpers.predictor import Answer


class Tally:
    """Counts over answers; its memory does not depend on how many there are."""

    def __init__(self, classes: tuple[str, ...], trained: frozenset[str] = frozenset()) -> None:
        self.classes, self.trained = classes, trained
        self.unreadable, self.unlike = 0, 0
        self.called = [0] * len(classes)
        self.matrix = torch.zeros(2, len(classes), len(classes), dtype=torch.int64)  # trained on, true, called

    def add(self, answer: Answer) -> None:
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
