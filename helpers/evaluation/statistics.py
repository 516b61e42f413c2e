"""How sure an accuracy is, or the difference of two on the same photos: intervals and tests, computed by scipy.

scipy is imported where it is used: it takes half a second.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000


class Interval(NamedTuple):
    """A 95 % confidence interval of a share in [0, 1]."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1%} to {self.high:.1%}"


class Estimate(NamedTuple):
    """A share of photos, or a difference of two, with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2%} ({self.low:.2%} to {self.high:.2%})"


def wilson_interval(correct: int, photos: int, confidence: float = 0.95) -> Interval:
    """Compute Wilson's score interval (1927) for ``correct`` of ``photos``; sound near 0 and 1 too.

    Raises ValueError: not ``0 <= correct <= photos`` with at least one photo.
    """
    from scipy.stats import binomtest

    if not 0 <= correct <= photos or photos == 0:
        raise ValueError(f"wilson_interval: {correct} correct of {photos} photos is not possible")
    interval = binomtest(correct, photos).proportion_ci(confidence, method="wilson")
    return Interval(float(interval.low), float(interval.high))


def with_interval(accuracy: float, photos: int, before: str = "") -> str:
    """Write the accuracy on so many photos with Wilson's 95 % interval: ``94.10% (91.0–96.2%)``."""
    low, high = wilson_interval(round(accuracy * photos), photos)
    return f"{accuracy:.2%} ({before}{100 * low:.1f}–{high:.1%})"


def bootstrap(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate:
    """Return the mean over photos, and its percentile bootstrap interval (Efron, 1979) from draws of whole groups.

    Args:
        values: for every photo, whether it was classified correctly, ``(n,)``; means over several runs are fine. Or the
            difference of two models: photos that both find easy, or hard, then do not count.
        groups: for every photo, its scene: photos of one scene are drawn together, ``(n,)``.
    """
    import scipy.stats

    mean = float(np.mean(values))
    _, index = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(index, weights=values), np.bincount(index)
    if len(sums) == 1:
        return Estimate(mean, mean, mean)
    low, high = scipy.stats.bootstrap(
        (sums, sizes),
        lambda drawn, photos, axis: drawn.sum(axis) / photos.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=RESAMPLES,
        batch=500,  # tens of megabytes, however many photos
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(low), float(high))


def fold_interval(differences: np.ndarray, fold: np.ndarray) -> Estimate:
    """Return the mean over folds of a paired difference, with Student's t interval.

    It includes how much the trainings of the folds differ, which the bootstrap over photos takes as given. The folds
    share training photos, so it is approximate (Bengio and Grandvalet, 2004).

    Args:
        differences: for every photo, ``(n,)``.
        fold: the fold that held it out, ``(n,)``; of a single fold, the interval is infinite.
    """
    from scipy import stats

    means = np.array([differences[fold == k].mean() for k in np.unique(fold)])
    mean, margin = float(means.mean()), math.inf
    if len(means) > 1:
        margin = float(stats.sem(means) * stats.t.ppf(0.975, len(means) - 1))
    return Estimate(mean, mean - margin, mean + margin)


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test (1947): photos that only one of two models gets right."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests so that all together err once in twenty at 0.05 (Holm, 1979)."""
    order, tests = np.argsort(p_values), len(p_values)
    raised = np.minimum(1, np.arange(tests, 0, -1) * np.asarray(p_values)[order])
    return np.maximum.accumulate(raised)[order.argsort()].tolist()
