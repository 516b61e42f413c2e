"""Figures of photos with their predictions, tested by their data."""

import pytest
import torch
from PIL import Image

from helpers.evaluation.label_errors import Suspect
from helpers.evaluation.mistakes import classified_photos
from helpers.evaluation.saliency import Explanation
from helpers.plots import predictions
from helpers.plots.style import ORANGE

PHOTO = Image.new("RGB", (60, 40), "green")


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_a_gallery_shows_predicted_and_true_classes(stored):
    figure = predictions.prediction_gallery(classified_photos(stored, [0, 3]), [PHOTO, PHOTO])
    assert titles(figure) == ["rose 90%\ntulip 10%", "predicted rose 80%\ntrue: tulip (15%)"]
    assert figure.axes[1].title.get_color() == ORANGE
    assert figure.axes[0].title.get_color() != ORANGE


def test_where_there_is_nothing_to_show_a_sentence_says_so():
    for figure in (predictions.prediction_gallery([], []), predictions.saliency([])):
        assert figure.axes[0].texts[0].get_text()


def test_explanations_name_both_classes_and_cover_only_hot_parts(stored):
    heat = torch.zeros(32, 32)
    heat[0, 0] = 1.0
    explanations = [
        Explanation(each, torch.zeros(3, 32, 32), heat, 0 * heat) for each in classified_photos(stored, [3, 1])
    ]
    figure = predictions.saliency(explanations)
    assert titles(figure)[:3] == ["true: tulip\n(mistake)", "for rose\n80%", "for tulip\n15%"]
    assert titles(figure)[3:] == ["tulip\n(correct)", "for tulip\n70%", "for rose\n20%"]
    assert [len(axes.images) for axes in figure.axes[:3]] == [1, 2, 2]
    assert [axes.images[0].get_array().ndim for axes in figure.axes[:3]] == [3, 2, 2]  # grey below the heat
    overlay = figure.axes[1].images[1].get_alpha()
    assert overlay[0, 0] == pytest.approx(0.75)
    assert overlay[1:, 1:].max() == 0


def test_a_prediction_shows_every_class_with_its_probability():
    figure = predictions.photo_prediction(PHOTO, torch.tensor([0.25, 0.75]), ("a", "b"))
    assert [bar.get_width() for bar in figure.axes[1].patches] == pytest.approx([0.25, 0.75])
    assert [text.get_text() for text in figure.axes[1].texts] == ["25.0%", "75.0%"]


def test_suspected_labels_are_shown_with_both_classes():
    found = [Suspect(f"{i}.jpg", "rose", "tulip", 0.01, 0.98) for i in range(7)]
    assert titles(predictions.suspected([PHOTO] * 7, found)) == ["labelled rose\npredicted tulip 98%"] * 7
