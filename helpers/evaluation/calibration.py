"""Whether a network that says 90 % is right nine times in ten: reliability, and one number that mends it.

Guo et al. (2017), *On calibration of modern neural networks*: the expected calibration error, and temperature scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from helpers.common.seeding import generator
from helpers.evaluation.predictions import StoredPredictions

BINS = 15  # as in the paper


LOWEST, HIGHEST = 0.05, 20.0  # temperatures: without any mistake there is no lowest that fits best


FLAT = 1e-12  # a slope that is 0 but for rounding: the sharper the better, still


class Bin(NamedTuple):
    """The photos whose answer was given with a probability in ``(low, high]``."""

    low: float
    high: float
    photos: int
    correct: int
    confidence: float  # mean probability of the answers

    @property
    def accuracy(self) -> float:
        return self.correct / self.photos


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed, on photos that the temperature in question was not fitted to."""

    bins: tuple[Bin, ...]  # as the network says; bins without photos are left out
    bins_after: tuple[Bin, ...]  # with temperatures
    ece: float  # expected calibration error, a share
    ece_after: float
    chance: tuple[float, float]  # 95 % of the errors that probabilities without fault would show on so few photos
    confidence: float  # mean probability of the answers
    confidence_after: float
    accuracy: float
    loss: float  # mean cross-entropy, nats
    loss_after: float
    temperature: float  # fitted to all photos: for photos to come

    @property
    def bounded(self) -> bool:
        """Whether the temperature is as low or as high as it may be: the photos do not say where it belongs."""
        return not LOWEST * 1.001 < self.temperature < HIGHEST * 0.999


def calibrate(called: StoredPredictions, seed: int = 0) -> Calibration:
    """The calibration of a run's predictions.

    The temperature is fitted to one half of the photos and tried on the other, both ways, so that no photo judges a
    temperature that was fitted to it.
    """
    logits, labels = _logits(called), called.labels
    after = torch.empty_like(called.probabilities)
    halves = _halves(labels, seed)
    for here, there in (halves, halves[::-1]):
        after[there] = (logits[there] / fit_temperature(logits[here], labels[here])).softmax(1)
    before, later = (reliability(each, labels) for each in (called.probabilities, after))
    return Calibration(
        bins=before,
        bins_after=later,
        ece=expected_error(before),
        ece_after=expected_error(later),
        chance=error_by_chance(called.probabilities, seed),
        confidence=called.probabilities.amax(1).mean().item(),
        confidence_after=after.amax(1).mean().item(),
        accuracy=(called.probabilities.argmax(1) == labels).double().mean().item(),
        loss=_loss(called.probabilities, labels),
        loss_after=_loss(after, labels),
        temperature=fit_temperature(logits, labels),
    )


def reliability(probabilities: torch.Tensor, labels: torch.Tensor, bins: int = BINS) -> tuple[Bin, ...]:
    """Photos sorted into bins of equal width by the probability of their answer.

    Args:
        probabilities: float ``(n, classes)``, rows sum to 1.
        labels: int64 ``(n,)``.
    """
    confidence, answer = probabilities.max(1)
    number = (confidence * bins).ceil().long().clamp(1, bins) - 1
    found = []
    for i in range(bins):
        inside = number == i
        if photos := int(inside.sum()):
            correct = int((answer[inside] == labels[inside]).sum())
            found.append(Bin(i / bins, (i + 1) / bins, photos, correct, confidence[inside].mean().item()))
    return tuple(found)


def expected_error(bins: tuple[Bin, ...]) -> float:
    """The ECE: the distance between probability and accuracy, averaged over photos by bins. A share in [0, 1]."""
    return sum(abs(b.photos * b.confidence - b.correct) for b in bins) / sum(b.photos for b in bins)


def error_by_chance(probabilities: torch.Tensor, seed: int, draws: int = 1000) -> tuple[float, float]:
    """The middle 95 % of the ECE that these probabilities would show if they were true.

    On few photos no ECE is 0. So true classes are drawn from the probabilities themselves, many times (consistency
    resampling; Bröcker and Smith, 2007). An ECE inside this range gives no reason to distrust the network.
    """
    confidence, _ = probabilities.double().max(1)
    number = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    source, errors = generator(seed, "calibration"), []
    for _ in range(draws // 20):  # 20 at a time: tens of megabytes, however many photos
        uniform = torch.rand(20, len(confidence), dtype=torch.float64, generator=source)
        surplus = (uniform < confidence).double() - confidence  # (20, n): right or not, less what was promised
        sums = torch.zeros(20, BINS, dtype=torch.float64).index_add_(1, number, surplus)
        errors.append(sums.abs().sum(1) / len(confidence))
    low, high = torch.quantile(torch.cat(errors), torch.tensor([0.025, 0.975]).double()).tolist()
    return low, high


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature by which to divide logits so that the cross-entropy is least; in ``[LOWEST, HIGHEST]``.

    The loss is convex in 1 / T, so its slope rises and changes sign once: bisection finds where. No photos: 1.

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


def _logits(called: StoredPredictions) -> torch.Tensor:
    return called.as_predictions().logits.double()


def _halves(labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two halves of the photos, each class dealt out evenly."""
    shuffled = torch.randperm(len(labels), generator=generator(seed, "halves"))
    dealt = shuffled[labels[shuffled].argsort(stable=True)]
    return dealt[::2], dealt[1::2]


def _loss(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    return abs(probabilities.gather(1, labels[:, None]).clamp_min(1e-12).log().mean().item())
