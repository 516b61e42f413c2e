"""Contact sheets: pages of small photos with what was said of them."""

from __future__ import annotations

import heapq
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from helpers.common import files
from helpers.common.errors import ParameterError, PhotosError
from helpers.common.text import printable
from helpers.data.decode import load_photo
from helpers.inference.predictor import Prediction
from helpers.plots.answers import photo_prediction
from helpers.plots.style import ORANGE, WIDTH, finalize, panels

COLUMNS, ROWS = 6, 7


SIDE = 160  # px of a small photo


MOST = 6 * COLUMNS * ROWS  # photos: six pages


FORMATS = (".jpg", ".jpeg", ".png", ".pdf", ".webp")


class Entry(NamedTuple):
    """One photo of a sheet."""

    picture: np.ndarray  # uint8 (S, S, 3), S at most SIDE
    name: str
    said: str  # the class with its probability
    doubtful: bool


class SheetSelection:
    """The photos for the contact sheet: all, or of many those about which the model is least sure."""

    def __init__(self, most: int = MOST) -> None:
        self.most, self.count = most, 0
        self._kept: list[tuple[tuple, Entry]] = []

    @property
    def any(self) -> bool:
        return bool(self._kept)

    def add(self, answer: Prediction, classes: Sequence[str]) -> None:
        """Keep a small picture of it, if it is among the least sure so far."""
        if answer.reason:
            return
        # Ordered from the surest on, of equal ones the latest first: the heap's top gives way.
        order = (answer.unlike, -answer.probabilities.max().item(), -self.count)
        self.count += 1
        if len(self._kept) == self.most and order < self._kept[0][0]:
            return
        push = heapq.heappushpop if len(self._kept) == self.most else heapq.heappush
        push(self._kept, (order, entry_of(answer, classes)))

    def write(self, place: Path) -> str:
        """Write the pages; says where they are and what is not on them."""
        everything = self.count <= self.most
        kept = sorted(self._kept, key=lambda row: -row[0][2] if everything else tuple(-value for value in row[0]))
        pages = write_pages(place, [entry for _, entry in kept])
        more = {1: "", 2: " and one more page"}.get(len(pages), f" and {len(pages) - 1} more pages")
        text = f"sheet     {pages[0]}{more}"
        return text if everything else f"{text}: the {self.most} of {self.count:,} photos it is least sure of"


def small(picture: np.ndarray) -> np.ndarray:
    """uint8 ``(3, S, S)`` → ``(s, s, 3)`` with ``s`` at most ``SIDE``."""
    photo = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    side = min(SIDE, photo.width)
    return np.asarray(photo.resize((side, side), Image.Resampling.LANCZOS))


def contact_sheet(entries: Sequence[Entry], columns: int = COLUMNS) -> Figure:
    """Photos as the network saw them, with class, probability and name; those like none of the classes framed."""
    columns = min(columns, max(3, len(entries)))
    rows = -(-len(entries) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns + 0.5))
    for axes, entry in zip(grid.flat, entries, strict=False):
        axes.imshow(entry.picture)
        axes.set_title(entry.said, fontsize=9, color=ORANGE if entry.doubtful else "black", pad=3)
        axes.set_xlabel(_short(entry.name) + ("\nlike none of the classes?" if entry.doubtful else ""), fontsize=7)
        axes.spines[:].set(visible=entry.doubtful, color=ORANGE, linewidth=2.5)
    return finalize(figure)


def check_place(path: Path) -> None:
    """Refuse a place for the sheet before the work begins.

    Raises:
        ParameterError: the suffix is of no format that is written, or the folder does not exist.
    """
    if path.suffix.lower() not in FORMATS:
        raise ParameterError(f"--sheet {path}: the name must end in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ParameterError(f"--sheet {path}: the folder {path.parent} does not exist")


def write_pages(path: Path, entries: Sequence[Entry]) -> list[Path]:
    """The sheet as ``<name>.jpg``, ``<name>-2.jpg`` …; 42 photos a page.

    Raises:
        RunError: a file cannot be written.
    """
    pages = []
    for number, start in enumerate(range(0, len(entries), COLUMNS * ROWS), 1):
        page = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        content, kind = io.BytesIO(), path.suffix.lower().removeprefix(".")
        figure = contact_sheet(entries[start : start + COLUMNS * ROWS])
        figure.savefig(content, format=kind, dpi=120, bbox_inches="tight")
        files.write_atomically(page, content.getvalue())
        pages.append(page)
    return pages


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def photo_figure(answers: Sequence[Prediction], classes: Sequence[str]) -> Figure:
    """One photo beside its probabilities, or several as a contact sheet, as the notebook shows them.

    Raises:
        PhotosError: none of them could be read; the message says why.
    """
    read = [answer for answer in answers if not answer.reason]
    if not read:
        raise PhotosError(answers[0].reason if answers else "none of what was named is a photo: check the path")
    if len(read) == 1:
        return photo_prediction(load_photo(read[0].path), read[0].probabilities, classes)
    return contact_sheet([entry_of(answer, classes) for answer in read])


def entry_of(answer: Prediction, classes: Sequence[str]) -> Entry:
    """An answer about a readable photo, as a sheet shows it."""
    best = answer.ranked[0]
    said = f"{classes[best]} {answer.probabilities[best]:.0%}"
    return Entry(small(answer.picture), printable(answer.path.name), said, answer.unlike)
