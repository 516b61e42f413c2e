"""Predictions: made by a model, kept in ``predictions.csv``, read again."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from helpers.common import distributed
from helpers.common.errors import RunError
from helpers.common.files import csv_text, read_csv, write_atomically
from helpers.common.modules import autocast, evaluation_mode

FILE = "predictions.csv"


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for ``n`` photos, in the loader's order, on the CPU."""

    logits: torch.Tensor  # float32 (n, classes)
    labels: torch.Tensor  # int64 (n,), the true classes

    @property
    def probabilities(self) -> torch.Tensor:
        """float32 ``(n, classes)``; rows sum to 1."""
        return self.logits.softmax(1)

    @property
    def predicted(self) -> torch.Tensor:
        """int64 ``(n,)``."""
        return self.logits.argmax(1)

    @property
    def correct(self) -> int:
        return int((self.predicted == self.labels).sum())

    @property
    def accuracy(self) -> float:
        return self.correct / len(self.labels)

    def loss(self, criterion: nn.Module, device: torch.device | str = "cpu") -> float:
        """Return the criterion's loss, computed on the device of its weights."""
        return criterion(self.logits.to(device), self.labels.to(device)).item()


@torch.inference_mode()
def predict(model: nn.Module, loader, precision: torch.dtype) -> Predictions:
    """Run the model over one epoch of a loader, without gradients or randomness.

    The model's train/eval mode is restored afterwards.
    """
    logits, labels = [], []
    with evaluation_mode(model):
        for images, truth in loader.epoch():
            with autocast(images.device, precision):
                logits.append(model(images).float())
            labels.append(truth)
    together = (torch.cat(rows) for rows in (logits, labels))
    gathered = (distributed.gather_in_order(rows, len(loader.labels), loader.batch_size) for rows in together)
    return Predictions(*(rows.cpu() for rows in gathered))


@dataclass(frozen=True)
class StoredPredictions:
    """``predictions.csv``: the saved model's predictions for the validation photos."""

    names: tuple[str, ...]  # (n,) of the photos, as the audit names them
    classes: tuple[str, ...]
    probabilities: torch.Tensor  # float64 (n, classes), rounded to six digits
    labels: torch.Tensor  # int64 (n,), the true classes

    def as_predictions(self) -> Predictions:
        """Return them with log-probabilities as logits, since softmax leaves nothing else of these."""
        return Predictions(self.probabilities.clamp_min(1e-12).log().float(), self.labels)


def save_predictions(
    folder: Path, predictions: Predictions, names: Sequence[str], classes: tuple[str, ...], file: str = FILE
) -> None:
    """Write ``predictions.csv``: a row per photo with its true class, predicted class and probabilities."""
    rows = [["name", "class", "predicted", *classes]]
    columns = (predictions.labels, predictions.predicted, predictions.probabilities)
    for name, label, predicted, row in zip(names, *(column.tolist() for column in columns), strict=True):
        rows.append([name, classes[label], classes[predicted], *(f"{p:.6g}" for p in row)])
    write_atomically(folder / file, csv_text(rows).encode())


def read_predictions(folder: Path) -> StoredPredictions:
    """Read ``predictions.csv``. Raises RunError: the file is missing or damaged."""
    path = folder / FILE
    try:
        header, *lines = read_csv(path)
        classes = tuple(header[3:])
        if header[:3] != ["name", "class", "predicted"] or len(classes) < 2 or not lines:
            raise ValueError("name, class, predicted and a column per class are needed, and at least one row")
        probabilities = torch.tensor([[float(value) for value in line[3:]] for line in lines], dtype=torch.float64)
        if not (torch.isfinite(probabilities).all() and (probabilities.sum(1) - 1).abs().max() < 1e-3):
            raise ValueError("the probabilities of a photo do not sum to 1")
        labels = torch.tensor([classes.index(line[1]) for line in lines])
        return StoredPredictions(tuple(line[0] for line in lines), classes, probabilities, labels)
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist: run the notebook to its end") from error
    except (OSError, ValueError, IndexError, TypeError, csv.Error) as error:
        raise RunError(f"{path} is damaged ({error}): run again") from error
