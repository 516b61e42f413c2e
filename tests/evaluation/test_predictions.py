"""Predictions: of every photo once, and the same again when read from ``predictions.csv``."""

import pytest
import torch
from torch import nn

from helpers.common.errors import RunError
from helpers.evaluation.predictions import Predictions, predict, read_predictions, save_predictions


def test_probabilities_sum_to_one():
    predictions = Predictions(torch.eye(3)[[0, 0, 1]] * 5, torch.tensor([0, 1, 2]))
    assert predictions.probabilities.sum(1).tolist() == pytest.approx([1.0] * 3)


class _Feed:
    """Seven photos in batches of three: the last batch is ragged."""

    images = torch.arange(7.0).view(7, 1)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    batch_size = 3

    def epoch(self, epoch=0):
        yield from zip(self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True)


@pytest.mark.parametrize("training", [True, False])
def test_predict_sees_every_photo_once_and_restores_the_mode(training):
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(1, 2)).train(training)
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[-1.0], [1.0]]))
        model[1].bias.copy_(torch.tensor([3.5, -3.5]))
    predictions = predict(model, _Feed(), torch.float32)
    assert predictions.predicted.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert predictions.accuracy == 1.0
    assert model.training is training


def test_what_was_saved_is_read(tmp_path):
    logits = torch.tensor([[20.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    save_predictions(
        tmp_path, Predictions(logits, torch.tensor([0, 1, 1])), ["x/1.jpg", "y/2.jpg", "ü, y.jpg"], ("x", "y")
    )
    assert (tmp_path / "predictions.csv").read_text().splitlines()[:2] == [
        "name,class,predicted,x,y",
        "x/1.jpg,x,x,1,2.06115e-09",
    ]
    found = read_predictions(tmp_path)
    assert (found.names, found.classes, found.labels.tolist()) == (
        ("x/1.jpg", "y/2.jpg", "ü, y.jpg"),
        ("x", "y"),
        [0, 1, 1],
    )
    again = found.as_predictions().logits
    # Differences of logits come back, also where one class is all but certain.
    assert (again[:, 0] - again[:, 1]).tolist() == pytest.approx([20, -1, 3], abs=1e-3)


@pytest.mark.parametrize(
    "text",
    ["", "name,class,predicted,x,y", "name,class,predicted,x,y\na,z,x,1,0", "name,class,predicted,x,y\na,x,x,1,1"],
)
def test_a_damaged_file_is_named(tmp_path, text):
    with pytest.raises(RunError, match=r"predictions\.csv does not exist: run the notebook"):
        read_predictions(tmp_path)
    (tmp_path / "predictions.csv").write_text(text)
    with pytest.raises(RunError, match=r"predictions\.csv is damaged"):
        read_predictions(tmp_path)
