"""Figures of the analysis, tested by their data."""

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.evaluation.calibration import calibrate
from helpers.evaluation.embedding import pca
from helpers.evaluation.metrics import class_intervals
from helpers.evaluation.mistakes import classified_photos
from helpers.evaluation.predictions import StoredPredictions
from helpers.evaluation.saliency import Explanation
from helpers.plots import answers as answer_plots
from helpers.plots import evaluation
from helpers.plots.style import ORANGE

CLASSES = ("rose", "tulip", "daisy")


@pytest.fixture
def called():
    """Six photos, the fourth called wrong; no daisy among them."""
    probabilities = torch.tensor(
        [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.99, 0.01, 0.0], [0.8, 0.15, 0.05], [0.0, 1.0, 0.0], [0.5, 0.3, 0.2]]
    )
    names = tuple(f"x/{i}.jpg" for i in range(6))
    return StoredPredictions(names, CLASSES, probabilities.double(), torch.tensor([0, 1, 0, 1, 1, 0]))


def photo(name="", colour="green"):
    return Image.new("RGB", (60, 40), colour)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_a_gallery_shows_predicted_and_true_classes(called):
    figure = answer_plots.answer_gallery(classified_photos(called, [0, 3]), [photo(), photo()])
    assert titles(figure) == ["rose 90%\ntulip 10%", "predicted rose 80%\ntrue: tulip (15%)"]
    assert figure.axes[1].title.get_color() == ORANGE
    assert figure.axes[0].title.get_color() != ORANGE


def test_where_there_is_nothing_to_show_a_sentence_says_so():
    for figure in (answer_plots.answer_gallery([], []), answer_plots.saliency([])):
        assert figure.axes[0].texts[0].get_text()


def test_reasons_name_both_classes_and_cover_as_far_as_they_are_hot(called):
    heat = torch.zeros(32, 32)
    heat[0, 0] = 1.0
    reasons = [Explanation(each, torch.zeros(3, 32, 32), heat, 0 * heat) for each in classified_photos(called, [3, 1])]
    figure = answer_plots.saliency(reasons)
    assert titles(figure)[:3] == ["tulip,\npredicted rose", "for rose\n80%", "for tulip\n15%"]
    assert titles(figure)[3:] == ["tulip,\ncorrect", "for tulip\n70%", "for rose\n20%"]
    assert [len(axes.images) for axes in figure.axes[:3]] == [1, 2, 2]
    overlay = figure.axes[1].images[1].get_alpha()
    assert overlay[0, 0] == pytest.approx(0.75)
    assert overlay[1:, 1:].max() == 0


def test_the_reliability_diagram_has_a_point_per_bin(called):
    found = calibrate(called)
    figure = evaluation.reliability(found)
    upper, lower = figure.axes[0], figure.axes[2]
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in upper.lines if line.get_marker() == "o"]
    assert points == [(b.confidence, b.accuracy) for b in found.bins]
    assert [bar.get_height() for bar in lower.patches] == [b.photos for b in found.bins]
    assert f"ECE {found.ece:.1%}" in upper.get_title()
    assert f"ECE {found.ece_after:.1%}" in figure.axes[1].get_title()


def test_class_scores_leave_out_what_is_unknown(called):
    rows = class_intervals(called.as_predictions(), CLASSES)
    (axes,) = evaluation.class_scores(rows).axes
    assert [label.get_text() for label in axes.get_yticklabels()][2] == "daisy\n0 photos"
    drawn = sorted(container.lines[0].get_xdata()[0] for container in axes.containers)
    known = [getattr(row.score, part) for row in rows for part in ("precision", "recall", "f1") if getattr(row, part)]
    assert drawn == pytest.approx(sorted(known))


def test_the_map_shows_every_photo_as_a_point_and_some_as_pictures(called):
    asked, features = [], torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    neighbours = np.array([[0, 0], [0.01, 0.01], [5, 5], [9, 1], [1, 9], [9, 9]])

    def photo_of(name):
        asked.append(name)
        return photo()

    everything = classified_photos(called, list(range(6)))
    figure = evaluation.embedding(pca(features), neighbours, everything, photo_of, CLASSES)
    left, right = figure.axes
    assert [len(line.get_xdata()) for line in right.lines] == [3, 3, 0, 1]  # rose, tulip, daisy, mistakes
    assert right.lines[3].get_xydata().tolist() == [[9, 1]]
    assert asked[0] == "x/3.jpg"  # a mistake is shown before what is right
    assert len(asked) == len(right.artists) == 5  # the second is buried by the first, and stays a point
    assert "%" in left.get_xlabel()


def test_the_confusion_matrix_writes_every_count():
    (axes,) = evaluation.confusion(torch.tensor([[5, 1], [0, 7]]), ("cat", "dog")).axes
    assert [text.get_text() for text in axes.texts] == ["5", "1", "0", "7"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_prediction_shows_every_class_with_its_probability():
    figure = answer_plots.photo_prediction(photo(), torch.tensor([0.25, 0.75]), ("a", "b"))
    assert [bar.get_width() for bar in figure.axes[1].patches] == pytest.approx([0.25, 0.75])
    assert [text.get_text() for text in figure.axes[1].texts] == ["25.0%", "75.0%"]
