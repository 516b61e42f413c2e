"""Calibration: whether predictions with 90 % probability are correct nine times in ten, and a temperature for them.

Guo et al. (2017), *On calibration of modern neural networks*: the expected calibration error, and temperature scaling.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn.functional import nll_loss

from helpers.common.seeding import generator
from helpers.evaluation.predictions import StoredPredictions

BINS = 15  # of equal width, as in the paper
PHOTOS_PER_BIN, MOST_BINS = 20, 10  # of a reliability diagram
LOWEST, HIGHEST = 0.05, 20.0  # temperatures: without any mistake the loss has no minimum
FLAT = 1e-12  # a slope of the loss that is 0 but for rounding


class Bin(NamedTuple):
    """Photos predicted with similar probabilities, from ``low`` to ``high``."""

    low: float
    high: float
    photos: int
    correct: int
    confidence: float  # mean probability of the predicted classes

    @property
    def accuracy(self) -> float:
        return self.correct / self.photos


@dataclass(frozen=True)
class Calibration:
    """Calibration before and after temperature scaling; ``after``: on photos that the temperature was not fitted to."""

    ece: float  # expected calibration error, a share
    ece_by_chance_low: float  # 95 % of the errors of a perfectly calibrated model on so few photos
    ece_by_chance_high: float
    mean_confidence: float  # mean probability of the predicted classes
    loss: float  # mean cross-entropy, nats
    temperature: float  # fitted to all photos: for photos to come
    temperature_is_bounded: bool  # it is as low or high as allowed: the photos do not determine it
    ece_after: float
    loss_after: float
    bins: tuple[Bin, ...]  # of equal counts: for the reliability diagram
    bins_after: tuple[Bin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for ``results.json``."""
        return {name: value for name, value in vars(self).items() if not name.startswith("bins")}


def calibrate(predictions: StoredPredictions, seed: int = 0) -> Calibration:
    """Measure the calibration of a run's predictions.

    The temperature is fitted to one half of the photos and applied to the other, both ways, so that no photo is scored
    with a temperature that was fitted to it.
    """
    logits, labels = predictions.as_predictions().logits.double(), predictions.labels
    before, after = predictions.probabilities, torch.empty_like(predictions.probabilities)
    halves = _halves(labels, seed)
    for fitted, other in (halves, halves[::-1]):
        after[other] = (logits[other] / fit_temperature(logits[fitted], labels[fitted])).softmax(1)
    temperature = fit_temperature(logits, labels)
    return Calibration(
        expected_calibration_error(equal_width_bins(before, labels)),
        *ece_by_chance(before, seed),
        before.amax(1).mean().item(),
        _loss(before, labels),
        temperature,
        not LOWEST * 1.001 < temperature < HIGHEST * 0.999,
        expected_calibration_error(equal_width_bins(after, labels)),
        _loss(after, labels),
        equal_count_bins(before, labels),
        equal_count_bins(after, labels),
    )


def equal_width_bins(probabilities: torch.Tensor, labels: torch.Tensor, bins: int = BINS) -> tuple[Bin, ...]:
    """Sort photos into bins of equal width by the probability of their predicted class; empty ones are left out.

    Args:
        probabilities: float ``(n, classes)``, rows sum to 1.
        labels: int64 ``(n,)``.
    """
    number = _bin_numbers(probabilities.amax(1), bins)
    rows = ((i, (number == i).nonzero().squeeze(1)) for i in number.unique().tolist())
    return tuple(_bin(probabilities[inside], labels[inside], i / bins, (i + 1) / bins) for i, inside in rows)


def equal_count_bins(probabilities: torch.Tensor, labels: torch.Tensor) -> tuple[Bin, ...]:
    """Sort photos into bins of equally many, at least ``PHOTOS_PER_BIN``: of few, the accuracy says nothing.

    Args:
        probabilities: float ``(n, classes)``, rows sum to 1.
        labels: int64 ``(n,)``.
    """
    order = probabilities.amax(1).argsort(stable=True)
    parts = order.tensor_split(max(1, min(MOST_BINS, len(order) // PHOTOS_PER_BIN)))
    return tuple(_bin(probabilities[part], labels[part]) for part in parts)


def _bin(probabilities: torch.Tensor, labels: torch.Tensor, low: float | None = None, high: float | None = None) -> Bin:
    """Make a bin of these photos; without limits, its own."""
    confidence, predicted = probabilities.max(1)
    low, high = confidence.min().item() if low is None else low, confidence.max().item() if high is None else high
    return Bin(low, high, len(labels), int((predicted == labels).sum()), confidence.mean().item())


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """Average the distance between probability and accuracy over photos, bin by bin. A share in [0, 1]."""
    return sum(abs(b.photos * b.confidence - b.correct) for b in bins) / sum(b.photos for b in bins)


def ece_by_chance(probabilities: torch.Tensor, seed: int, draws: int = 1000) -> tuple[float, float]:
    """Return the middle 95 % of the ECE of a perfectly calibrated model with these probabilities.

    On few photos it is never 0. So true classes are drawn from the probabilities themselves, many times (consistency
    resampling; Bröcker and Smith, 2007). An ECE inside this range is no sign of poor calibration.
    """
    confidence = probabilities.double().amax(1)
    number = _bin_numbers(confidence, BINS)
    source, errors = generator(seed, "calibration"), []
    for _ in range(draws // 20):  # 20 at a time: tens of megabytes, however many photos
        uniform = torch.rand(20, len(confidence), dtype=torch.float64, generator=source)
        surplus = (uniform < confidence).double() - confidence  # (20, n): 1 if correct, minus the probability of it
        sums = torch.zeros(20, BINS, dtype=torch.float64).index_add_(1, number, surplus)
        errors.append(sums.abs().sum(1) / len(confidence))
    low, high = torch.quantile(torch.cat(errors), torch.tensor([0.025, 0.975]).double()).tolist()
    return low, high


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Find the temperature in ``[LOWEST, HIGHEST]`` that minimizes the cross-entropy of the logits divided by it.

    The loss is convex in 1 / T, so its slope changes sign once, and bisection finds where. Without photos it is 1.

    Args:
        logits: float64 ``(n, classes)``; a constant per row does not matter.
        labels: int64 ``(n,)``.
    """
    if not len(labels):
        return 1.0
    own = logits.gather(1, labels[:, None]).squeeze(1)

    def slope(inverse: float) -> float:
        return (((logits * inverse).softmax(1) * logits).sum(1) - own).mean().item()

    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < FLAT else (low, middle)
    return 2 / (low + high)


def _bin_numbers(confidence: torch.Tensor, bins: int) -> torch.Tensor:
    return (confidence * bins).ceil().long().clamp(1, bins) - 1


def _halves(labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the photos into two halves, each class evenly."""
    shuffled = torch.randperm(len(labels), generator=generator(seed, "halves"))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    return by_class[::2], by_class[1::2]


def _loss(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    return abs(nll_loss(probabilities.clamp_min(1e-12).log(), labels).item())
