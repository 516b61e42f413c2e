"""Figures of comparisons and searches: differences, mistakes, learning curves, costs, trials."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.common.text import written_count
from helpers.comparison.results import Row, finished_trials
from helpers.comparison.verdicts import BETTER, UNDECIDED, WORSE, short_name, verdict
from helpers.plots.style import BLUE, COLOURS, GREEN, GREY, MARKERS, ORANGE, WIDTH, despine, finalize

STYLES = {BETTER: (GREEN, "^"), WORSE: (ORANGE, "v"), UNDECIDED: (GREY, "o")}


def differences(rows: Sequence[Row], base: str = "published", second: Sequence[Row] = ()) -> Figure:
    """Draw each recipe's paired difference to ``base`` with its 95 % interval, coloured by verdict.

    A difference far outside is an arrow with its number at the edge, so that the rest stays readable.

    Args:
        second: the same recipes with another backbone, to be drawn beside them; colours then tell the backbones apart.
    """
    others = sorted((row for row in rows if row["recipe"] != base), key=lambda row: row["difference_mean"])
    places = {row["recipe"]: y for y, row in enumerate(others)}
    shared = [row for row in second if row["recipe"] in places]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.2 + 0.27 * len(others)))
    edge = max(1.0, 3 * np.percentile(np.abs(_ends([*others, *shared], "difference")[0]), 90))
    for row in [*others, *shared]:
        mean, low, high = (value.item() for value in _ends([row], "difference"))
        colour, marker = STYLES[verdict(row)]
        y = places[row["recipe"]]
        if shared:
            other = row["backbone"] == shared[0]["backbone"]
            colour, marker, y = COLOURS[other], MARKERS[other], y + (-0.16 if other else 0.16)
        if abs(mean) > edge:
            x, arrow, side = (-edge, "<", "left") if mean < 0 else (edge, ">", "right")
            axes.plot(x, y, arrow, color=colour, markersize=5)
            axes.text(x, y, f"   {mean:+.1f}   ".replace("-", "−"), color=colour, ha=side, va="center", fontsize=8)
            continue
        xerr, label = [[mean - low], [high - mean]], row["backbone"]
        axes.errorbar(mean, y, xerr=xerr, fmt=marker, color=colour, markersize=5, capsize=2, label=label)
    names = [short_name(row["recipe"]) for row in others]
    if shared:
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        _legend_above(axes, handles.values(), handles)
        axes.set_xlabel("points above the backbone's own published recipe, 95 % interval")
    else:
        accuracy = next(row["accuracy_mean"] for row in rows if row["recipe"] == base)
        names = [f"{name}   {row['accuracy_mean']:.1%}" for name, row in zip(names, others, strict=True)]
        axes.set_xlabel(f"points above {base} ({accuracy:.1%}), 95 % interval")
    axes.set_yticks(range(len(others)), names)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_ylim(-0.7, len(others) - 0.3)
    despine(axes)
    return finalize(figure)


def mistakes(recipes: dict[str, dict[str, tuple[float, int]]]) -> Figure:
    """Draw for every class the share of its photos that each recipe got wrong, their number above the bar.

    Args:
        recipes: for each recipe's name what ``results.mistakes_by_class`` returns.
    """
    figure, axes = plt.subplots(figsize=(WIDTH * 0.8, 3.2))
    classes = list(next(iter(recipes.values())))
    width = 0.8 / len(recipes)
    for i, (name, wrong) in enumerate(recipes.items()):
        places = np.arange(len(classes)) + (i - (len(recipes) - 1) / 2) * width
        shares = [100 * wrong[each][0] / wrong[each][1] for each in classes]
        bars = axes.bar(places, shares, width * 0.92, color=COLOURS[i], label=name)
        axes.bar_label(bars, [written_count(wrong[each][0]) for each in classes], padding=2, fontsize=8)
    axes.set_xticks(range(len(classes)), [f"{each}\n({wrong[each][1]} photos)" for each in classes])
    axes.set_ylabel("wrong (%)")
    axes.margins(y=0.12)
    _legend_above(axes)
    despine(axes)
    axes.grid(visible=False, axis="x")
    return finalize(figure)


def learning_curves(rows: Sequence[Row]) -> Figure:
    """Draw accuracy with its interval against the number of photos trained on, a line per recipe."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.9, 3.8))
    for name, colour, marker in zip(dict.fromkeys(row["recipe"] for row in rows), COLOURS, MARKERS, strict=False):
        mine = sorted((row for row in rows if row["recipe"] == name), key=lambda row: row["train_photos"])
        mean, low, high = _ends(mine, "accuracy")
        style = {"color": colour, "marker": marker, "linestyle": "-", "capsize": 3, "label": name}
        axes.errorbar([row["train_photos"] for row in mine], mean, yerr=[mean - low, high - mean], **style)
    axes.set(xscale="log", xlabel="training photos", ylabel="accuracy of photos held out (%)")
    sizes = sorted({row["train_photos"] for row in rows})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    _legend_above(axes)
    despine(axes)
    return finalize(figure)


def study_history(search: dict) -> Figure:
    """Draw the accuracy of every trial and the best so far; pruned ones hollow, at the accuracy of their first folds.

    Args:
        search: of ``results.read_trials``.
    """
    figure, axes = plt.subplots(figsize=(WIDTH * 0.8, 3.2))
    pruned = [trial for trial in search["trials"] if trial["state"] != "complete" and trial["accuracy"] is not None]
    finished = sorted(finished_trials(search), key=lambda trial: trial["trial"])
    for trials, label, face in ((finished, "trial", BLUE), (pruned, "pruned after its first folds", "none")):
        if trials:
            places, shares = [trial["trial"] for trial in trials], [100 * trial["accuracy"] for trial in trials]
            axes.plot(places, shares, "o", color=BLUE, markerfacecolor=face, label=label)
    best = np.maximum.accumulate([100 * trial["accuracy"] for trial in finished])
    axes.step([trial["trial"] for trial in finished], best, where="post", color=ORANGE, label="best so far")
    axes.set(xlabel="trial", ylabel="accuracy of photos held out (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend_above(axes)
    despine(axes)
    return finalize(figure)


def importances(shares: dict[str, float]) -> Figure:
    """Draw how much of the difference between trials goes with each setting."""
    names = sorted(shares, key=shares.get)
    figure, axes = plt.subplots(figsize=(WIDTH * 0.8, 1 + 0.28 * len(names)))
    axes.barh(names, [shares[name] for name in names], color=BLUE)
    axes.set_xlabel("share of the importance (PED-ANOVA, Watanabe et al., 2023)")
    despine(axes)
    return finalize(figure)


def _legend_above(axes: Axes, *entries) -> None:
    """Put the legend above the axes, where it hides no points."""
    axes.legend(*entries, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderaxespad=0)


def _ends(rows: Sequence[Row], what: str) -> list[np.ndarray]:
    """Return mean, low and high of the rows' accuracies or differences, in points; the mean is never outside."""
    mean, low, high = (np.array([100 * row[f"{what}_{end}"] for row in rows]) for end in ("mean", "low", "high"))
    return [mean, np.minimum(low, mean), np.maximum(high, mean)]  # rounding could put it there
