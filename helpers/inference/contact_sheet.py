"""Contact sheets: pages of small photos with their predictions."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from helpers.common.errors import ParameterError, PhotosError
from helpers.common.files import save_figure
from helpers.common.text import printable
from helpers.data.decode import load_photo
from helpers.inference.predictor import Prediction
from helpers.inference.summary import UNUSUAL
from helpers.plots.predictions import photo_prediction
from helpers.plots.style import ORANGE, WIDTH, finalize, panels

COLUMNS, ROWS = 6, 7
SIDE = 160  # px of a small photo
MAX_PHOTOS = 6 * COLUMNS * ROWS  # six pages
FORMATS = (".jpg", ".jpeg", ".png", ".pdf", ".webp")


class Entry(NamedTuple):
    """One photo of a sheet."""

    picture: np.ndarray  # uint8 (S, S, 3), S at most SIDE
    name: str
    title: str  # the class with its probability
    is_ood: bool


class SheetSelection:
    """The photos for a contact sheet: all, or the ``most`` least certain ones; memory is bounded."""

    def __init__(self, classes: Sequence[str], most: int = MAX_PHOTOS) -> None:
        self.classes, self.most, self.count = classes, most, 0
        self._heap: list[tuple[tuple[bool, float, int], Entry]] = []  # the most certain on top; of equals the latest

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, prediction: Prediction) -> None:
        """Keep a small picture of the photo if it is among the least certain so far."""
        if prediction.error:
            return
        order = (prediction.is_ood, -prediction.probabilities.max().item(), -self.count)
        self.count += 1
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, (order, entry_of(prediction, self.classes)))
        elif order > self._heap[0][0]:
            heapq.heapreplace(self._heap, (order, entry_of(prediction, self.classes)))

    def write(self, path: Path) -> str:
        """Write the pages; return a line that says where they are and what they leave out."""
        complete = self.count <= self.most
        # All photos keep their order; a selection begins with the least certain.
        kept = sorted(self._heap, key=lambda item: item[0][2] if complete else item[0], reverse=True)
        pages = write_pages(path, [entry for _, entry in kept])
        last = f" to {pages[-1].name}" if len(pages) > 1 else ""
        selection = "" if complete else f" (the {self.most} least certain of {self.count:,} photos)"
        return f"contact sheet: {pages[0]}{last}{selection}"


def entry_of(prediction: Prediction, classes: Sequence[str]) -> Entry:
    """The entry of a readable photo: at most ``SIDE`` px, the most probable class as its title."""
    photo = Image.fromarray(np.ascontiguousarray(prediction.picture.transpose(1, 2, 0)))
    side, best = min(SIDE, photo.width), prediction.ranked[0]
    picture = np.asarray(photo.resize((side, side), Image.Resampling.LANCZOS))
    title = f"{classes[best]} {prediction.probabilities[best]:.0%}"
    return Entry(picture, printable(prediction.path.name), title, prediction.is_ood)


def contact_sheet(entries: Sequence[Entry], columns: int = COLUMNS) -> Figure:
    """Draw photos as the network saw them, with class, probability and name; unusual ones are framed."""
    columns = min(columns, max(3, len(entries)))
    rows = -(-len(entries) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns + 0.5))
    for axes, entry in zip(grid.flat, entries, strict=False):
        axes.imshow(entry.picture)
        axes.set_title(entry.title, fontsize=9, color=ORANGE if entry.is_ood else "black", pad=3)
        axes.set_xlabel(_short(entry.name) + (f"\n{UNUSUAL}" if entry.is_ood else ""), fontsize=7)
        axes.spines[:].set(visible=entry.is_ood, color=ORANGE, linewidth=2.5)
    return finalize(figure)


def photo_figure(predictions: Sequence[Prediction], classes: Sequence[str]) -> Figure:
    """Draw one photo beside its probabilities, or several as a contact sheet.

    Raises:
        PhotosError: there is no readable photo; the message says why.
    """
    readable = [prediction for prediction in predictions if not prediction.error]
    if not predictions:
        raise PhotosError("no photo to show: check the path")
    if not readable:
        raise PhotosError(f"{predictions[0].path}: {predictions[0].error}")
    if len(readable) == 1:
        return photo_prediction(load_photo(readable[0].path), readable[0].probabilities, classes)
    return contact_sheet([entry_of(prediction, classes) for prediction in readable])


def check_path(path: Path) -> None:
    """Refuse an impossible path for the sheet before the work begins.

    Raises:
        ParameterError: the suffix is not that of a supported format, or the folder does not exist.
    """
    if path.suffix.lower() not in FORMATS:
        raise ParameterError(f"--sheet {path}: the name must end in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ParameterError(f"--sheet {path}: the folder {path.parent} does not exist")


def write_pages(path: Path, entries: Sequence[Entry]) -> list[Path]:
    """Write the sheet as ``<name>.jpg``, ``<name>-2.jpg`` …, with 42 photos a page.

    Raises:
        RunError: a file cannot be written.
    """
    pages = []
    for number, start in enumerate(range(0, len(entries), COLUMNS * ROWS), 1):
        page = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        save_figure(page, contact_sheet(entries[start : start + COLUMNS * ROWS]))
        pages.append(page)
    return pages


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"
