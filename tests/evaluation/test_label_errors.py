"""Labels that were made wrong are found, and few others."""

import numpy as np
import pytest
import torch

from helpers.common.errors import RunError
from helpers.evaluation import label_errors
from helpers.evaluation.predictions import StoredPredictions


def said(labels, certainty, seed=0):
    """Probabilities of a fair classifier of these true classes."""
    generator = np.random.default_rng(seed)
    rest = generator.dirichlet(np.ones(3), len(labels)) * (1 - certainty)
    rest[np.arange(len(labels)), labels] += certainty
    return rest


def test_wrong_labels_are_found_and_come_first():
    truth = np.arange(300) % 3
    probabilities, labels, wrong = said(truth, 0.8), truth.copy(), [5, 50, 222]
    probabilities[wrong] = said(truth[wrong], 0.95)  # clearer than the usual photo of its class
    labels[wrong] = (labels[wrong] + 1) % 3
    found = label_errors.find_suspects(probabilities, labels)
    assert {row for row, _ in found} == set(wrong)
    assert all(other == truth[row] for row, other in found)
    margins = [probabilities[row, labels[row]] - probabilities[row, other] for row, other in found]
    assert margins == sorted(margins)


def test_a_hesitant_mistake_is_no_suspicion():
    """A photo called something else by a hair is hard, not mislabelled: the class's usual certainty decides."""
    labels = np.array([0] * 20 + [1] * 20)
    probabilities = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    probabilities[3] = 0.45, 0.55
    assert label_errors.find_suspects(probabilities, labels) == []
    probabilities[3] = 0.02, 0.98
    assert label_errors.find_suspects(probabilities, labels) == [(3, 1)]


def test_a_class_without_photos_suspects_nothing():
    assert label_errors.find_suspects(np.array([[0.1, 0.1, 0.8], [0.9, 0.1, 0.0]]), np.array([0, 0])) == []


def write(path, *lines):
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["name,class,predicted,daisy,rose", *lines]) + "\n")


def test_folds_and_seeds_are_put_together(tmp_path):
    write(tmp_path / "fold-0-seed-0" / "predictions.csv", "a,daisy,rose,0.0,1.0", "b,daisy,daisy,0.9,0.1")
    write(tmp_path / "fold-0-seed-1" / "predictions.csv", "a,daisy,rose,0.2,0.8", "b,daisy,daisy,0.9,0.1")
    write(tmp_path / "fold-1-seed-0" / "predictions.csv", "c,rose,rose,0.1,0.9")
    found = label_errors.read_fold_predictions(tmp_path)
    assert (found.names, found.classes, found.labels.tolist()) == (("a", "b", "c"), ("daisy", "rose"), [0, 0, 1])
    assert found.probabilities[0].tolist() == pytest.approx([0.1, 0.9])
    suspects = label_errors.suspected_labels(found)
    label_errors.write_suspects(tmp_path / "suspects.csv", suspects)
    assert label_errors.read_suspects(tmp_path / "suspects.csv") == [("a", "daisy", "rose", 0.1, 0.9)]


@pytest.mark.parametrize("name", ["../private.jpg", "rose/../../private.jpg", "/home/somebody/private.jpg"])
def test_a_suspect_outside_of_the_photos_is_refused(tmp_path, name):
    """The second notebook draws the suspects of a folder of results, which may be somebody else's."""
    label_errors.write_suspects(tmp_path / "suspects.csv", [label_errors.Suspect(name, "daisy", "rose", 0.1, 0.9)])
    with pytest.raises(RunError, match=r"private\.jpg leads out of the folder of photos"):
        label_errors.read_suspects(tmp_path / "suspects.csv")


def test_a_label_is_suspected_where_another_class_is_more_certain_than_usual():
    names, labels = tuple(f"x{i}" for i in range(8)), torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    probabilities = torch.tensor([[0.9, 0.1]] * 3 + [[0.99, 0.01]] + [[0.1, 0.9]] * 4, dtype=torch.float64)
    (found,) = label_errors.suspected_labels(StoredPredictions(names, ("rose", "tulip"), probabilities, labels))
    assert (found.name, found.label, found.predicted) == ("x3", "tulip", "rose")
    assert found.predicted_probability == 0.99


def test_nothing_there_and_damage_are_named(tmp_path):
    with pytest.raises(RunError, match="which a cross-validation writes"):
        label_errors.read_fold_predictions(tmp_path)
    with pytest.raises(RunError, match="--suspects writes it"):
        label_errors.read_suspects(tmp_path / "suspects.csv")
    write(tmp_path / "fold-0-seed-0" / "predictions.csv", "a,daisy,rose,zero,1.0")
    with pytest.raises(RunError, match=r"predictions\.csv is damaged"):
        label_errors.read_fold_predictions(tmp_path)
