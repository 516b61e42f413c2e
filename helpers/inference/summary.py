"""Present predictions: a table, a summary with its caveats, and a CSV file."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from helpers.common.errors import PhotosError
from helpers.common.files import csv_text, write_atomically
from helpers.common.text import columns, counted, padded, printable
from helpers.data.split import read_split_rows
from helpers.evaluation.published import species
from helpers.evaluation.statistics import wilson_interval
from helpers.inference.predictor import Prediction, Predictor

UNUSUAL = "like none of the classes?"


def prediction_table(
    predictions: Iterable[Prediction],
    classes: tuple[str, ...],
    photos: Iterable[Path],
    shorten: Callable[[Path], str] = str,
) -> Iterator[str]:
    """Yield a line per photo: name, the two most probable classes, and a note.

    Args:
        photos: all that will be predicted; their names determine the width of the first column.
        shorten: turns a path into the name to show.
    """
    width = min(56, max(len("photo"), *(columns(printable(shorten(path))) for path in photos), 0))
    wide = max(len("predicted"), *map(columns, classes))
    yield f"{'photo':<{width}}  {'predicted':<{wide}} {'prob.':>6}  {'second':<{wide}} {'prob.':>6}  note"
    for prediction in predictions:
        name = printable(shorten(prediction.path))
        while columns(name) > width:
            name = f"…{name[2:]}"
        note, pairs = printable(prediction.error), [f"{'–':<{wide}} {'–':>6}"] * 2
        if not prediction.error:
            note = UNUSUAL if prediction.is_ood else ""
            pairs = [f"{padded(classes[i], wide)} {prediction.probabilities[i]:>6.1%}" for i in prediction.ranked[:2]]
        yield f"{padded(name, width)}  {'  '.join(pairs)}  {note}".rstrip()


class PredictionSummary:
    """Count predictions, and their accuracy where a photo's folder is named after a class; memory is constant."""

    def __init__(self, classes: tuple[str, ...], trained: frozenset[str] = frozenset(), flags: bool = True) -> None:
        self.classes, self.trained, self.flags = classes, trained, flags  # flags: unusual photos are flagged at all
        self.unreadable, self.unusual = 0, 0
        self.predicted = np.zeros(len(classes), int)
        self.confusion = np.zeros((2, len(classes), len(classes)), int)  # [in training, true class, predicted class]

    def add(self, prediction: Prediction) -> None:
        if prediction.error:
            self.unreadable += 1
            return
        best, true = prediction.ranked[0], label_of(prediction.path, self.classes)
        self.predicted[best] += 1
        self.unusual += prediction.is_ood
        if true is not None:
            trained = f"{self.classes[true]}/{prediction.path.name}" in self.trained
            self.confusion[int(trained), true, best] += 1

    def __str__(self) -> str:
        counts = [f"{count:,} {name}" for name, count in zip(self.classes, self.predicted, strict=True) if count]
        photos = int(self.predicted.sum())
        lines = [f"{counted(photos, 'photo')}: {', '.join(counts) or 'none could be read'}"]
        if self.unreadable:
            lines.append(f"{counted(self.unreadable, 'file')} could not be read")
        if photos and self.flags:
            lines.append(f"{self.unusual:,} ({self.unusual / photos:.1%}) flagged: {UNUSUAL}")
        lines += self._accuracy("accuracy by folder names", self.confusion[0])
        lines += self._accuracy("accuracy by folder names, on training photos (by name)", self.confusion[1])
        return "\n".join(lines)

    def _accuracy(self, title: str, matrix: np.ndarray) -> list[str]:
        right, photos = int(matrix.trace()), int(matrix.sum())
        if not photos:
            return []
        interval = wilson_interval(right, photos)
        lines = [f"{title}: {right:,} of {photos:,}, {right / photos:.2%} (95 % interval {interval})"]
        for true in np.flatnonzero(matrix.sum(1)):
            parts = [f"  {self.classes[true]:<14} {matrix[true, true]:,} of {matrix[true].sum():,}"]
            for label in np.argsort(-matrix[true], kind="stable"):
                if label != true and matrix[true, label]:
                    parts.append(f"{matrix[true, label]:,} predicted {self.classes[label]}")
            lines.append(", ".join(parts))
        return lines


def label_of(path: Path, classes: tuple[str, ...]) -> int | None:
    """Return the class that the photo's folder is named after, ignoring case and a plural's s; or None."""
    folder = path.absolute().parent.name
    if folder in classes:
        return classes.index(folder)
    return next((label for label, name in enumerate(classes) if species([name]) == species([folder])), None)


def trained_names(folder: Path) -> frozenset[str]:
    """Return ``class/file`` of the run's training photos, from its ``split.csv``; empty if that cannot be read."""
    try:
        rows = read_split_rows(folder / "split.csv")
    except PhotosError:
        return frozenset()
    return frozenset(f"{row['class']}/{Path(row['name']).name}" for row in rows if row["subset"] == "train")


def caveats(summary: PredictionSummary, predictor: Predictor) -> list[str]:
    """Name the run with its accuracy, and say in a line how far its predictions go; more only where there is reason."""
    r = predictor.run.results
    lines = [
        f"run {r['run']}: {predictor.recipe.backbone} for {', '.join(predictor.classes)}; accuracy "
        f"{r['best_val_accuracy']:.2%} on {r['val_photos']:,} validation photos (95 % interval {r['interval_low']:.1%} "
        f"to {r['interval_high']:.1%})"
    ]
    if r["demo"]:
        lines.append("This run was trained on drawings: its predictions for real photos mean nothing.")
    else:
        lines += filter(None, [str(predictor.detector or ""), sunflower_warning(summary)])
    return lines + [f"note: {note}" for note in predictor.notes]


def sunflower_warning(summary: PredictionSummary) -> str:
    """Warn of yellow dandelions if any sunflower was predicted: the course's photos hold none. May be empty."""
    counts = zip(summary.classes, summary.predicted, strict=True)
    sunflowers = any(count for name, count in counts if species([name]) == {"sunflower"})
    if not sunflowers or "dandelion" not in species(summary.classes):
        return ""
    return (
        "Check the sunflowers: in the course's photos every dandelion is a white seed head, so a yellow dandelion may "
        "be predicted sunflower and pass unflagged."
    )


def csv_row(prediction: Prediction, classes: tuple[str, ...]) -> list[str]:
    """Return the prediction as a row of the CSV file."""
    path = str(prediction.path)
    if prediction.error:
        return [path, "", "", printable(prediction.error), *("" for _ in classes)]
    probabilities = [f"{value:.6g}" for value in prediction.probabilities.tolist()]
    return [path, classes[prediction.ranked[0]], "yes" if prediction.is_ood else "no", "", *probabilities]


def write_csv(path: Path, rows: Iterable[list[str]], classes: tuple[str, ...]) -> None:
    """Write rows of ``csv_row`` below their header. Raises RunError: the file cannot be written."""
    text = csv_text([["name", "class", "like_none", "problem", *classes], *rows])
    write_atomically(path, text.encode("utf-8", "surrogateescape"))
