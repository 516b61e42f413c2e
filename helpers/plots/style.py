"""Style shared by all figures: colours, markers, panels of pictures, and finishing."""

import functools
import logging
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torchvision.transforms import v2

# Okabe and Ito's colours, which colour-blind readers can distinguish; black is softened, the second blue last.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#222222", "#E69F00", "#56B4E9")
MARKERS = "osD^vP*"
WIDTH = 9.0  # inches: the width of a JupyterLab column
SIDE = 112  # px of a small picture: a notebook shows no more

# Beyond Latin, Greek, Cyrillic and common signs, a font of this machine is needed; these have Chinese ones.
OTHER_SCRIPTS = re.compile(r"[^\x00-\u052f\u2000-\u22ff\ufe0f]")
CJK_FONTS = re.compile(
    "noto.*cjk|source.?han|wqy|msyh|simhei|pingfang|hiragino|droid.*fallback|uming|ukai", re.IGNORECASE
)


def series_style(number: int) -> dict[str, Any]:
    """Colour and marker of a class or a line: colours repeat after 7, pairs of colour and marker after 49."""
    turn, place = divmod(number, len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def square(photo: Image.Image, side: int = SIDE) -> Image.Image:
    """Return the photo's central square, at most as large as a notebook can show it."""
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


@functools.cache
def fallback_fonts(letters: str) -> tuple[str, ...]:
    """Return installed fonts that have these letters. Says once which font to install if there is none."""
    missing, names = set(letters), []
    files = font_manager.findSystemFonts()
    for path in sorted(files, key=lambda path: (not CJK_FONTS.search(path), path)):
        if not missing:
            break
        try:
            covered = missing.intersection(map(chr, ft2font.FT2Font(path).get_charmap()))
        except (OSError, RuntimeError):  # no font that matplotlib can draw
            continue
        if covered and "emoji" not in path.lower():
            known = font_manager.fontManager.ttflist
            place = len(known)
            font_manager.fontManager.addfont(path)  # matplotlib's own list may be older than the font
            names.append(known[place].name)  # of a collection's fonts the first
            missing -= covered
    if names:  # of one weight, which matplotlib would remark on for each figure
        logging.getLogger("matplotlib.font_manager").addFilter(lambda record: "font weight" not in record.msg)
    if missing:
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # matplotlib's, one for each letter
        sample = "".join(sorted(missing)[:8])
        print(
            f"no installed font has {sample!r}: figures and report show boxes instead. Install one that has, such as "
            "Noto Sans CJK for Chinese, Japanese and Korean (Debian, Ubuntu, Colab: apt-get install fonts-noto-cjk)",
            file=sys.stderr,
        )
    return tuple(names)


def other_scripts(text: str) -> str:
    """Return the letters of a text that need a font of this machine, each once, in order."""
    return "".join(sorted(set(OTHER_SCRIPTS.findall(text))))


def finalize(figure: Figure) -> Figure:
    """Lay the figure out and close it in pyplot, so that a notebook shows it once. ``$``, ``^``, ``_`` are text."""
    texts = figure.findobj(Text)
    fonts = fallback_fonts(other_scripts("".join(text.get_text() for text in texts)))
    for text in texts:
        text.set_parse_math(False)
        if fonts and OTHER_SCRIPTS.search(text.get_text()):
            text.set_fontfamily([*text.get_fontfamily(), *fonts])
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
