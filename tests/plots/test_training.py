"""Figures of training, tested by their data."""

import matplotlib.pyplot as plt
import pytest

from helpers.plots import training
from helpers.runs.history import Epoch, History
from helpers.runs.table import RunRow

HISTORY = History(
    [Epoch(0, 0.1, 1.5, 0.3, 1.2, 0.5), Epoch(1, 0.1, 1.0, 0.6, 0.8, 0.9), Epoch(2, 0.01, 0.8, 0.7, 0.9, 0.8)]
)


def test_curves_show_the_history_and_mark_the_best_epoch():
    figure = training.training_curves(HISTORY)
    loss, accuracy = figure.axes
    assert loss.lines[0].get_ydata() == pytest.approx([1.5, 1.0, 0.8])
    assert loss.lines[1].get_ydata() == pytest.approx([1.2, 0.8, 0.9])
    assert accuracy.lines[1].get_ydata() == pytest.approx([0.5, 0.9, 0.8])
    assert accuracy.lines[2].get_xdata()[0] == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "best epoch (1)"
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss")


def test_training_and_validation_differ_by_marker_and_line_too():
    for axes in training.training_curves(HISTORY).axes:
        assert [line.get_marker() for line in axes.lines[:2]] == ["o", "s"]
        assert [line.get_linestyle() for line in axes.lines[:2]] == ["-", "--"]


def test_learning_rates_are_drawn_on_a_logarithmic_axis():
    (axes,) = training.learning_rate_curve([0.1, 0.1, 0.01]).axes
    assert axes.get_yscale() == "log"
    assert axes.lines[0].get_ydata() == pytest.approx([0.1, 0.1, 0.01])


def test_figures_are_closed_so_that_a_notebook_shows_them_once():
    before = plt.get_fignums()
    training.training_curves(HISTORY)
    assert plt.get_fignums() == before


def test_weights_are_compared_epoch_by_epoch_or_the_figure_says_that_they_are_not():
    random = History([Epoch(0, 0.1, 1.6, 0.2, 1.6, 0.25)])
    (axes,) = training.weights_compared("imagenet", HISTORY, random).axes
    assert [line.get_ydata() for line in axes.lines] == [pytest.approx([50, 90, 80]), pytest.approx([25])]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["ImageNet weights: 90.0% in the best epoch", "random weights: 25.0% in the best epoch"]
    (axes,) = training.weights_compared("mine.pth", HISTORY, None).axes
    assert len(axes.lines) == 1
    assert axes.get_legend().get_texts()[0].get_text().startswith("mine.pth")
    assert "No run" in axes.get_title(loc="left")


def row(name, group="A", demo=False, finished=0.0):
    """A run with the history of this file."""
    history = History([Epoch(i, 0.1, 1.0, 0.5, 1.0, accuracy) for i, accuracy in enumerate((0.25, 0.5))])
    best = {"best": 0.5, "low": 0.2, "high": 0.9, "last_five": None}
    counts = {"photos": 12, "val_photos": 3, "epochs": 2, "seconds": 1.0}
    plain = {"dataset": "photos", "backbone": "resnet18", "device": "CPU", "settings": {}, "fingerprint": ""}
    return RunRow(
        name=name,
        group=group,
        demo=demo,
        finished=finished,
        history=history,
        predictions=None,
        **best,
        **counts,
        **plain,
    )


def test_runs_are_compared_epoch_by_epoch_with_the_interval_of_the_best():
    figure = training.compare_runs([row("a"), row("b", "B", demo=True)])
    left, right = figure.axes
    assert [line.get_ydata() for line in left.lines] == [pytest.approx([25, 50])] * 2
    assert [line.get_linestyle() for line in left.lines] == ["-", "--"]
    assert right.containers[0].lines[2][0].get_segments()[0][:, 1] == pytest.approx([20, 90])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a (A)", "b (B, demo: drawings)"]
    assert "not comparable" in left.get_title(loc="left")


def test_of_many_runs_the_latest_twelve_are_drawn_in_different_styles():
    figure = training.compare_runs([row(f"{i:02}", finished=1000 - i) for i in range(14)])
    lines = figure.axes[0].lines
    assert [text.get_text()[:2] for text in figure.legends[0].get_texts()] == [f"{i:02}" for i in range(12)]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 12
    assert figure.axes[0].get_title(loc="left") == "the latest 12 of 14 runs"
