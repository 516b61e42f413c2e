"""Photos whose label may be wrong: confident learning (Northcutt et al., 2021) on predictions for held-out photos."""

import csv
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np
import torch

from helpers.common.errors import RunError
from helpers.common.files import csv_text, read_csv, write_atomically
from helpers.evaluation.predictions import FILE, StoredPredictions, read_predictions


class Suspect(NamedTuple):
    """A photo, its label by its folder, and the class predicted by models that were not trained on it."""

    name: str
    label: str
    predicted: str
    label_probability: float
    predicted_probability: float


def suspected_labels(predictions: StoredPredictions) -> list[Suspect]:
    """List the photos whose label may be wrong, the clearest first."""
    probabilities, labels = predictions.probabilities.numpy(), predictions.labels.numpy()
    found = []
    for row, other in find_suspects(probabilities, labels):
        label, predicted = (predictions.classes[i] for i in (labels[row], other))
        shares = probabilities[row, [labels[row], other]].tolist()
        found.append(Suspect(predictions.names[row], label, predicted, *shares))
    return found


def find_suspects(probabilities: np.ndarray, labels: np.ndarray) -> list[tuple[int, int]]:
    """Find photos that are at least as probable for another class as that class's own photos are on average.

    Args:
        probabilities: float ``(n, classes)``, from models that were not trained on the photo.
        labels: int ``(n,)``.

    Returns:
        Pairs (row, the other class), the clearest first.
    """
    n, classes = probabilities.shape
    own = probabilities[np.arange(n), labels]
    usual = np.array([own[labels == c].mean() if (labels == c).any() else np.inf for c in range(classes)])
    confident = np.where(probabilities >= usual, probabilities, 0.0)
    confident[np.arange(n), labels] = 0.0
    other = confident.argmax(1)
    found = np.flatnonzero(confident.max(1) > own)
    margin = own[found] - probabilities[found, other[found]]
    return [(int(row), int(other[row])) for row in found[np.argsort(margin, kind="stable")]]


def read_fold_predictions(folder: Path) -> StoredPredictions:
    """Read the predictions of a cross-validation for the photos held out in each fold; means over its seeds.

    Raises RunError: the folder has none, or one is damaged.
    """
    folds = [read_predictions(path.parent) for path in sorted(folder.glob(f"fold-*/{FILE}"))]
    if not folds:
        raise RunError(f"{folder}: there are no fold-*/{FILE}, which a cross-validation writes")
    rows: dict[tuple[str, int], list[torch.Tensor]] = {}
    for fold in folds:
        for name, label, probabilities in zip(fold.names, fold.labels.tolist(), fold.probabilities, strict=True):
            rows.setdefault((name, label), []).append(probabilities)
    means = torch.stack([torch.stack(each).mean(0) for each in rows.values()])
    names, labels = zip(*rows, strict=True)
    return StoredPredictions(names, folds[0].classes, means, torch.tensor(labels))


def write_suspects(path: Path, suspects: list[Suspect]) -> None:
    """Write a CSV file, probabilities with four digits."""
    rows = [[*each[:3], *(round(share, 4) for share in each[3:])] for each in suspects]
    write_atomically(path, csv_text([Suspect._fields, *rows]).encode())


def read_suspects(path: Path) -> list[Suspect]:
    """Read what ``write_suspects`` wrote. Raises RunError: the file is missing, damaged, or names other files."""
    try:
        found = [Suspect(*row[:3], float(row[3]), float(row[4])) for row in read_csv(path)[1:]]
        for name in (each.name for each in found):  # the second notebook draws these photos
            if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                raise ValueError(f"{name} leads out of the folder of photos")
        return found
    except (OSError, ValueError, IndexError, TypeError, csv.Error) as error:
        raise RunError(f"{path} cannot be read ({error}): python -m helpers compare --suspects writes it") from error
