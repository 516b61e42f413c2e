"""Figures of the analysis, tested by their data."""

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.evaluation.calibration import calibrate
from helpers.evaluation.embedding import pca
from helpers.evaluation.metrics import class_intervals
from helpers.evaluation.mistakes import classified_photos
from helpers.plots import evaluation

CLASSES = ("rose", "tulip", "daisy")


def test_the_reliability_diagram_has_a_point_per_bin(stored):
    found = calibrate(stored)
    figure = evaluation.reliability(found)
    left = figure.axes[0]
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines if line.get_marker() == "o"]
    assert points == [(b.confidence, b.accuracy) for b in found.bins]
    assert left.get_xlim()[0] <= min(b.low for b in found.bins)
    (counts,) = {b.photos for b in found.bins}
    assert any(text.get_text().startswith(f"{counts} photos each") for text in figure.legends[0].texts)
    assert f"ECE {found.ece:.1%}" in left.get_title()
    assert f"ECE {found.ece_after:.1%}" in figure.axes[1].get_title()


def test_class_scores_leave_out_what_is_unknown(stored):
    rows = class_intervals(stored.as_predictions(), CLASSES)
    (axes,) = evaluation.class_scores(rows).axes
    assert [label.get_text() for label in axes.get_yticklabels()][2] == "daisy\n0 photos"
    drawn = sorted(container.lines[0].get_xdata()[0] for container in axes.containers)
    known = [getattr(row.score, part) for row in rows for part in ("precision", "recall", "f1") if getattr(row, part)]
    assert drawn == pytest.approx(sorted(known))


def test_the_map_shows_every_photo_as_a_point_and_some_as_pictures(stored):
    loaded, features = [], torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    neighbours = np.array([[0, 0], [0.01, 0.01], [5, 5], [9, 1], [1, 9], [9, 9]])

    def photo_of(name):
        loaded.append(name)
        return Image.new("RGB", (60, 40), "green")

    everything = classified_photos(stored, list(range(6)))
    figure = evaluation.embedding(pca(features), neighbours, everything, photo_of, CLASSES)
    left, right = figure.axes
    assert [len(line.get_xdata()) for line in right.lines] == [3, 3, 0, 1]  # rose, tulip, daisy, mistakes
    assert [line.get_marker() for line in right.lines] == ["o", "s", "D", "o"]
    assert [line.get_markerfacecolor() == "none" for line in right.lines] == [False, False, False, True]
    assert right.lines[3].get_xydata().tolist() == [[9, 1]]
    assert loaded[0] == "x/3.jpg"  # mistakes come first
    assert len(loaded) == len(right.artists) == 5  # the second photo has no room beside the first
    assert [artist.patch.get_linestyle() for artist in right.artists] == ["--", "-", "-", "-", "-"]
    assert min(line.zorder for line in right.lines) > max(artist.zorder for artist in right.artists)  # none is hidden
    assert "%" in left.get_xlabel()


def test_the_confusion_matrix_writes_every_count():
    (axes,) = evaluation.confusion(torch.tensor([[5, 1], [0, 7]]), ("cat", "dog")).axes
    assert [text.get_text() for text in axes.texts] == ["5", "1", "0", "7"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_of_many_classes_the_confusion_matrix_is_drawn_without_names_in_a_bounded_size():
    figure = evaluation.confusion(torch.eye(102), [str(i) for i in range(102)])
    assert (len(figure.axes[0].texts), len(figure.axes[0].get_xticks())) == (0, 0)
    assert max(figure.get_size_inches()) < 15
