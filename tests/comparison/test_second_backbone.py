"""A second opinion: the same changes with another backbone. All tables here are made up."""

from pathlib import Path

import pytest

from helpers.comparison import plots, results, second_backbone
from tests.comparison.test_results import SEED, row

FIRST = [SEED, row("fast", 0.93, 0.03), row("seed + CutMix", 0.87, -0.03), row("seed + MixUp", 0.905, 0.005)]
FIRST += [
    row("seed + Adam", 0.9, -0.005),
    row("seed + cosine", 0.92, 0.02),
    row("best - MixUp", 0.92, 0.02),
    row("best - cosine", 0.92, 0.02),
]
SECOND = [SEED, row("fast", 0.92, 0.02), row("seed + CutMix", 0.93, 0.03), row("seed + MixUp", 0.86, -0.04)]
SECOND += [row("seed + cosine", 0.895, -0.005), row("seed + Adam", 0.9, 0.0)]
SECOND = [each | {"backbone": "squeezenet1_1"} for each in SECOND]


def opinions(*more):
    found = results.Committed(Path(), [*FIRST, *SECOND, *more], [], [], {})
    first = results.widest(found)
    return first, second_backbone.another(found, first)


def test_the_second_opinion_is_another_backbone_at_the_same_cost():
    elsewhere = [each | {"backbone": "resnet18", "cost": "224 px, 25 epochs"} for each in FIRST]
    first, second = opinions(*elsewhere)
    assert first.conditions.backbone == "mobilenet_v2"
    assert second.conditions.backbone == "squeezenet1_1"
    alone = results.Committed(Path(), [*FIRST, *elsewhere], [], [], {})
    assert second_backbone.another(alone, results.widest(alone)).rows == []
    nothing = results.Committed(Path(), [], [], [], {})
    assert second_backbone.another(nothing, results.widest(nothing)).rows == []


def test_changes_that_both_tried_are_compared_and_no_others():
    pairs = second_backbone.both(*opinions())
    assert [pair.change for pair in pairs] == ["fast", "cosine", "MixUp", "Adam", "CutMix"]
    assert all((pair.first["backbone"], pair.second["backbone"]) == ("mobilenet_v2", "squeezenet1_1") for pair in pairs)


def test_agreement_and_contradiction_are_told_apart():
    pairs = second_backbone.both(*opinions())
    text = second_backbone.words(pairs)
    assert "**Better with both**: fast." in text
    assert "**Worse with both**: none." in text
    assert "**Better with one, worse with the other**: CutMix." in text
    assert "**Decided with mobilenet_v2 alone**: cosine." in text
    assert "**Decided with squeezenet1_1 alone**: MixUp." in text
    assert "**Undecided with both**: Adam." in text
    assert text.startswith("mobilenet_v2: 1,000 photos held out. squeezenet1_1: 1,000 photos held out.")
    lines = second_backbone.table(pairs).splitlines()
    assert lines[2] == "| fast | +3.00 (+2.00 to +4.00) | +2.00 (+1.00 to +3.00) | better |"
    assert lines[3] == "| cosine | +2.00 (+1.00 to +3.00) | -0.50 (-1.50 to +0.50) | better, undecided |"


def test_the_figure_shows_both_backbones_for_every_change():
    figure = plots.second_opinion(second_backbone.both(*opinions()))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fast", "cosine", "MixUp", "Adam", "CutMix"]
    assert list(axes.get_yticks()) == [4, 3, 2, 1, 0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mobilenet_v2", "squeezenet1_1"]
    first, second = (container.lines[0].get_xdata() for container in axes.containers)
    assert first.tolist() == pytest.approx([3.0, 2.0, 0.5, -0.5, -3.0])
    assert second.tolist() == pytest.approx([2.0, -0.5, -4.0, 0.0, 3.0])


def test_what_lies_far_outside_is_an_arrow_at_the_edge_and_does_not_squeeze_the_rest():
    pairs = second_backbone.both(*opinions())
    far = pairs[0].second | {"difference_mean": -0.6, "difference_low": -0.7, "difference_high": -0.5}
    pairs += [second_backbone.Opinions(f"same {i}", pairs[1].first, pairs[1].second) for i in range(20)]
    axes = plots.second_opinion([pairs[0]._replace(second=far), *pairs[1:]]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["-60.0"]
    assert axes.get_xlim()[0] > -15
