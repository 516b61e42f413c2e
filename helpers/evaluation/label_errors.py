"""Photos whose label may be wrong: confident learning (Northcutt et al., 2021) on predictions of photos held out."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.common import files
from helpers.common.errors import RunError
from helpers.evaluation.predictions import FILE, StoredPredictions, read_predictions


class Suspect(NamedTuple):
    """A photo, the class that its folder says, and what networks that never saw it say."""

    name: str
    label: str
    predicted: str
    label_probability: float
    predicted_probability: float


def find_suspects(probabilities: np.ndarray, labels: np.ndarray) -> list[tuple[int, int]]:
    """Photos that look more like another class than that class's own photos do on average.

    Args:
        probabilities: of each class for each photo, from a model that was not trained on it, float ``(n, classes)``.
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


def read_fold_predictions(folder: Path) -> tuple[list[str], tuple[str, ...], np.ndarray, np.ndarray]:
    """What the folds of a cross-validation said of the photos that they held out; the mean over its seeds.

    Returns:
        Names of the photos, classes, probabilities float ``(n, classes)`` and labels int ``(n,)``.

    Raises:
        RunError: the folder has none, or one is damaged.
    """
    folders = sorted(path.parent for path in folder.glob(f"fold-*/{FILE}"))
    if not folders:
        raise RunError(f"{folder}: there are no fold-*/predictions.csv, which a cross-validation writes")
    rows: dict[str, list[list[float]]] = {}
    truth: dict[str, int] = {}
    for each in folders:
        found = read_predictions(each)
        for name, label, values in zip(found.names, found.labels.tolist(), found.probabilities.tolist(), strict=True):
            rows.setdefault(name, []).append(values)
            truth[name] = label
    labels = np.array([truth[name] for name in rows])
    return list(rows), found.classes, np.array([np.mean(each, 0) for each in rows.values()]), labels


def suspects_of(folder: Path) -> list[Suspect]:
    """The suspects of a finished cross-validation, the clearest first.

    Raises:
        RunError: see ``read_fold_predictions``.
    """
    names, classes, probabilities, labels = read_fold_predictions(folder)
    return [
        Suspect(
            names[row],
            classes[labels[row]],
            classes[other],
            round(float(probabilities[row, labels[row]]), 4),
            round(float(probabilities[row, other]), 4),
        )
        for row, other in find_suspects(probabilities, labels)
    ]


def write(path: Path, found: list[Suspect]) -> None:
    """A CSV file of suspects."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Suspect._fields)
    writer.writerows(found)
    files.write_atomically(path, text.getvalue().encode())


def read(path: Path) -> list[Suspect]:
    """The suspects of a file that ``write`` wrote.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Suspect(*row[:3], float(row[3]), float(row[4])) for row in list(csv.reader(file))[1:]]
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}): python -m helpers compare --suspects writes it") from error


def suspected_labels(called: StoredPredictions) -> list[Suspect]:
    """Photos whose label may be wrong, the clearest first: confident learning on these photos alone."""
    return [
        Suspect(
            called.names[row],
            called.classes[int(called.labels[row])],
            called.classes[other],
            called.probabilities[row, int(called.labels[row])].item(),
            called.probabilities[row, other].item(),
        )
        for row, other in find_suspects(called.probabilities.numpy(), called.labels.numpy())
    ]
