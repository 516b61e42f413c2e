"""Which predictions are shown first."""

import pytest
import torch

from helpers.evaluation.mistakes import confident_correct, confident_mistakes, least_certain, mistakes_and_correct
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
def predictions():
    probabilities = torch.tensor([row for _, row in PHOTOS.values()], dtype=torch.float64)
    labels = torch.tensor([truth for truth, _ in PHOTOS.values()])
    return StoredPredictions(tuple(PHOTOS), ("rose", "tulip", "daisy"), probabilities, labels)


def names(photos):
    return "".join(photo.name for photo in photos)


def test_the_most_confident_mistakes_come_first(predictions):
    found = confident_mistakes(predictions, 5)
    assert names(found) == "bd"
    assert found[0] == (1, "b", "tulip", "rose", 0.8, "tulip", 0.15, 0.15)
    assert not found[0].correct
    assert (found[1].predicted, found[1].second, found[1].label) == ("tulip", "daisy", "daisy")


def test_the_least_certain_are_correct_or_not(predictions):
    assert names(least_certain(predictions, 2)) == "cd"
    assert names(least_certain(predictions, 100)) == "cdbaf" + "e"


def test_correct_predictions_of_every_class_in_turn(predictions):
    assert names(confident_correct(predictions, 4)) == "fcea"
    assert names(mistakes_and_correct(predictions, 4)) == "bdfc"


def test_without_mistakes_all_are_correct_predictions(predictions):
    flawless = StoredPredictions(
        predictions.names, predictions.classes, predictions.probabilities, predictions.probabilities.argmax(1)
    )
    assert confident_mistakes(flawless, 5) == []
    assert len(mistakes_and_correct(flawless, 6)) == 6
