"""The moving average of the weights, and that it is what is validated, saved and continued."""

import signal

import pytest
import torch
from torch import nn

from helpers.common import tensors
from helpers.evaluation.predictions import predict
from helpers.models.averaging import WeightEMA
from tests.faults.kills import digests
from tests.tiny import tiny_fit, tiny_loaders, tiny_model, tiny_recipe
from tests.training.test_checkpointing import stop_at


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


@pytest.mark.parametrize("step", [0, 2, 4, 7])
@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.8},
        {"mixup": 0.4, "cutmix": 1.0, "optimizer": "adamw"},
        {"ema_decay": 0.8, "schedule": "onecycle", "label_smoothing": 0.1},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_interrupted_it_ends_as_if_undisturbed(tmp_path, changes, step):
    recipe = tiny_recipe(**changes)
    tiny_fit(tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path / "stopped", recipe, after_step=stop_at(step, signal.SIGINT))
    tiny_fit(tmp_path / "stopped", recipe)
    assert digests(tmp_path / "stopped") == digests(tmp_path / "whole")
