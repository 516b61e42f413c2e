"""The moving average of the weights is validated and saved; a photo and its mirror image are averaged."""

import pytest
import torch
from torch import nn

from helpers.common import tensors
from helpers.evaluation.predictions import predict
from helpers.models.averaging import WeightEMA, with_tta
from tests.tiny import tiny_fit, tiny_loaders, tiny_model, tiny_recipe


def test_it_begins_with_the_weights_and_then_follows_slowly():
    model = nn.Linear(1, 1, bias=False)
    average = WeightEMA(model, 0.75)
    expected = None
    for value in (1.0, 2.0, 4.0):
        nn.init.constant_(model.weight, value)
        average.update()
        expected = value if expected is None else 0.75 * expected + 0.25 * value
        assert average.module.weight.item() == pytest.approx(expected)


def test_statistics_are_averaged_too_and_counters_stay_whole_numbers():
    model = nn.BatchNorm1d(2)
    average = WeightEMA(model, 0.5)
    for _ in range(3):
        model(torch.randn(8, 2) + 5)
        average.update()
    assert 0 < average.module.running_mean[0] < model.running_mean[0]
    assert average.module.num_batches_tracked.dtype == torch.int64


def test_the_counterpart_of_a_part_is_found():
    model = tiny_model()
    average = WeightEMA(model, 0.5)
    assert average.counterpart(model) is average.module
    assert average.counterpart(model[0]) is average.module[0]


def test_the_averaged_weights_are_validated_and_saved(tmp_path):
    recipe = tiny_recipe(ema_decay=0.9, epochs=2)
    model = tiny_model()
    result = tiny_fit(tmp_path, recipe, model=model)
    saved = tensors.load_tensors(tmp_path / "best_model.pth")
    assert not torch.equal(saved["0.weight"], model[0].weight)
    model.load_state_dict(saved)
    assert predict(model, tiny_loaders(recipe).val, torch.float32).accuracy == result.history.best.val_accuracy


class Left(nn.Module):
    """One logit: how bright the left half is."""

    def forward(self, images):
        return images[..., : images.shape[-1] // 2].mean((1, 2, 3))[:, None]


def test_without_views_the_model_is_used_as_it_is():
    model = Left()
    assert with_tta(model, tiny_recipe()) is model


def test_mirrored_answers_are_averaged():
    images = torch.zeros(2, 3, 64, 64)
    images[0, ..., :32] = 1
    flipped = with_tta(Left(), tiny_recipe(test_flip=True))(images)
    assert flipped[:, 0].tolist() == pytest.approx([0.5, 0])
