"""Figures of comparisons, tested by their data."""

import pytest

from helpers.comparison import plots
from helpers.evaluation.label_errors import Suspect
from helpers.plots import answers


def row(name, accuracy, **more):
    numbers = {"recipe": name, "backbone": "a", "accuracy_mean": accuracy, "photos": 100, "image_size": 64}
    numbers |= {"accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.01}
    return numbers | {"seconds_per_run": 10.0, "train_photos": 80} | more


def test_differences_are_sorted_and_coloured_by_what_their_interval_says():
    rows = [row("seed", 0.9)]
    for name, mean in (("worse", -0.03), ("better", 0.03), ("alike", 0.001)):
        gain = {"difference_mean": mean, "difference_low": mean - 0.01, "difference_high": mean + 0.01}
        rows.append(row(name, 0.9 + mean, **gain))
    (axes,) = plots.differences(rows).axes
    assert [label.get_text().split()[0] for label in axes.get_yticklabels()] == ["worse", "alike", "better"]
    colours = [bar.lines[0].get_color() for bar in axes.containers]
    assert colours == [plots.ORANGE, plots.GREY, plots.GREEN]
    assert axes.containers[2].lines[0].get_xdata() == pytest.approx([3.0])
    assert axes.get_xlabel() == "points above seed (90.0%), 95 % interval"


def test_mistakes_have_a_bar_for_each_class_and_recipe():
    wrong = {"seed": {"rose": (5.0, 50), "tulip": (1.0, 20)}, "best": {"rose": (2.0, 50), "tulip": (1.0, 20)}}
    (axes,) = plots.mistakes(wrong).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([10, 5, 4, 5])
    assert [text.get_text() for text in axes.texts] == ["5", "1", "2", "1"]
    assert axes.get_xticklabels()[0].get_text() == "rose\n(50 photos)"


def test_learning_curves_have_a_line_per_recipe_and_intervals():
    rows = [row("x", 0.9, train_photos=400), row("x", 0.8, train_photos=100), row("y", 0.7, train_photos=100)]
    (axes,) = plots.learning_curves(rows).axes
    first, second = axes.containers
    assert first.lines[0].get_xdata().tolist() == [100, 400]
    assert first.lines[0].get_ydata() == pytest.approx([80, 90])
    bars = first.lines[2][0].get_segments()
    assert bars[0][:, 1] == pytest.approx([78, 81])
    assert bars[1][:, 1] == pytest.approx([88, 91])
    assert second.lines[0].get_xdata().tolist() == [100]


def test_costs_name_every_point():
    (axes,) = plots.costs([row("x", 0.9), row("y", 0.8, backbone="b", seconds_per_run=99.0)]).axes
    assert [text.get_text() for text in axes.texts] == ["x, 64 px", "y, 64 px"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert axes.get_xscale() == "log"


def test_suspects_are_shown_with_both_classes(smooth_photos):
    found = [Suspect(f"{i}.jpg", "rose", "tulip", 0.01, 0.98) for i in range(7)]
    figure = answers.suspected([smooth_photos[0]] * 7, found)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 12
    assert titles[6] == "labelled rose,\ntulip 98%"
    assert titles[7] == ""


def test_a_search_shows_what_was_given_up_apart_and_not_as_the_best():
    trials = [
        {"trial": n, "state": state, "accuracy": a} for n, state, a in ((2, "pruned", 0.99), (1, "complete", 0.8))
    ]
    trials += [{"trial": 0, "state": "complete", "accuracy": 0.7}, {"trial": 3, "state": "fail", "accuracy": None}]
    whole, part, best = plots.study_history(trials).axes[0].lines
    assert (whole.get_xdata().tolist(), whole.get_ydata().tolist()) == ([0, 1], [70, 80])
    assert (part.get_xdata().tolist(), part.get_markerfacecolor()) == ([2], "none")
    assert best.get_ydata() == pytest.approx([70, 80])
