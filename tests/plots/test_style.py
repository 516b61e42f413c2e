"""The style shared by all figures."""

import matplotlib.colors

from helpers.plots.style import series_style


def test_up_to_49_classes_differ_by_colour_or_marker_and_up_to_7_by_both():
    styles = [series_style(number) for number in range(49)]
    assert len({tuple(style.values()) for style in styles}) == 49
    assert len({style["color"] for style in styles[:7]}) == len({style["marker"] for style in styles[:7]}) == 7
    assert all(matplotlib.colors.is_color_like(style["color"]) for style in styles)
