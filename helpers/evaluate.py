"""How good the model is, with the interval that the number of photos allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import nn

from helpers import processes


@dataclass(frozen=True)
class Predictions:
    """What the model says about ``n`` photos, in the feed's order, on the CPU."""

    logits: torch.Tensor  # float32 (n, classes)
    labels: torch.Tensor  # int64 (n,), the true classes

    @property
    def probabilities(self) -> torch.Tensor:
        """float32 ``(n, classes)``; rows sum to 1."""
        return self.logits.softmax(1)

    @property
    def predicted(self) -> torch.Tensor:
        return self.logits.argmax(1)

    @property
    def correct(self) -> int:
        return int((self.predicted == self.labels).sum())

    @property
    def accuracy(self) -> float:
        return self.correct / len(self.labels)


@torch.inference_mode()
def predict(model: nn.Module, feed, precision: torch.dtype) -> Predictions:
    """Run the model over one epoch of a feed, without gradients or randomness.

    The model's train/eval mode is restored afterwards.
    """
    was_training = model.training
    model.eval()
    logits, labels = [], []
    for images, truth in feed.epoch():
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            logits.append(model(images).float())
        labels.append(truth)
    model.train(was_training)
    together = (processes.in_order(torch.cat(part), len(feed.labels), feed.batch_size) for part in (logits, labels))
    return Predictions(*(part.cpu() for part in together))


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


def confusion_matrix(predictions: Predictions) -> torch.Tensor:
    """int64 ``(classes, classes)``: rows are the true classes, columns the predicted ones."""
    classes = predictions.logits.shape[1]
    pairs = predictions.labels * classes + predictions.predicted
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


class ClassScore(NamedTuple):
    """One class: how many of its photos there are, how many are found, how many calls are right."""

    name: str
    photos: int
    precision: float  # of the photos called so, the share that is; nan if none was called so
    recall: float  # of the photos that are, the share called so; nan if there are none
    f1: float  # harmonic mean of the two; 0 if nothing was right


def class_scores(predictions: Predictions, classes: tuple[str, ...]) -> list[ClassScore]:
    matrix = confusion_matrix(predictions)
    scores = []
    for i, name in enumerate(classes):
        right, called, photos = int(matrix[i, i]), int(matrix[:, i].sum()), int(matrix[i].sum())
        precision = right / called if called else math.nan
        recall = right / photos if photos else math.nan
        f1 = 2 * right / (called + photos) if called + photos else math.nan
        scores.append(ClassScore(name, photos, precision, recall, f1))
    return scores
