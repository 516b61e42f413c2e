"""Figures of comparisons, tested by their data."""

import pytest

from helpers.comparison import plots
from tests.comparison.made_up import PUBLISHED, ROWS, SEARCH, row


def test_differences_are_sorted_and_coloured_by_what_their_interval_says():
    rows = [row("published", 0.9), row("worse", 0.87, -0.03), row("better", 0.93, 0.03), row("alike", 0.901, 0.001)]
    (axes,) = plots.differences(rows).axes
    assert [label.get_text().split()[0] for label in axes.get_yticklabels()] == ["worse", "alike", "better"]
    assert [bar.lines[0].get_color() for bar in axes.containers] == [plots.ORANGE, plots.GREY, plots.GREEN]
    assert axes.containers[2].lines[0].get_xdata() == pytest.approx([3.0])
    assert axes.get_legend() is None
    assert axes.get_xlabel() == "points above published (90.0%), 95 % interval"


def test_a_mean_that_rounding_puts_beside_its_interval_is_drawn():
    """An error bar may not be negative: 0.03 is less than its own lower end by the last digit."""
    last_digit = row("fast", 0.93, 0.03) | {"difference_low": 0.03 + 1e-16, "accuracy_high": 0.93 - 1e-16}
    assert len(plots.differences([PUBLISHED, last_digit]).axes[0].containers) == 1
    assert len(plots.learning_curves([last_digit, last_digit | {"train_photos": 80}]).axes[0].containers) == 1


def test_two_backbones_are_drawn_beside_each_other():
    second = [each | {"backbone": "squeezenet1_1"} for each in (PUBLISHED, row("published + MixUp", 0.86, -0.04))]
    axes = plots.differences([*ROWS, row("best - MixUp", 0.9, 0.0)][:4], second=second).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["CutMix", "MixUp", "fast"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mobilenet_v2", "squeezenet1_1"]
    points = [bar.lines[0].get_xydata()[0].tolist() for bar in axes.containers]
    assert points == [pytest.approx(each) for each in ([-3.0, 0.16], [0.5, 1.16], [3.0, 2.16], [-4.0, 0.84])]
    assert len({bar.lines[0].get_color() for bar in axes.containers}) == 2


def test_a_difference_far_outside_is_an_arrow_and_does_not_squeeze_the_rest():
    rows = [PUBLISHED, *(row(f"published + {i}", 0.9, 0.01) for i in range(20)), row("published + far", 0.3, -0.6)]
    (axes,) = plots.differences(rows).axes
    assert [text.get_text().strip() for text in axes.texts] == ["−60.0"]
    assert axes.get_xlim()[0] > -15
    axes.figure.canvas.draw()


def test_mistakes_have_a_bar_for_each_class_and_recipe():
    wrong = {"published": {"rose": (5.0, 50), "tulip": (1.0, 20)}, "best": {"rose": (7 / 3, 50), "tulip": (1.0, 20)}}
    (axes,) = plots.mistakes(wrong).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([10, 5, 14 / 3, 5])
    assert [text.get_text() for text in axes.texts] == ["5", "1", "2.3", "1"]
    assert axes.get_xticklabels()[0].get_text() == "rose\n(50 photos)"


def test_learning_curves_have_a_line_per_recipe_and_intervals():
    rows = [row("x", 0.9, train_photos=400), row("x", 0.8, train_photos=100), row("y", 0.7, train_photos=100)]
    (axes,) = plots.learning_curves(rows).axes
    first, second = axes.containers
    assert first.lines[0].get_xdata().tolist() == [100, 400]
    assert first.lines[0].get_ydata() == pytest.approx([80, 90])
    bars = first.lines[2][0].get_segments()
    assert bars[0][:, 1] == pytest.approx([78, 82])
    assert bars[1][:, 1] == pytest.approx([88, 92])
    assert second.lines[0].get_xdata().tolist() == [100]


def test_a_search_shows_what_was_given_up_apart_and_not_as_the_best():
    trials = [
        {"trial": n, "state": state, "accuracy": a} for n, state, a in ((2, "pruned", 0.99), (1, "complete", 0.8))
    ]
    trials += [{"trial": 0, "state": "complete", "accuracy": 0.7}, {"trial": 3, "state": "fail", "accuracy": None}]
    whole, part, best = plots.study_history(SEARCH | {"trials": trials}).axes[0].lines
    assert (whole.get_xdata().tolist(), whole.get_ydata().tolist()) == ([0, 1], [70, 80])
    assert (part.get_xdata().tolist(), part.get_markerfacecolor()) == ([2], "none")
    assert best.get_ydata() == pytest.approx([70, 80])
