"""Two recipes on the same photos: what their accuracies, and the difference, can be said to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000


class Estimate(NamedTuple):
    """A share of photos, or a difference of two, with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2%} ({self.low:.2%} to {self.high:.2%})"


def accuracy(right: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate:
    """Mean accuracy and its bootstrap interval (Efron, 1979) over scenes.

    Args:
        right: for every photo, the share of the runs (seeds) that were right about it while it was held out, ``(n,)``.
        groups: for every photo, its scene: photos of one scene are drawn together, ``(n,)``.
    """
    return _bootstrap(right, groups, seed)


def difference(right: np.ndarray, base: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate:
    """Paired difference ``right - base`` on the same photos: photos that both find easy, or hard, say nothing."""
    return _bootstrap(np.asarray(right) - np.asarray(base), groups, seed)


def mcnemar(right: np.ndarray, base: np.ndarray) -> float:
    """Two-sided p-value of McNemar's exact test (1947): of the photos that one gets right, is it one more often?

    Args:
        right, base: 0 or 1 for every photo, ``(n,)``.

    Raises:
        ValueError: other numbers, such as means over several seeds.
    """
    right, base = np.asarray(right), np.asarray(base)
    if not np.isin(right, (0, 1)).all() or not np.isin(base, (0, 1)).all():
        raise ValueError("McNemar's test takes one answer per photo: 0 or 1")
    return sign_test(int(((right == 1) & (base == 0)).sum()), int(((right == 0) & (base == 1)).sum()))


def sign_test(gained: int, lost: int) -> float:
    """Two-sided p-value of so uneven a count, or a more uneven one, if each were a fair coin's."""
    n, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    return min(1.0, 2 * tail)


def smallest_lead(discordant: int, level: float = 0.05) -> int | None:
    """How many more of ``discordant`` photos one of two recipes must get right for McNemar's test to say so.

    Returns:
        gained minus lost; None if not even all of them would do, which is so below six.
    """
    enough = (lost for lost in range(discordant // 2, -1, -1) if sign_test(discordant - lost, lost) < level)
    lost = next(enough, None)
    return None if lost is None else discordant - 2 * lost


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of many tests, raised so that all of them together err once in twenty at 0.05 (Holm, 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    raised, highest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        raised[i] = highest
    return raised


def _bootstrap(values: np.ndarray, groups: np.ndarray, seed: int) -> Estimate:
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=values)
    sizes = np.bincount(index)
    generator = np.random.default_rng(seed)
    n = len(sums)
    means = []
    for _ in range(RESAMPLES // 500):  # 500 at a time: tens of megabytes, however many photos
        drawn = generator.integers(0, n, (500, n))
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Estimate(float(np.mean(values)), float(low), float(high))


class Interval(NamedTuple):
    """The range that holds the true accuracy with 95 % confidence; shares in [0, 1]."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1%} to {self.high:.1%}"


def wilson_interval(correct: int, photos: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927) for ``correct`` of ``photos``; sound near 0 and 1 too.

    Raises:
        ValueError: not ``0 <= correct <= photos`` with at least one photo.
    """
    if not 0 <= correct <= photos or photos == 0:
        raise ValueError(f"wilson_interval: {correct} correct of {photos} photos is not possible")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = correct / photos
    centre = share + z * z / (2 * photos)
    margin = z * math.sqrt(share * (1 - share) / photos + z * z / (4 * photos * photos))
    scale = 1 + z * z / photos
    # Where nothing or everything is right, rounding would leave the share itself just outside.
    low, high = (centre - margin) / scale, (centre + margin) / scale
    return Interval(low if correct else 0.0, high if correct < photos else 1.0)
