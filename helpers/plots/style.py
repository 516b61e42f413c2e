"""Every figure. Each function takes data, not trainers, and returns a closed matplotlib Figure.

Closed means: pyplot does not hold it any more, so a notebook shows it once, as the cell's value.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torchvision.transforms import v2

# Okabe & Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"


COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#B8A800")  # one after another; yellow is darkened


MARKERS = "osD^vP*"


WIDTH = 9.0  # inches: the width of a JupyterLab column


def square(photo: Image.Image, side: int) -> Image.Image:
    """The photo's central square; small, so that the notebook's file stays small."""
    short = min(photo.size)
    return v2.functional.center_crop(photo, [short, short]).resize((side, side), Image.Resampling.LANCZOS)


def panels(
    rows: int, columns: int, height: float, width_ratios: Sequence[float] | None = None
) -> tuple[Figure, np.ndarray]:
    """A grid of pictures without ticks or frames."""
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, width_ratios=width_ratios)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure, grid


def despine(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def finalize(figure: Figure) -> Figure:
    figure.set_layout_engine("constrained")
    plt.close(figure)
    return figure


SIDE = 112  # px of a picture: a notebook shows no more


def notice(text: str) -> Figure:
    """A sentence where there is nothing to draw."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.6))
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=11)
    axes.axis("off")
    return finalize(figure)
