"""Figures of training: learning rate, curves of one run, and the validation accuracy of several runs."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.style import BLUE, GREY, ORANGE, WIDTH, despine, finalize, series_style
from helpers.runs.history import History
from helpers.runs.table import RunRow

MAX_RUNS = 12  # lines that can still be told apart


def learning_rate_curve(rates: Sequence[float]) -> Figure:
    """Draw the learning rate of each epoch."""
    figure, axes = plt.subplots(figsize=(WIDTH, 2.4))
    axes.step(range(len(rates)), rates, where="mid", color=BLUE, linewidth=2)
    axes.set(xlabel="epoch", ylabel="learning rate", yscale="log" if min(rates) > 0 else "linear")
    axes.xaxis.get_major_locator().set_params(integer=True)
    despine(axes)
    return finalize(figure)


def training_curves(history: History, training: str = "training") -> Figure:
    """Draw loss and accuracy of training and validation, and mark the epoch of the best validation accuracy.

    Args:
        training: label of the training curves, such as "training (augmented)".
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    epochs, best = history.column("epoch"), history.best
    for axes, quantity in ((left, "loss"), (right, "accuracy")):
        axes.plot(epochs, history.column(f"train_{quantity}"), "o-", color=BLUE, markersize=3)
        axes.plot(epochs, history.column(f"val_{quantity}"), "s--", color=ORANGE, markersize=3)
        axes.axvline(best.epoch, color=GREY, linestyle=":", linewidth=1.2)
        axes.set(xlabel="epoch", ylabel=quantity, xlim=(-0.5, len(epochs) - 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True)
        despine(axes)
    left.set_ylim(bottom=0)
    right.plot(best.epoch, best.val_accuracy, "o", color=ORANGE, markersize=9, markerfacecolor="none")
    names = [training, "validation", f"best epoch ({best.epoch})"]
    figure.legend(left.lines, names, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return finalize(figure)


def weights_compared(weights: str, history: History, random: History | None) -> Figure:
    """Draw the validation accuracy of a run by epoch, beside the same recipe's from random weights.

    Args:
        weights: the run's setting.
        random: of ``random_weights_history``; None: it was not measured, and the figure says so.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 2.8))
    names = {"imagenet": "ImageNet weights", "none": "random weights"}
    runs = [(names.get(weights, weights), history), ("random weights", random)]
    for (name, each), line, colour in zip(runs[: 1 + bool(random)], ("o-", "s--"), (BLUE, ORANGE), strict=False):
        label = f"{name}: {each.best.val_accuracy:.1%} in the best epoch"
        accuracies = [100 * value for value in each.column("val_accuracy")]
        axes.plot(each.column("epoch"), accuracies, line, color=colour, markersize=4, label=label)
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)", ylim=(0, 101))
    axes.xaxis.get_major_locator().set_params(integer=True)
    if not random:
        axes.set_title("No run of this recipe from random weights is stored.", fontsize=9, loc="left")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    despine(axes)
    return finalize(figure)


def compare_runs(rows: Sequence[RunRow]) -> Figure:
    """Draw the validation accuracy of several runs by epoch, and their best epochs with 95 % intervals.

    The latest ``MAX_RUNS`` runs are drawn; demo runs are dashed, since they know drawings only. First epochs far below
    the rest are cut off, so that the last ones can be told apart.

    Args:
        rows: of ``load_run_table``; those without a history are left out.
    """
    latest = sorted((row for row in rows if row.history), key=lambda row: row.finished)[-MAX_RUNS:]
    shown = [row for row in rows if any(row is each for each in latest)]
    widths, height = (4, 0.4 + 0.16 * len(shown)), 3.6 + 0.11 * len(shown)  # the legend has two columns
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, height), width_ratios=widths, sharey=True)
    for place, row in enumerate(shown):
        style, line = series_style(place), "--" if row.demo else "-"
        accuracies = [100 * value for value in row.history.column("val_accuracy")]
        left.plot(row.history.column("epoch"), accuracies, line, markersize=4, linewidth=1.5, **style)
        best, low, high = 100 * row.best, 100 * row.low, 100 * row.high
        right.errorbar(place, best, [[best - low], [high - best]], linestyle="none", capsize=3, markersize=6, **style)
    _label(left, right, shown, len(rows))
    names = [f"{row.name} ({row.group}{', demo: drawings' if row.demo else ''})" for row in shown]
    figure.legend(left.lines, names, loc="outside lower left", frameon=False, fontsize=9, ncols=2)
    return finalize(figure)


def _label(left: Axes, right: Axes, shown: Sequence[RunRow], runs: int) -> None:
    """Set limits and labels, and say what a reader must know before comparing."""
    lowest = min((min(row.history.column("val_accuracy")) for row in shown), default=0)
    floor = _floor(shown)
    left.set_ylim(100 * floor, 100.8)
    left.set(
        xlabel=f"epoch{' (lower accuracies are cut off)' if lowest < floor else ''}", ylabel="validation accuracy (%)"
    )
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(xticks=[], xlim=(-0.7, len(shown) - 0.3), xlabel="best epoch,\n95 % interval")
    titles = [f"the latest {len(shown)} of {runs} runs"] if runs > len(shown) else []
    if len({row.group.split(" ")[0] for row in shown}) > 1:
        titles.append("different letters: different photos, not comparable")
    left.set_title("; ".join(titles), fontsize=9, loc="left")
    despine(left)
    despine(right)


def _floor(shown: Sequence[RunRow]) -> float:
    """Return the lowest accuracy to show: it covers the last three quarters of each run, and every interval."""
    values = [value for row in shown for value in row.history.column("val_accuracy")[len(row.history) // 4 :]]
    return max(0.0, min([*values, *(row.low for row in shown)], default=0) - 0.02)
