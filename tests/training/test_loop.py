"""The loop: it learns, is reproducible, resumes where it stopped, and writes the published log."""

import ast
import hashlib
import inspect
import re
import textwrap

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.common import distributed, tensors
from helpers.common.errors import RunError
from helpers.evaluation.predictions import predict
from helpers.models.averaging import WeightEMA
from helpers.recipe import Recipe
from helpers.runs.history import History
from helpers.training import loop, optimization
from helpers.training.setup import Extras
from tests.tiny import a_run, tiny_fit, tiny_loaders, tiny_model, tiny_recipe


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_learns_a_tiny_set_by_heart(tmp_path):
    history = tiny_fit(tmp_path, tiny_recipe(epochs=12, schedule="cosine")).history
    assert history.best.val_accuracy == 1.0
    assert history[-1].train_loss < 0.3 * history[0].train_loss


def test_the_same_run_twice_is_bit_identical(tmp_path):
    for name in ("first", "second"):
        tiny_fit(tmp_path / name, tiny_recipe())
    for file in ("history.csv", "best_model.pth"):
        assert digest(tmp_path / "first" / file) == digest(tmp_path / "second" / file)


def test_another_seed_is_another_run(tmp_path):
    for seed in (0, 1):
        tiny_fit(tmp_path / str(seed), tiny_recipe(seed=seed))
    assert digest(tmp_path / "0" / "history.csv") != digest(tmp_path / "1" / "history.csv")


@pytest.mark.parametrize("stop_after", [1, 2])
def test_an_interrupted_run_resumes_bit_identically(tmp_path, stop_after):
    tiny_fit(tmp_path / "whole", tiny_recipe())

    class StoppedError(Exception):
        pass

    def log(line):
        if line.startswith(f"Epoch {stop_after}/"):
            raise StoppedError

    with pytest.raises(StoppedError):
        tiny_fit(tmp_path / "parts", tiny_recipe(), log=log)
    history = tiny_fit(tmp_path / "parts", tiny_recipe(), model=tiny_model(seed=99)).history
    assert [row.epoch for row in history] == [0, 1, 2]
    for file in ("history.csv", "best_model.pth"):
        assert digest(tmp_path / "whole" / file) == digest(tmp_path / "parts" / file)


def test_the_log_is_the_published_one_character_by_character(tmp_path):
    lines = []
    tiny_fit(tmp_path, tiny_recipe(epochs=25, lr=1e-3), log=lines.append)
    text = "\n".join(lines) + "\n"
    rates = [0.001] * 7 + [0.0001] * 7 + [0.00001] * 7 + [0.000001] * 4
    loss = r"\d\.\d{4}"
    pattern = "".join(
        rf"Epoch {epoch}/24\n-----\nLearning Rate: {rate:.6f}\n"
        rf"train Loss: {loss} Acc: {loss}\nval Loss: {loss} Acc: {loss}\n\n"
        for epoch, rate in enumerate(rates)
    )
    assert re.fullmatch(pattern + r"Training complete in \d+m \d+s\nBest val Acc: [01]\.\d{6}\n", text)


def test_one_step_by_hand():
    """Weight 1, photo 2, no momentum: the gradient of cross-entropy is known in closed form."""
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    recipe = Recipe.from_preset("published", momentum=0.0, nesterov=False, weight_decay=0.0, lr=0.1)
    batches = [(torch.tensor([[2.0]]), torch.tensor([0]))]
    optimizer = optimization.make_optimizer(model, recipe)
    loss, accuracy = loop.train_one_epoch(model, batches, optimization.make_loss(), optimizer)
    assert (round(loss, 6), accuracy) == (0.693147, 1.0)  # ln 2: both logits are 2
    assert model.weight.flatten().tolist() == pytest.approx([1.1, 0.9])  # 1 ± 0.1 · 0.5 · 2


@pytest.mark.parametrize(("clip_norm", "moved"), [(0.0, 5.0), (10.0, 5.0), (1.0, 1.0)])
def test_long_gradients_are_clipped_and_short_ones_are_not(clip_norm, moved):
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    batches = [(torch.tensor([[3.0, 4.0]]), torch.tensor([0]))]  # the gradient is the photo, of length 5
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    loop.train_one_epoch(model, batches, lambda logits, _: logits.sum(), optimizer, Extras(clip_norm=clip_norm))
    assert torch.allclose(before - model.weight, moved * torch.tensor([[0.6, 0.8]]), atol=1e-5)


def test_the_average_is_updated_after_each_step():
    model = nn.Linear(1, 2)
    steps, ema = [], WeightEMA(model, 0.5)
    ema.update = lambda: steps.append(model.bias.detach().clone())
    batches = [(torch.ones(2, 1), torch.tensor([0, 1])), (torch.ones(1, 1), torch.tensor([0]))]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loop.train_one_epoch(model, batches, nn.CrossEntropyLoss(), optimizer, Extras(ema=ema))
    assert len(steps) == 2
    assert torch.equal(steps[1], model.bias)


def test_nothing_changes_weights_out_of_sight():
    optimizer = optimization.make_optimizer(tiny_model(), tiny_recipe(clip_norm=1.0, ema_decay=0.9))
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_fit_is_short_enough_to_be_read_aloud():
    for function in (loop.fit, loop.train_one_epoch):
        source = textwrap.dedent(inspect.getsource(function))
        body = ast.parse(source).body[0].body[1:]  # without the docstring
        assert body[-1].end_lineno - body[0].lineno < 40


def test_fit_returns_what_it_found_and_leaves_the_run_as_it_was(tmp_path):
    recipe = tiny_recipe(ema_decay=0.9)
    run, model = a_run(tmp_path, recipe), tiny_model()
    before = dict(vars(run))
    optimizer = optimization.make_optimizer(model, recipe)
    schedule, loaders = optimization.make_schedule(optimizer, recipe), tiny_loaders(recipe)
    result = loop.fit(model, loaders, optimization.make_loss(), optimizer, schedule, run, lambda _: None)
    assert vars(run) == before
    assert len(result.epoch_seconds) == len(result.history) == 3
    assert 0 < result.saving_seconds < sum(result.epoch_seconds) + 10
    assert result.last_model is not model  # the averaged twin
    predictions = predict(result.last_model, loaders.val, torch.float32)
    assert torch.equal(predictions.logits, result.last_predictions.logits)
    assert predictions.accuracy == result.history[-1].val_accuracy
    again = tiny_fit(tmp_path, recipe)  # finished already: nothing is trained
    assert torch.equal(again.last_predictions.logits, result.last_predictions.logits)
    assert again.epoch_seconds == result.epoch_seconds


def test_the_time_is_never_sixty_seconds(tmp_path, monkeypatch):
    lines = []
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    state = tensors.load_tensors(tmp_path / "last.ckpt")
    tensors.save_tensors(tmp_path / "last.ckpt", state | {"epoch_seconds": [119.7]})
    tiny_fit(tmp_path, tiny_recipe(epochs=1), lines.append)
    assert lines == [f"Training complete in 2m 0s\nBest val Acc: {state['history'][0][-1]:.6f}"]


class NoFloat64(TorchDispatchMode):
    """Refuses float64, as Apple's GPUs do."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        assert not (isinstance(result, torch.Tensor) and result.dtype == torch.float64), function
        return result


def test_sums_work_without_float64(monkeypatch):
    assert distributed.sum_dtype(torch.device("mps")) == torch.float32
    assert distributed.sum_dtype(torch.device("cuda")) == distributed.sum_dtype(torch.device("cpu")) == torch.float64
    monkeypatch.setattr(distributed, "sum_dtype", lambda device: torch.float32)
    model, batches = nn.Linear(1, 2), [(torch.ones(2, 1), torch.tensor([0, 1]))]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with NoFloat64():
        loss, accuracy = loop.train_one_epoch(model, batches, nn.CrossEntropyLoss(), optimizer)
    assert loss > 0
    assert accuracy == 0.5


def test_metrics_are_sums_over_photos_not_means_of_batch_means():
    """Three photos in one batch, one in the next: each photo counts the same."""
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [0.0]]))
    recipe = Recipe.from_preset("published", lr=1e-12)
    batches = [
        (torch.tensor([[0.0], [0.0], [0.0]]), torch.tensor([0, 0, 1])),
        (torch.tensor([[10.0]]), torch.tensor([1])),
    ]
    optimizer = optimization.make_optimizer(model, recipe)
    loss, accuracy = loop.train_one_epoch(model, batches, optimization.make_loss(), optimizer)
    assert loss == pytest.approx((3 * 0.6931472 + 10.0000454) / 4)
    assert accuracy == 0.5


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_epoch(tmp_path):
    with pytest.raises(RunError, match="is not finite: lower lr"):
        tiny_fit(tmp_path, tiny_recipe(lr=1e30, epochs=5))
    if (tmp_path / "history.csv").exists():
        assert all(row.train_loss < 1e30 for row in History.read(tmp_path))


def test_every_epoch_leaves_history_best_model_and_checkpoint(tmp_path):
    history = tiny_fit(tmp_path, tiny_recipe()).history
    assert {"history.csv", "best_model.pth", "best_model.json", "last.ckpt"} <= {p.name for p in tmp_path.iterdir()}
    assert History.read(tmp_path) == history
