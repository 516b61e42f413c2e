"""``history.csv``: one row per epoch of a training run."""

import csv
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from helpers.common.errors import RunError
from helpers.common.files import csv_text, read_csv, write_atomically

FILE = "history.csv"


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
        """Mean validation accuracy of the last five epochs, unaffected by picking the best one."""
        return fmean(self.column("val_accuracy")[-5:])

    def save(self, folder: Path) -> None:
        """Write ``history.csv``, numbers in full: reading gives the same floats."""
        rows = [Epoch._fields, *([row.epoch, *map(repr, row[1:])] for row in self)]
        write_atomically(folder / FILE, csv_text(rows).encode())

    @classmethod
    def read(cls, folder: Path) -> "History":
        """Read ``history.csv``. Raises RunError: the file is missing or damaged."""
        path = folder / FILE
        try:
            header, *rows = read_csv(path)
            named = (dict(zip(header, row, strict=True)) for row in rows)
            return cls(Epoch(int(row["epoch"]), *(float(row[name]) for name in Epoch._fields[1:])) for row in named)
        except FileNotFoundError as error:
            raise RunError(f"{path} does not exist: run the training first") from error
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise RunError(f"{path} is damaged ({error}): run the training again") from error
