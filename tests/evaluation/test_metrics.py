"""Confusion matrix, scores of the classes and their intervals, by hand and by simulation."""

import math

import numpy as np
import pytest
import torch

from helpers.evaluation.metrics import (
    class_intervals,
    class_scores,
    confusion_matrix,
    f1_interval,
    interval_table,
    macro_f1,
)
from helpers.evaluation.predictions import Predictions
from helpers.evaluation.statistics import wilson_interval

# True classes a a a b b c, predicted a a b b a a: class c is never predicted.
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


def predictions(matrix):
    """Predictions with this confusion matrix."""
    pairs = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) for _ in range(count)]
    labels, said = torch.tensor(pairs).T
    return Predictions(torch.nn.functional.one_hot(said, len(matrix)).float() * 5, labels)


def test_by_hand():
    first, _, third = class_intervals(predictions([[8, 2, 0], [1, 9, 0], [0, 0, 5]]), ("a", "b", "c"))
    assert first.recall == wilson_interval(8, 10)
    assert first.precision == wilson_interval(8, 9)
    assert first.score.f1 == pytest.approx(16 / 19)
    low, high = wilson_interval(8, 11)  # of the photos that are a or were called a, 8 are both
    assert first.f1 == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))
    assert first.f1.low < first.score.f1 < first.f1.high
    assert third.f1.low < 1  # no mistakes, and still not certain
    assert third.f1.high == pytest.approx(1)


def test_a_class_without_photos_and_one_that_is_never_called():
    rows = class_intervals(predictions([[3, 0, 0], [2, 0, 0], [0, 0, 0]]), ("rose", "tulip", "none of these"))
    assert rows[1].precision is None
    assert rows[1].recall.low == 0
    assert rows[2][1:] == (None, None, None)
    lines = interval_table(rows).splitlines()
    assert len(lines) == 4
    assert lines[3].split() == ["none", "of", "these", "0", "–", "–", "–"]
    assert "60.0% (23.1%–88.2%)" in lines[1]  # 3 of 5 called a rose are


def test_the_interval_of_f1_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    shares = np.array([[0.42, 0.04], [0.06, 0.48]])  # of photos: true class by row, prediction by column
    true_f1 = 2 * 0.42 / (2 * 0.42 + 0.04 + 0.06)
    hits = 0
    for correct, missed, wrong, _ in random.multinomial(150, shares.ravel(), 300).tolist():
        low, high = f1_interval(correct, correct + wrong, correct + missed)
        hits += low <= true_f1 <= high
    assert 0.915 <= hits / 300 <= 0.985


def test_macro_f1_is_the_mean_over_classes_whatever_their_size():
    found = predictions([[8, 2, 0], [0, 88, 0], [1, 1, 0]])
    first, second = 16 / (16 + 2 + 1), 176 / (176 + 2 + 1)
    assert macro_f1(found) == pytest.approx((first + second + 0) / 3)  # the third class is never predicted
    assert macro_f1(predictions([[8, 0, 0], [0, 5, 0], [0, 0, 0]])) == 1  # a test set without the third
