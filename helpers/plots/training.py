"""The figure of several runs: validation accuracy by epoch, and how sure the best epoch's is."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.style import BLUE, COLOURS, GREY, MARKERS, ORANGE, WIDTH, despine, finalize
from helpers.runs.history import History
from helpers.runs.table import Row


def learning_rate_curve(rates: Sequence[float]) -> Figure:
    figure, axes = plt.subplots(figsize=(WIDTH, 2.4))
    axes.step(range(len(rates)), rates, where="mid", color=BLUE, linewidth=2)
    axes.set(xlabel="epoch", ylabel="learning rate", yscale="log" if min(rates) > 0 else "linear")
    despine(axes)
    return finalize(figure)


def training_curves(history: History, training: str = "training (augmented)") -> Figure:
    """Loss and accuracy of training and validation; the epoch of the best validation accuracy marked.

    Args:
        training: the name of the training's line.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    epochs = history.column("epoch")
    for axes, quantity in ((left, "loss"), (right, "accuracy")):
        for subset, colour in (("train", BLUE), ("val", ORANGE)):
            axes.plot(epochs, history.column(f"{subset}_{quantity}"), color=colour, marker="o", markersize=3)
        axes.axvline(history.best.epoch, color=GREY, linestyle=":", linewidth=1.2)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        despine(axes)
    left.set_ylim(bottom=0)
    right.plot(history.best.epoch, history.best.val_accuracy, "o", color=ORANGE, markersize=9, markerfacecolor="none")
    names = [training, "validation", f"best epoch ({history.best.epoch})"]
    figure.legend(left.lines, names, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return finalize(figure)


MOST = 12  # lines that can still be told apart: seven colours, with full markers, then with hollow ones


def overlay(rows: Sequence[Row]) -> Figure:
    """Validation accuracy by epoch, a line per run; at the right the best epochs' with their 95 % intervals.

    Of more than ``MOST`` runs the latest are drawn. Demo runs are dashed: what they know are drawings. Beginnings that
    lie far below the rest are cut off, or nothing could be told apart where the runs end.

    Args:
        rows: of ``run_rows.gather``, those with a history.
    """
    latest = sorted((row for row in rows if row.history), key=lambda row: row.finished)[-MOST:]
    shown = [row for row in rows if any(row is each for each in latest)]
    widths, height = (4, 0.4 + 0.16 * len(shown)), 3.6 + 0.11 * len(shown)  # the legend has two columns
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, height), width_ratios=widths, sharey=True)
    for place, row in enumerate(shown):
        style = _style(place, row)
        accuracies = [100 * value for value in row.history.column("val_accuracy")]
        left.plot(row.history.column("epoch"), accuracies, markersize=4, linewidth=1.5, label=_label(row), **style)
        best, low, high = 100 * row.best, 100 * row.low, 100 * row.high
        bar = style | {"linestyle": "none"}
        right.errorbar(place, best, yerr=[[best - low], [high - best]], capsize=3, markersize=6, **bar)
    _dress(left, right, shown, len(rows))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", frameon=False, fontsize=9, ncols=2)
    return finalize(figure)


def _style(place: int, row: Row) -> dict[str, str]:
    colour = COLOURS[place % len(COLOURS)]
    return {
        "color": colour,
        "marker": MARKERS[place % len(MARKERS)],
        "markerfacecolor": colour if place < len(COLOURS) else "white",
        "linestyle": "--" if row.demo else "-",
    }


def _label(row: Row) -> str:
    return f"{row.name} ({row.group}{', demo: drawings' if row.demo else ''})"


def _dress(left: Axes, right: Axes, shown: Sequence[Row], runs: int) -> None:
    """Axes, their limits, and what a reader must know before comparing."""
    floor = _floor(shown)
    lowest = min((min(row.history.column("val_accuracy")) for row in shown), default=0)
    left.set_ylim(100 * floor, 100.8)
    cut = " (beginnings below are cut off)" if lowest < floor else ""
    left.set(xlabel=f"epoch{cut}", ylabel="validation accuracy (%)")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(xticks=[], xlim=(-0.7, len(shown) - 0.3), xlabel="best epoch,\n95 % interval")
    titles = []
    if runs > len(shown):
        titles.append(f"the latest {len(shown)} of {runs} runs")
    if len({row.group.split(" ")[0] for row in shown}) > 1:
        titles.append("other letter, other photos: not to be compared")
    left.set_title("; ".join(titles), fontsize=9, loc="left")
    despine(left)
    despine(right)


def _floor(shown: Sequence[Row]) -> float:
    """The lowest share that is shown: of each run three quarters of its epochs, and every interval."""
    values = [value for row in shown for value in row.history.column("val_accuracy")[len(row.history) // 4 :]]
    values += [row.low for row in shown]
    return max(0.0, min(values, default=0) - 0.02)
