"""Figures of comparisons and searches: differences, learning curves, costs, suspected labels, trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.common.errors import RunError
from helpers.common.files import save_figure
from helpers.comparison.search import FINISHED, importances_of, rows_of
from helpers.comparison.second_backbone import Opinions
from helpers.plots.style import BLUE, COLOURS, GREEN, GREY, MARKERS, ORANGE, WIDTH, despine, finalize


def differences(rows: Sequence[dict[str, Any]], base: str = "seed") -> Figure:
    """Recipes against one of them: paired differences in points with their intervals, the accuracy beside each.

    Args:
        rows: of ``comparison.json``, of one backbone and one cost.
        base: the row that the others are compared with; it draws the line at 0.
    """
    zero = next(row for row in rows if row["recipe"] == base)
    others = sorted((row for row in rows if row is not zero), key=lambda row: row["difference_mean"])
    figure, axes = plt.subplots(figsize=(WIDTH, 1.2 + 0.26 * len(others)))
    for y, row in enumerate(others):
        mean, low, high = (100 * row[name] for name in ("difference_mean", "difference_low", "difference_high"))
        colour, marker = (GREEN, "^") if low > 0 else (ORANGE, "v") if high < 0 else (GREY, "o")
        axes.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt=marker, color=colour, capsize=3)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(others)), [f"{row['recipe']}   {row['accuracy_mean']:.1%}" for row in others])
    axes.set_ylim(-0.7, len(others) - 0.3)
    axes.set_xlabel(f"points above {base} ({zero['accuracy_mean']:.1%}), 95 % interval")
    despine(axes)
    return finalize(figure)


def second_opinion(pairs: Sequence[Opinions]) -> Figure:
    """For every change its gain with two backbones, in points above each one's own seed recipe, with intervals.

    What lies far outside is drawn as an arrow with its number at the edge, so that the rest stays readable.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 1.4 + 0.3 * len(pairs)))
    gains = np.array([[100 * row["difference_mean"] for row in pair[1:]] for pair in pairs])
    edge = max(1.0, 3 * np.percentile(np.abs(gains), 90))
    places = np.arange(len(pairs))[::-1]
    for i, offset in ((0, 0.16), (1, -0.16)):
        rows = [pair[1 + i] for pair in pairs]
        low, high = (np.array([100 * row[f"difference_{end}"] for row in rows]) for end in ("low", "high"))
        mean, near = gains[:, i], np.abs(gains[:, i]) <= edge
        ends = [(mean - low)[near], (high - mean)[near]]
        style = {"color": COLOURS[i], "markersize": 5, "capsize": 2, "label": rows[0]["backbone"]}
        axes.errorbar(mean[near], (places + offset)[near], xerr=ends, fmt=MARKERS[i], **style)
        for y, gain in zip((places + offset)[~near], mean[~near], strict=True):
            side = np.sign(gain)
            axes.plot(side * edge, y, "<" if side < 0 else ">", color=COLOURS[i], markersize=5)
            aligned = {"ha": "left" if side < 0 else "right", "va": "center", "fontsize": 8, "color": COLOURS[i]}
            axes.text(side * edge * 0.97, y, f"{gain:+.1f}", **aligned)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, [pair.change for pair in pairs])
    axes.set_ylim(-0.7, len(pairs) - 0.3)
    axes.set_xlabel("points above the backbone's own seed recipe, 95 % interval")
    _legend_above(axes)
    despine(axes)
    return finalize(figure)


def mistakes(recipes: dict[str, dict[str, tuple[float, int]]]) -> Figure:
    """For every class the share of its photos that each recipe got wrong, the number of photos above the bar.

    Args:
        recipes: for each recipe's name what ``comparison_table.mistakes_of`` says.
    """
    figure, axes = plt.subplots(figsize=(WIDTH * 0.8, 3.2))
    classes = list(next(iter(recipes.values())))
    width = 0.8 / len(recipes)
    for i, (name, wrong) in enumerate(recipes.items()):
        places = np.arange(len(classes)) + (i - (len(recipes) - 1) / 2) * width
        shares = [100 * wrong[each][0] / wrong[each][1] for each in classes]
        bars = axes.bar(places, shares, width * 0.92, color=COLOURS[i], label=name)
        axes.bar_label(bars, [f"{wrong[each][0]:g}" for each in classes], padding=2, fontsize=8)
    axes.set_xticks(range(len(classes)), [f"{each}\n({wrong[each][1]} photos)" for each in classes])
    axes.set_ylabel("wrong (%)")
    axes.margins(y=0.12)
    _legend_above(axes)
    despine(axes)
    axes.grid(visible=False, axis="x")
    return finalize(figure)


def learning_curves(rows: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy against the number of photos trained on, a line per recipe."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.8, 3.6))
    names = list(dict.fromkeys(row["recipe"] for row in rows))
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        mine = sorted((row for row in rows if row["recipe"] == name), key=lambda row: row["train_photos"])
        _with_intervals(axes, mine, "train_photos", color=colour, marker=marker, label=name)
    axes.set(xlabel="photos to train on", ylabel="accuracy of photos held out (%)", xscale="log")
    sizes = sorted({row["train_photos"] for row in rows})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.legend(frameon=False, loc="lower right")
    despine(axes)
    return finalize(figure)


def costs(rows: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy against the seconds of a training, a colour per backbone, every point named by its recipe."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4.4))
    backbones = list(dict.fromkeys(row["backbone"] for row in rows))
    for backbone, colour, marker in zip(backbones, COLOURS, MARKERS, strict=False):
        mine = [row for row in rows if row["backbone"] == backbone]
        _with_intervals(axes, mine, "seconds_per_run", fmt=marker, color=colour, label=backbone)
        for row in mine:
            axes.annotate(
                f"{row['recipe']}, {row['image_size']} px",
                (row["seconds_per_run"], 100 * row["accuracy_mean"]),
                xytext=(6, 4),
                textcoords="offset points",
                fontsize=8,
            )
    axes.set(xlabel="seconds per training", ylabel="accuracy of photos held out (%)", xscale="log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.margins(x=0.18)
    _legend_above(axes)
    despine(axes)
    return finalize(figure)


def study_history(trials: Sequence[dict[str, Any]]) -> Figure:
    """The accuracy of every trial, and the best so far.

    Args:
        trials: of ``trials.json``. Those that were given up are drawn hollow, at the accuracy of their first folds.
    """
    figure, axes = plt.subplots(figsize=(WIDTH * 0.8, 3.2))
    said = sorted((row for row in trials if row["accuracy"] is not None), key=lambda row: row["trial"])
    whole, part = ([row for row in said if (row["state"] == "complete") == done] for done in (True, False))
    for rows, label, face in ((whole, "trial", BLUE), (part, "given up after its first folds", "none")):
        if rows:
            places, shares = [row["trial"] for row in rows], [100 * row["accuracy"] for row in rows]
            axes.plot(places, shares, "o", color=BLUE, markerfacecolor=face, label=label)
    best = np.maximum.accumulate([100 * row["accuracy"] for row in whole])
    axes.step([row["trial"] for row in whole], best, where="post", color=ORANGE, label="best so far")
    axes.set(xlabel="trial", ylabel="accuracy of photos held out (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend_above(axes)
    despine(axes)
    return finalize(figure)


def importances(shares: dict[str, float]) -> Figure:
    """How much of the difference between trials goes with each setting."""
    names = sorted(shares, key=shares.get)
    figure, axes = plt.subplots(figsize=(WIDTH * 0.8, 1 + 0.28 * len(names)))
    axes.barh(names, [shares[name] for name in names], color=BLUE)
    axes.set_xlabel("share of the importance (PED-ANOVA, Watanabe et al., 2023)")
    despine(axes)
    return finalize(figure)


def _legend_above(axes: Axes) -> None:
    """A legend in one line above the axes, where it hides no points."""
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderaxespad=0)


def _with_intervals(axes: Axes, rows: Sequence[dict[str, Any]], x: str, **style) -> None:
    """The rows' accuracies against a number of theirs, in per cent, with intervals."""
    mean, low, high = (np.array([100 * row[f"accuracy_{part}"] for row in rows]) for part in ("mean", "low", "high"))
    axes.errorbar([row[x] for row in rows], mean, yerr=[mean - low, high - mean], capsize=3, **style)


def draw(study: optuna.Study, folder: Path) -> list[Path]:
    """The study's history, and which settings its accuracies hang on, as pictures.

    Raises:
        RunError: fewer than two trials are finished.
    """
    if (n := len(study.get_trials(deepcopy=False, states=FINISHED))) < 2:
        raise RunError(f"{folder}: {n} finished trials, two are needed to draw: raise --trials")
    pictures = {"history": study_history(rows_of(study))}
    if shares := importances_of(study):
        pictures["importance"] = importances(shares)
    paths = []
    for name, figure in pictures.items():
        paths.append(folder / f"{name}.png")
        save_figure(paths[-1], figure)
    return paths
