"""Which answers to look at first: the most confident mistakes, the least certain, and suspected labels."""

from __future__ import annotations

from typing import NamedTuple

import torch

from helpers.evaluation.predictions import StoredPredictions


class ClassifiedPhoto(NamedTuple):
    """What the network said of one photo."""

    row: int  # in the predictions
    name: str  # of the photo, as the audit names it
    truth: str
    said: str
    probability: float  # of what was said
    other: str  # the class that came second
    other_probability: float
    truth_probability: float

    @property
    def right(self) -> bool:
        return self.said == self.truth


def answers(called: StoredPredictions, rows: list[int]) -> list[ClassifiedPhoto]:
    """These rows of the predictions, in words."""
    found = []
    for row in rows:
        probabilities, truth = called.probabilities[row], int(called.labels[row])
        (first, second), (said, other) = (part.tolist() for part in probabilities.topk(2))
        names = [called.classes[i] for i in (truth, said, other)]
        found.append(
            ClassifiedPhoto(
                row, called.names[row], names[0], names[1], first, names[2], second, probabilities[truth].item()
            )
        )
    return found


def confident_mistakes(called: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """Wrong answers, the most confident first."""
    return answers(called, _ranked(called, descending=True, right=False)[:count])


def confident_rights(called: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """For every class its most confident right answer, then every class's second, and so on."""
    rows = _ranked(called, descending=True, right=True)
    turn: dict[int, int] = {}
    place = {}
    for row in rows:
        label = int(called.labels[row])
        place[row] = turn[label] = turn.get(label, -1) + 1
    return answers(called, sorted(rows, key=lambda row: (place[row], int(called.labels[row])))[:count])


def right_and_wrong(called: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """The most confident mistakes, at most half of ``count``, then right answers, of as many classes as possible."""
    wrong = confident_mistakes(called, count // 2)
    return wrong + confident_rights(called, count - len(wrong))


def least_certain(called: StoredPredictions, count: int) -> list[ClassifiedPhoto]:
    """Answers given with the lowest probability, the least certain first, right or wrong."""
    return answers(called, _ranked(called, descending=False)[:count])


def _ranked(called: StoredPredictions, descending: bool, right: bool | None = None) -> list[int]:
    """Rows by the probability of their answer; only right or only wrong ones if that is asked for."""
    confidence, said = called.probabilities.max(1)
    order = torch.argsort(confidence, descending=descending, stable=True)
    if right is not None:
        order = order[(said == called.labels)[order] == right]
    return order.tolist()
