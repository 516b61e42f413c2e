"""The report's figures: those of ``plots``, drawn anew as vectors in the size in which they are printed.

Text stays text. It is measured in a Times that matplotlib brings, and set by typst in the report's own font.
"""

from __future__ import annotations

import io

import matplotlib
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from helpers.data.sources.garden import draw_photo
from helpers.plots import evaluation, photos
from helpers.plots import training as training_plots
from helpers.report.facts import Facts
from helpers.report.tables import ROWS, short

FONT = "Libertinus Serif"  # typst has it built in


MEASURED = "STIXGeneral"  # matplotlib has it built in


SIZE = 8  # pt, the captions' size


COLUMN, PAGE = 3.4, 7.0  # inches: widths of a column and of the text


STYLE = {
    "font.family": [MEASURED],
    "font.size": SIZE,
    "mathtext.fontset": "stix",
    "svg.fonttype": "none",
    "svg.hashsalt": "report",  # the same names of elements in every file
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


SLANTED = 8  # classes: names below the matrix of more would overlap unless they stand upright


DRAWN = ("tulip", 0, 31)  # species, seed and number of the garden's photo that stands for all


def draw_figures(facts: Facts) -> dict[str, bytes]:
    """SVG files by name: curves, rates, confusion and, if the run augmented its photos, augmentation."""
    training = "training, augmented" if facts.recipe.augmentation else "training"
    history = facts.run.history
    with matplotlib.rc_context(STYLE):
        files = {
            "curves.svg": _svg(_legend_above(training_plots.training_curves(history, training)), (0.7 * PAGE, 1.8)),
            "rates.svg": _svg(training_plots.learning_rate_curve(history.column("learning_rate")), (0.28 * PAGE, 1.8)),
            "confusion.svg": _confusion(facts),
        }
        if facts.recipe.augmentation:
            strip = photos.augmentation_strip(draw_photo(*DRAWN), facts.recipe)
            files["augmentation.svg"] = _svg(strip, (PAGE, 1.05))
    return files


def _legend_above(figure: Figure) -> Figure:
    """The legend in a row above the axes: within such small ones it would hide what they show."""
    legend = figure.axes[0].get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    figure.legend(legend.legend_handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    legend.remove()
    return figure


def _confusion(facts: Facts) -> bytes:
    """Counts and names while they can be read; of more classes the shares alone."""
    matrix, classes = torch.tensor(facts.results["confusion"]), facts.results["classes"]
    readable = len(classes) <= ROWS
    figure = evaluation.confusion(matrix, [_plain(short(name)) for name in classes], readable)
    if len(classes) > SLANTED:
        for label in figure.axes[0].get_xticklabels():
            label.set(rotation=90, verticalalignment="center")
    longest = max(len(short(name)) for name in classes) if readable else 0
    side = min(COLUMN, 1.0 + 0.22 * len(classes) + 0.04 * longest)
    return _svg(figure, (min(COLUMN, side * 1.1), side), smaller=7 if len(classes) > 12 else SIZE)


def _svg(figure: Figure, inches: tuple[float, float], smaller: float = SIZE) -> bytes:
    """The figure in this size, all its text in one size, as SVG."""
    figure.set_size_inches(*inches)
    for text in figure.findobj(Text):
        text.set_fontsize(smaller)
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    return file.getvalue().decode().replace(MEASURED, FONT).encode()


def _plain(name: str) -> str:
    """A name that matplotlib takes for no formula."""
    return name.replace("$", r"\$")
