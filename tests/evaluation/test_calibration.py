"""Calibration by hand: bins, the error, and temperatures that are recovered."""

import math

import pytest
import torch

from helpers.evaluation import calibration
from helpers.evaluation.calibration import (
    Bin,
    calibrate,
    ece_by_chance,
    equal_count_bins,
    equal_width_bins,
    expected_calibration_error,
    fit_temperature,
)
from helpers.evaluation.predictions import StoredPredictions


def stored(logits, labels):
    names = tuple(f"x/{i}.jpg" for i in range(len(labels)))
    classes = tuple("abcdefgh"[: logits.shape[1]])
    return StoredPredictions(names, classes, logits.double().softmax(1), labels)


def drawn(n=4000, temperature=1.0, seed=0, classes=3):
    """Logits and classes drawn from their softmax at this temperature: dividing by it calibrates them."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=random, dtype=torch.float64)
    labels = logits.softmax(1).multinomial(1, generator=random).squeeze(1)
    return logits * temperature, labels


def test_bins_and_error_by_hand():
    probabilities = torch.tensor([[0.9, 0.1], [0.95, 0.05], [0.6, 0.4], [0.45, 0.55]])
    bins = equal_width_bins(probabilities, torch.tensor([0, 1, 0, 0]), bins=10)
    assert [(b.photos, b.correct) for b in bins] == [(2, 1), (1, 1), (1, 0)]
    # 0.55 and 0.6 share the bin (0.5, 0.6]: mean 0.575, one of two right. 0.9 is right, 0.95 is wrong.
    assert expected_calibration_error(bins) == pytest.approx((abs(0.55 + 0.6 - 1) + abs(0.9 - 1) + 0.95) / 4)


def test_a_probability_of_one_belongs_to_the_last_bin():
    assert equal_width_bins(torch.tensor([[1.0, 0.0]]), torch.tensor([0])) == (Bin(14 / 15, 1.0, 1, 1, 1.0),)


@pytest.mark.parametrize(("photos", "counts"), [(7, [7]), (45, [23, 22]), (322, [33, 33] + [32] * 8)])
def test_bins_of_a_diagram_hold_equally_many_photos(photos, counts):
    logits, labels = drawn(n=photos)
    probabilities = logits.softmax(1)
    bins = equal_count_bins(probabilities, labels)
    assert [each.photos for each in bins] == counts
    assert sum(each.correct for each in bins) == int((probabilities.argmax(1) == labels).sum())
    edges = [edge for each in bins for edge in (each.low, each.high)]
    assert edges == sorted(edges)
    assert edges[-1] == probabilities.max().item()
    assert all(each.low <= each.confidence <= each.high for each in bins)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_data_is_recovered(temperature):
    logits, labels = drawn(temperature=temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.08)
    assert fit_temperature(logits + 100, labels) == pytest.approx(fit_temperature(logits, labels))


def test_the_temperature_minimizes_the_loss():
    logits, labels = drawn(n=200, temperature=2.0)
    best = fit_temperature(logits, labels)
    losses = [torch.nn.functional.cross_entropy(logits / t, labels).item() for t in (best * 0.98, best, best * 1.02)]
    assert losses[1] < min(losses[0], losses[2])


def test_overconfidence_is_measured_and_reduced_on_other_photos():
    predictions = stored(*drawn(temperature=3.0))
    found, accuracy = calibrate(predictions), predictions.as_predictions().accuracy
    assert found.mean_confidence > accuracy + 0.1
    assert found.ece > found.ece_by_chance_high
    assert found.ece_after < found.ece / 3
    assert found.loss_after < found.loss
    assert not found.temperature_is_bounded


def test_no_photo_is_scored_with_a_temperature_that_was_fitted_to_it(monkeypatch):
    fitted = []

    def spy(logits, labels):
        fitted.append({tuple(row) for row in logits.tolist()})
        return 1.0

    monkeypatch.setattr(calibration, "fit_temperature", spy)
    calibrate(stored(*drawn(n=41)))
    first, second, everything = fitted
    assert not first & second
    assert first | second == everything
    assert len(everything) == 41


def test_calibrated_predictions_nearly_always_lie_in_the_range_of_chance():
    inside = 0
    for seed in range(40):
        logits, labels = drawn(n=300, seed=seed)
        found = calibrate(stored(logits, labels), seed)
        inside += found.ece_by_chance_low <= found.ece <= found.ece_by_chance_high
    assert inside >= 34  # 38 are expected; fewer than 34 by chance once in a hundred times


def test_the_range_of_chance_is_the_same_for_the_same_seed():
    probabilities = drawn(n=100)[0].softmax(1)
    assert ece_by_chance(probabilities, 3) == ece_by_chance(probabilities, 3)


def test_without_mistakes_the_temperature_is_bounded():
    logits = torch.eye(2).repeat(20, 1) * 6
    found = calibrate(stored(logits, torch.arange(40) % 2))
    assert found.temperature_is_bounded
    assert math.isfinite(found.loss_after)
    assert found.ece_after <= found.ece


def test_one_photo_is_enough():
    found = calibrate(stored(torch.tensor([[2.0, 0.0]]), torch.tensor([1])))
    assert found.bins[0].accuracy == 0
    assert all(map(math.isfinite, (found.ece, found.ece_after, found.loss_after)))
