"""Contact sheets: pages of small photos with their predictions."""

import heapq
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from helpers.common.errors import PhotosError
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


class SheetSelection:
    """The photos for a contact sheet: all, or the ``most`` least certain ones; memory is bounded."""

    def __init__(self, classes: Sequence[str], most: int = MAX_PHOTOS) -> None:
        self.classes, self.most, self.count = classes, most, 0
        self._heap: list[tuple[tuple, Prediction]] = []  # the most certain first; of equals the latest

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, prediction: Prediction) -> None:
        """Keep the photo, small, if it is among the least certain so far."""
        if prediction.error:
            return
        order = (prediction.is_ood, -prediction.probabilities.max().item(), -self.count)
        self.count += 1
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, (order, _shrunk(prediction)))
        elif order > self._heap[0][0]:
            heapq.heapreplace(self._heap, (order, _shrunk(prediction)))

    def write(self, path: Path) -> str:
        """Write pages of 42 photos, ``<name>.jpg``, ``<name>-2.jpg`` …; return a line that says where they are.

        Raises RunError: a file cannot be written.
        """
        complete, pages = self.count <= self.most, []
        # All photos keep their order; a selection begins with the least certain.
        kept = sorted(self._heap, key=lambda item: item[0][2] if complete else item[0], reverse=True)
        for start in range(0, len(kept), COLUMNS * ROWS):
            shown = [prediction for _, prediction in kept[start : start + COLUMNS * ROWS]]
            pages.append(path.with_stem(f"{path.stem}-{len(pages) + 1}") if pages else path)
            save_figure(pages[-1], contact_sheet(shown, self.classes))
        last = f" to {pages[-1].name}" if len(pages) > 1 else ""
        selection = "" if complete else f" (the {self.most} least certain of {self.count:,} photos)"
        return f"contact sheet: {pages[0]}{last}{selection}"


def _shrunk(prediction: Prediction) -> Prediction:
    photo = Image.fromarray(np.ascontiguousarray(prediction.picture.transpose(1, 2, 0)))
    photo.thumbnail((SIDE, SIDE))
    return replace(prediction, picture=np.asarray(photo).transpose(2, 0, 1))


def contact_sheet(predictions: Sequence[Prediction], classes: Sequence[str]) -> Figure:
    """Draw photos as the network saw them, with class, probability and name; unusual ones are framed."""
    columns = min(COLUMNS, max(3, len(predictions)))
    rows = -(-len(predictions) // columns)
    figure, grid = panels(rows, columns, height=rows * (WIDTH / columns + 0.5))
    for axes, each in zip(grid.flat, predictions, strict=False):
        best, name = each.ranked[0], printable(each.path.name)
        name = name if len(name) <= 20 else f"{name[:9]}…{name[-10:]}"
        axes.imshow(each.picture.transpose(1, 2, 0))
        title = f"{classes[best]} {each.probabilities[best]:.0%}"
        axes.set_title(title, fontsize=9, color=ORANGE if each.is_ood else "black", pad=3)
        axes.set_xlabel(f"{name}\n{UNUSUAL}" if each.is_ood else name, fontsize=7)
        axes.spines[:].set(visible=each.is_ood, color=ORANGE, linewidth=2.5)
    return finalize(figure)


def photo_figure(predictions: Sequence[Prediction], classes: Sequence[str]) -> Figure:
    """Draw one photo beside its probabilities, or several as a contact sheet.

    Raises PhotosError: there is no readable photo; the message says why.
    """
    readable = [prediction for prediction in predictions if not prediction.error]
    if not predictions:
        raise PhotosError("no photo to show: check the path")
    if not readable:
        raise PhotosError(f"{predictions[0].path}: {predictions[0].error}")
    if len(readable) == 1:
        return photo_prediction(load_photo(readable[0].path), readable[0].probabilities, classes)
    return contact_sheet([_shrunk(prediction) for prediction in readable], classes)
