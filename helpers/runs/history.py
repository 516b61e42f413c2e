"""The history of a training run: one row per epoch, as in ``history.csv``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from helpers.common.errors import RunError


class Epoch(NamedTuple):
    """Losses are means over photos (nats); accuracies are shares of photos, in [0, 1]."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


class History(list[Epoch]):
    """The epochs so far, in order."""

    def column(self, name: str) -> list[float]:
        return [getattr(row, name) for row in self]

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; the first of several."""
        return max(self, key=lambda row: row.val_accuracy)

    @property
    def last_five_mean(self) -> float:
        """Mean validation accuracy of the last five epochs, which no choice has flattered."""
        return fmean(self.column("val_accuracy")[-5:])

    def to_csv(self) -> str:
        """Numbers in full: the text says the same floats again when read."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Epoch._fields)
        writer.writerows([row.epoch, *map(repr, row[1:])] for row in self)
        return text.getvalue()

    @classmethod
    def from_csv(cls, path: Path) -> History:
        """What ``to_csv`` wrote.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                return cls(Epoch(int(row["epoch"]), *(float(row[name]) for name in Epoch._fields[1:])) for row in rows)
        except FileNotFoundError as error:
            raise RunError(f"{path} does not exist: run the training first") from error
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise RunError(f"{path} is damaged ({error}): run the training again") from error
