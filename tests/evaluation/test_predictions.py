"""Metrics against numbers computed by hand."""

import math

import pytest
import torch
from torch import nn

from helpers.evaluation.metrics import class_scores, confusion_matrix
from helpers.evaluation.predictions import Predictions, predict
from helpers.evaluation.statistics import wilson_interval

# Truth a a a b b c, called a a b b a a: class c is never called.
PREDICTIONS = Predictions(torch.eye(3)[[0, 0, 1, 1, 0, 0]] * 5, torch.tensor([0, 0, 0, 1, 1, 2]))


def test_accuracy_and_confusion_by_hand():
    assert PREDICTIONS.correct == 3
    assert PREDICTIONS.accuracy == 0.5
    assert confusion_matrix(PREDICTIONS).tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]


def test_class_scores_by_hand():
    a, b, c = class_scores(PREDICTIONS, ("a", "b", "c"))
    assert (a.photos, a.precision, a.recall) == (3, 2 / 4, 2 / 3)
    assert a.f1 == pytest.approx(2 * (1 / 2 * 2 / 3) / (1 / 2 + 2 / 3))
    assert (b.precision, b.recall) == (0.5, 0.5)
    assert math.isnan(c.precision)
    assert (c.recall, c.f1) == (0.0, 0.0)


def test_probabilities_sum_to_one():
    assert PREDICTIONS.probabilities.sum(1).tolist() == pytest.approx([1.0] * 6)


def test_wilson_interval_of_the_published_result():
    low, high = wilson_interval(550, 570)
    assert (round(low, 3), round(high, 3)) == (0.946, 0.977)


@pytest.mark.parametrize(
    ("correct", "photos", "low", "high"), [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634)]
)
def test_wilson_interval_against_published_tables(correct, photos, low, high):
    assert wilson_interval(correct, photos) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("correct", "photos"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(correct, photos):
    with pytest.raises(ValueError, match="not possible"):
        wilson_interval(correct, photos)


class _Feed:
    """Seven photos in batches of three: the last batch is ragged."""

    images = torch.arange(7.0).view(7, 1)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    batch_size = 3

    def epoch(self, epoch=0):
        yield from zip(self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True)


@pytest.mark.parametrize("training", [True, False])
def test_predict_sees_every_photo_once_and_restores_the_mode(training):
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(1, 2)).train(training)
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[-1.0], [1.0]]))
        model[1].bias.copy_(torch.tensor([3.5, -3.5]))
    predictions = predict(model, _Feed(), torch.float32)
    assert predictions.predicted.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert predictions.accuracy == 1.0
    assert model.training is training


def test_where_everything_or_nothing_is_right_the_share_lies_in_its_interval():
    for photos in range(1, 200):
        everything, nothing = wilson_interval(photos, photos), wilson_interval(0, photos)
        assert (nothing.low, everything.high) == (0, 1)
        assert everything.low == pytest.approx(1 - nothing.high)
