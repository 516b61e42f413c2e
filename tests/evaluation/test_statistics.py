"""Intervals and tests that are what they claim, checked by simulation and by hand."""

import numpy as np
import pytest

from helpers.evaluation import statistics


def test_mcnemar_by_hand():
    assert statistics.mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)
    assert statistics.mcnemar(0, 0) == 1.0


def test_the_interval_holds_the_truth_about_95_times_in_a_hundred():
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(60):
        right = (generator.random(400) < 0.9).astype(float)
        estimate = statistics.bootstrap(right, np.arange(400), seed)
        held += estimate.low <= 0.9 <= estimate.high
    assert 52 <= held <= 60


def test_photos_of_one_scene_count_as_one_observation():
    right = np.repeat(np.random.default_rng(1).random(50) < 0.8, 8).astype(float)
    alone = statistics.bootstrap(right, np.arange(400))
    together = statistics.bootstrap(right, np.repeat(np.arange(50), 8))
    assert alone.mean == together.mean == right.mean()
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(8**0.5, rel=0.15)


def test_a_paired_difference_is_sharper_than_two_accuracies():
    generator = np.random.default_rng(2)
    base = (generator.random(1000) < 0.9).astype(float)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:20]] = 1
    groups = np.arange(1000)
    estimate = statistics.bootstrap(better - base, groups)
    assert estimate.mean == pytest.approx(0.02)
    assert estimate.low > 0
    single = statistics.bootstrap(base, groups)
    assert estimate.high - estimate.low < 0.6 * (single.high - single.low)
    assert statistics.bootstrap(base - base, groups) == (0, 0, 0)


def test_an_estimate_reads_well():
    assert str(statistics.Estimate(0.9712, 0.9634, 0.9789)) == "97.12% (96.34% to 97.89%)"


def test_holm_by_hand():
    assert statistics.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_wilson_interval_of_the_published_result():
    low, high = statistics.wilson_interval(550, 570)
    assert (round(low, 3), round(high, 3)) == (0.946, 0.977)


@pytest.mark.parametrize(
    ("correct", "photos", "low", "high"), [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634)]
)
def test_wilson_interval_against_published_tables(correct, photos, low, high):
    assert statistics.wilson_interval(correct, photos) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("correct", "photos"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(correct, photos):
    with pytest.raises(ValueError, match="not possible"):
        statistics.wilson_interval(correct, photos)


def test_where_everything_or_nothing_is_right_the_share_lies_in_its_interval():
    for photos in (1, 2, 7, 49, 199):
        everything, nothing = statistics.wilson_interval(photos, photos), statistics.wilson_interval(0, photos)
        assert (nothing.low, everything.high) == (0, 1)
        assert everything.low == pytest.approx(1 - nothing.high)


def test_the_interval_over_folds_by_hand():
    differences, fold = np.array([0.0, 0.2, 0.2, 0.4, 0.3]), np.array([0, 0, 1, 1, 2])
    mean, low, high = statistics.fold_interval(differences, fold)  # of 0.1, 0.3 and 0.3; t = 4.303 of two degrees
    assert mean == pytest.approx(0.7 / 3)
    assert (high - low) / 2 == pytest.approx(4.303 * 0.2 / 3, rel=1e-3)  # s = 0.2 / sqrt(3)
    assert statistics.fold_interval(differences[:2], fold[:2]) == (pytest.approx(0.1), -np.inf, np.inf)
