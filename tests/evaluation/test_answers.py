"""Which answers are looked at first."""

import pytest
import torch

from helpers.evaluation.answers import confident_mistakes, confident_rights, least_certain, right_and_wrong
from helpers.evaluation.label_errors import suspected_labels
from helpers.evaluation.predictions import StoredPredictions

# name: truth, probabilities
PHOTOS = {
    "a": (0, (0.9, 0.1, 0.0)),
    "b": (1, (0.8, 0.15, 0.05)),  # wrong, certain
    "c": (1, (0.3, 0.4, 0.3)),  # right, least certain
    "d": (2, (0.0, 0.6, 0.4)),  # wrong
    "e": (2, (0.01, 0.02, 0.97)),
    "f": (0, (0.95, 0.03, 0.02)),
}


@pytest.fixture
def called():
    probabilities = torch.tensor([row for _, row in PHOTOS.values()], dtype=torch.float64)
    labels = torch.tensor([truth for truth, _ in PHOTOS.values()])
    return StoredPredictions(tuple(PHOTOS), ("rose", "tulip", "daisy"), probabilities, labels)


def names(answers):
    return "".join(answer.name for answer in answers)


def test_the_most_confident_mistakes_come_first(called):
    found = confident_mistakes(called, 5)
    assert names(found) == "bd"
    assert found[0] == (1, "b", "tulip", "rose", 0.8, "tulip", 0.15, 0.15)
    assert not found[0].right
    assert (found[1].said, found[1].other, found[1].truth) == ("tulip", "daisy", "daisy")


def test_the_least_certain_are_right_or_wrong(called):
    assert names(least_certain(called, 2)) == "cd"
    assert names(least_certain(called, 100)) == "cdbaf" + "e"


def test_right_answers_of_every_class_in_turn(called):
    assert names(confident_rights(called, 4)) == "fcea"
    assert names(right_and_wrong(called, 4)) == "bdfc"


def test_where_nothing_is_wrong_all_are_right_answers(called):
    flawless = StoredPredictions(called.names, called.classes, called.probabilities, called.probabilities.argmax(1))
    assert confident_mistakes(flawless, 5) == []
    assert len(right_and_wrong(flawless, 6)) == 6
    assert suspected_labels(flawless) == []


def test_a_label_is_suspected_where_the_network_is_surer_than_usual_of_another(called):
    (found,) = suspected_labels(StoredPredictions(*_with_a_wrong_label()))
    assert (found.name, found.label, found.predicted) == ("x3", "tulip", "rose")
    assert found.predicted_probability == 0.99


def _with_a_wrong_label():
    probabilities = torch.tensor([[0.9, 0.1]] * 3 + [[0.99, 0.01]] + [[0.1, 0.9]] * 4, dtype=torch.float64)
    return tuple(f"x{i}" for i in range(8)), ("rose", "tulip"), probabilities, torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
