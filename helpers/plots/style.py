"""Style shared by all figures: colours, markers, panels of pictures, and finishing."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torchvision.transforms import v2

# Okabe and Ito's colours, which colour-blind readers can distinguish; the yellow is darkened.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#B8A800")
MARKERS = "osD^vP*"
WIDTH = 9.0  # inches: the width of a JupyterLab column
SIDE = 112  # px of a small picture: a notebook shows no more


def series_style(number: int) -> dict[str, Any]:
    """Colour and marker of a class or a line: colours repeat after 7, pairs of colour and marker after 49."""
    turn, place = divmod(number, len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def square(photo: Image.Image, side: int = SIDE) -> Image.Image:
    """The photo's central square, at most as large as a notebook can show it."""
    short = min(photo.size)
    return v2.functional.center_crop(photo, [short, short]).resize((side, side), Image.Resampling.LANCZOS)


def panels(
    rows: int, columns: int, height: float, width_ratios: Sequence[float] | None = None
) -> tuple[Figure, np.ndarray]:
    """Make a grid of axes for pictures, without ticks or frames."""
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, width_ratios=width_ratios)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure, grid


def gallery(
    pictures: Sequence[Image.Image | np.ndarray],
    titles: Sequence[str],
    columns: int = 6,
    aspect: float = 1.0,
    colours: Sequence[str] | None = None,
) -> Figure:
    """Draw pictures in rows, each below its title of two lines.

    Args:
        aspect: height of a picture divided by its width.
        colours: of the titles; black by default.
    """
    rows = -(-len(pictures) // columns)
    figure, grid = panels(rows, columns, height=rows * (aspect * WIDTH / columns + 0.45))
    colours = colours or ["black"] * len(pictures)
    for axes, picture, title, colour in zip(grid.flat, pictures, titles, colours, strict=False):
        axes.imshow(picture)
        axes.set_title(title, fontsize=8, color=colour)
    return finalize(figure)


def picture_rows(rows: dict[str, Sequence[Image.Image | np.ndarray]], *titles: Sequence[str]) -> Figure:
    """Draw rows of pictures with their names to the left; ``titles`` of the first rows' pictures stand above them."""
    columns = max(5, *map(len, rows.values()))
    figure, grid = panels(len(rows), columns, height=len(rows) * (WIDTH - 1) / columns + 0.2 * len(titles))
    for axes_row, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(axes_row, pictures, strict=False):
            axes.imshow(picture)
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    for axes_row, row_titles in zip(grid, titles, strict=False):
        for axes, title in zip(axes_row, row_titles, strict=False):
            axes.set_title(title, fontsize=9)
    return finalize(figure)


def despine(axes: Axes) -> None:
    """Remove the frame's top and right, and add a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def finalize(figure: Figure) -> Figure:
    """Lay the figure out and close it in pyplot, so that a notebook shows it once. ``$``, ``^``, ``_`` are text."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    for axes in figure.axes:  # but powers of ten are mathematics
        for axis in (axis for axis in (axes.xaxis, axes.yaxis) if axis.get_scale() == "log"):
            for tick in (*axis.majorTicks, *axis.minorTicks):
                tick.label1.set_parse_math(True)
    figure.set_layout_engine("constrained")
    plt.close(figure)
    return figure


def notice(text: str) -> Figure:
    """Draw a sentence where there is nothing else to draw."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.6))
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=11)
    axes.axis("off")
    return finalize(figure)
