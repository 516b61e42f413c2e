"""The report's figures: those of ``helpers.plots``, as vectors in the size in which they are printed.

Text stays text: measured in matplotlib's own Times, typeset in the report's font.
"""

import io

import matplotlib
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from helpers.data.sources.garden_photo import draw_photo
from helpers.plots import evaluation, photos, training
from helpers.report.facts import Facts
from helpers.report.tables import short

FONT = "Libertinus Serif"  # typst has it built in
MEASURED = "STIXGeneral"  # matplotlib has it built in
SIZE = 8  # pt, the captions' size
COLUMN, PAGE = 3.4, 7.0  # inches: widths of a column and of the text
LEVEL = 48  # letters side by side below the matrix, if all names were as long as the longest
SLANTED = 8  # classes: of more, slanted names below the matrix would overlap
DRAWN = ("tulip", 0, 31)  # species, seed and number of the garden's photo that is augmented
STYLE = {
    "font.family": [MEASURED],
    "font.size": SIZE,
    "mathtext.fontset": "stix",
    "svg.fonttype": "none",
    "svg.hashsalt": "report",  # the same names of elements in every file
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
}


def draw_figures(facts: Facts) -> dict[str, bytes]:
    """Draw the SVG files, by name: curves, rates, confusion and, if the run augmented its photos, augmentation."""
    name = "training, augmented" if facts.recipe.augmentation else "training"
    with matplotlib.rc_context(STYLE):
        curves = training.training_curves(facts.run.history, name)
        rates = training.learning_rate_curve(facts.run.history.column("learning_rate"))
        rates.suptitle(" ")  # as high as the legend, so that the axes stand in a row
        files = {
            "curves.svg": _svg(curves, (0.7 * PAGE, 1.7)),
            "rates.svg": _svg(rates, (0.28 * PAGE, 1.7)),
            "confusion.svg": _confusion(facts),
        }
        if facts.recipe.augmentation:
            strip = photos.augmentation_strip(draw_photo(*DRAWN), facts.recipe)
            files["augmentation.svg"] = _svg(strip, (PAGE, 0.9))
    return files


def _confusion(facts: Facts) -> bytes:
    matrix = torch.tensor(facts.run.results["confusion"])
    names = [short(name) for name in facts.run.results["classes"]]
    figure = evaluation.confusion(matrix, names)
    side = min(COLUMN, 1.0 + 0.22 * len(names))
    inches = min(COLUMN, side * 1.1), side
    if len(names) * max(map(len, names)) <= LEVEL:  # wide cells, as low as a line of a table
        figure.axes[0].set_aspect("auto")
        for label in figure.axes[0].get_xticklabels():
            label.set(rotation=0, horizontalalignment="center")
        inches = COLUMN, 0.5 + 0.19 * len(names)
    elif len(names) > SLANTED:
        for label in figure.axes[0].get_xticklabels():
            label.set(rotation=90, verticalalignment="center")
    return _svg(figure, inches, 7 if len(names) > 12 else SIZE)


def _svg(figure: Figure, inches: tuple[float, float], size: float = SIZE) -> bytes:
    """Write the figure as SVG in this size, all its text in ``size`` pt."""
    figure.set_size_inches(*inches)
    for text in figure.findobj(Text):
        text.set_fontsize(size)
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    return file.getvalue().decode().replace(MEASURED, FONT).encode()
