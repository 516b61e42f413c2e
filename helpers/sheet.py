"""Contact sheets: pages of small photos with what was said of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from helpers import checkpoint
from helpers.errors import ParameterError, PhotosError
from helpers.photos import printable
from helpers.plots import ORANGE, WIDTH, finished, panels, photo_prediction
from helpers.predictor import Answer

COLUMNS, ROWS = 6, 7
SIDE = 160  # px of a small photo
FORMATS = (".jpg", ".jpeg", ".png", ".pdf", ".webp")


class Entry(NamedTuple):
    """One photo of a sheet."""

    picture: np.ndarray  # uint8 (S, S, 3), S at most SIDE
    name: str
    said: str  # the class with its probability
    doubtful: bool


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
    return finished(figure)


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
        checkpoint.write_atomically(page, content.getvalue())
        pages.append(page)
    return pages


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def photo_figure(answers: Sequence[Answer], classes: Sequence[str]) -> Figure:
    """One photo beside its probabilities, or several as a contact sheet, as the notebook shows them.

    Raises:
        PhotosError: none of them could be read; the message says why.
    """
    read = [answer for answer in answers if not answer.reason]
    if not read:
        raise PhotosError(answers[0].reason if answers else "none of what was named is a photo: check the path")
    if len(read) == 1:
        photo = Image.fromarray(np.ascontiguousarray(read[0].picture.transpose(1, 2, 0)))
        return photo_prediction(photo, read[0].probabilities, classes)
    return contact_sheet([entry_of(answer, classes) for answer in read])


def entry_of(answer: Answer, classes: Sequence[str]) -> Entry:
    """An answer about a readable photo, as a sheet shows it."""
    best = answer.ranked[0]
    said = f"{classes[best]} {answer.probabilities[best]:.0%}"
    return Entry(small(answer.picture), printable(answer.path.name), said, answer.unlike)
