"""The style shared by all figures."""

import matplotlib.colors
import matplotlib.pyplot as plt
import torch

from helpers.common.files import figure_bytes
from helpers.plots import evaluation
from helpers.plots.style import finalize, series_style


def test_up_to_49_classes_differ_by_colour_or_marker_and_up_to_7_by_both():
    styles = [series_style(number) for number in range(49)]
    assert len({tuple(style.values()) for style in styles}) == 49
    assert len({style["color"] for style in styles[:7]}) == len({style["marker"] for style in styles[:7]}) == 7
    assert all(matplotlib.colors.is_color_like(style["color"]) for style in styles)


def test_dollars_and_carets_in_names_are_characters():
    """``$\\frac$`` as a formula would not even draw."""
    names = ["$\\frac$", "rose^2 $x_1$", r"\$_$"]
    figure = evaluation.confusion(torch.eye(3), names)
    labels = (*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels())
    assert [label.get_text() for label in labels] == names * 2
    assert not any(label.get_parse_math() for label in labels)
    assert figure_bytes(figure)


def test_powers_of_ten_stay_mathematics():
    figure, axes = plt.subplots()
    axes.plot([1, 1000], [1, 1000])
    axes.set(yscale="log", title="$a$")
    finalize(figure)
    figure_bytes(figure)
    assert all(tick.label1.get_parse_math() for tick in axes.yaxis.get_major_ticks())
    assert not axes.title.get_parse_math()
