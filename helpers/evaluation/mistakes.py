"""Which predictions to look at first: the most confident mistakes, and the least certain predictions."""

from collections import Counter
from typing import NamedTuple

import torch

from helpers.evaluation.predictions import StoredPredictions


class ClassifiedPhoto(NamedTuple):
    """One photo's prediction."""

    row: int  # in the predictions
    name: str  # of the photo, as the audit names it
    label: str  # the true class, by its folder
    predicted: str
    probability: float  # of the predicted class
    second: str  # the class with the second largest probability
    second_probability: float
    label_probability: float

    @property
    def correct(self) -> bool:
        return self.predicted == self.label

    @property
    def other(self) -> tuple[str, float]:
        """The true class of a mistake, otherwise the second choice, with its probability."""
        return (self.second, self.second_probability) if self.correct else (self.label, self.label_probability)


def classified_photos(predictions: StoredPredictions, rows: list[int]) -> list[ClassifiedPhoto]:
    """Put these rows of the predictions into names."""
    found = []
    for row in rows:
        probabilities, label = predictions.probabilities[row], int(predictions.labels[row])
        (first, second), (predicted, runner_up) = (part.tolist() for part in probabilities.topk(2))
        true, predicted, runner_up = (predictions.classes[i] for i in (label, predicted, runner_up))
        own, name = probabilities[label].item(), predictions.names[row]
        found.append(ClassifiedPhoto(row, name, true, predicted, first, runner_up, second, own))
    return found


def confident_mistakes(predictions: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """Find wrong predictions, the most confident first."""
    return classified_photos(predictions, _ranked(predictions, descending=True, correct=False)[:count])


def least_certain(predictions: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """Find the predictions with the lowest probability, correct or not, the lowest first."""
    return classified_photos(predictions, _ranked(predictions, descending=False)[:count])


def confident_correct(predictions: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """Find each class's most confident correct prediction, then each class's second, and so on."""
    seen, order = Counter(), []
    for row in _ranked(predictions, descending=True, correct=True):
        label = int(predictions.labels[row])
        order.append((seen[label], label, row))
        seen[label] += 1
    return classified_photos(predictions, [row for *_, row in sorted(order)][:count])


def mistakes_and_correct(predictions: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """Find the most confident mistakes, at most half of ``count``, then correct predictions of as many classes."""
    wrong = confident_mistakes(predictions, count // 2)
    return wrong + confident_correct(predictions, count - len(wrong))


def _ranked(predictions: StoredPredictions, descending: bool, correct: bool | None = None) -> list[int]:
    """Rank rows by their prediction's probability; only the correct or only the wrong ones if ``correct`` is given."""
    confidence, predicted = predictions.probabilities.max(1)
    order = torch.argsort(confidence, descending=descending, stable=True)
    if correct is not None:
        order = order[(predicted == predictions.labels)[order] == correct]
    return order.tolist()
