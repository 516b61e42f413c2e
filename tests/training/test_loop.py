"""The loop: it learns, repeats itself, continues where it stopped, and writes the published log."""

import hashlib
import itertools
import re

import pytest
import torch
from torch import nn

from helpers.common.errors import RunError
from helpers.recipe import Recipe
from helpers.runs.history import History
from helpers.training import loop, optimization
from tests.tiny import a_run, tiny_feeds, tiny_model, tiny_recipe


def train(folder, recipe, model=None, log=lambda _: None):
    model = model or tiny_model()
    optimizer = optimization.make_optimizer(model, recipe)
    schedule = optimization.make_schedule(optimizer, recipe)
    run = a_run(folder, recipe)
    return loop.fit(model, tiny_feeds(recipe), optimization.make_loss(), optimizer, schedule, run, log), model


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_learns_a_tiny_set_by_heart(tmp_path):
    history, _ = train(tmp_path, tiny_recipe(epochs=12, schedule="cosine"))
    assert history.best.val_accuracy == 1.0
    assert history[-1].train_loss < 0.3 * history[0].train_loss


def test_the_same_run_twice_is_the_same_to_the_bit(tmp_path):
    for name in ("first", "second"):
        train(tmp_path / name, tiny_recipe())
    for file in ("history.csv", "best_model.pth"):
        assert digest(tmp_path / "first" / file) == digest(tmp_path / "second" / file)


def test_another_seed_is_another_run(tmp_path):
    for seed in (0, 1):
        train(tmp_path / str(seed), tiny_recipe(seed=seed))
    assert digest(tmp_path / "0" / "history.csv") != digest(tmp_path / "1" / "history.csv")


@pytest.mark.parametrize("stop_after", [1, 2])
def test_an_interrupted_run_continues_to_the_same_bits(tmp_path, stop_after):
    train(tmp_path / "whole", tiny_recipe())

    class StoppedError(Exception):
        pass

    def log(line):
        if line.startswith(f"Epoch {stop_after}/"):
            raise StoppedError

    with pytest.raises(StoppedError):
        train(tmp_path / "parts", tiny_recipe(), log=log)
    history, _ = train(tmp_path / "parts", tiny_recipe(), model=tiny_model(seed=99))
    assert [row.epoch for row in history] == [0, 1, 2]
    for file in ("history.csv", "best_model.pth"):
        assert digest(tmp_path / "whole" / file) == digest(tmp_path / "parts" / file)


def test_the_log_is_the_published_one_character_by_character(tmp_path):
    lines = []
    train(tmp_path, tiny_recipe(epochs=25, lr=1e-3), log=lines.append)
    text = "\n".join(lines) + "\n"
    rates = [0.001] * 7 + [0.0001] * 7 + [0.00001] * 7 + [0.000001] * 4
    loss = r"\d\.\d{4}"
    pattern = "".join(
        rf"Epoch {epoch}/24\n-----\nLearning Rate: {rate:.6f}\n"
        rf"train Loss: {loss} Acc: {loss}\nval Loss: {loss} Acc: {loss}\n\n"
        for epoch, rate in enumerate(rates)
    )
    assert re.fullmatch(pattern + r"Training complete in \d+m \d+s\nBest val Acc: [01]\.\d{6}\n", text)


def test_the_learning_rate_of_all_25_published_epochs():
    expected = [1e-3] * 7 + [1e-4] * 7 + [1e-5] * 7 + [1e-6] * 4
    assert optimization.learning_rates(Recipe.from_preset("seed")) == pytest.approx(expected)


def test_the_cosine_warms_up_and_falls():
    rates = optimization.learning_rates(
        Recipe.from_preset("seed", schedule="cosine", warmup_epochs=2, epochs=10, lr=0.3)
    )
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert all(a > b for a, b in itertools.pairwise(rates[2:]))
    assert 0 < rates[-1] < 0.03


def test_the_optimizer_is_the_published_one():
    (group,) = optimization.make_optimizer(nn.Linear(2, 2), Recipe.from_preset("seed")).param_groups
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (1e-3, 0.9, True, 5e-4)


def test_frozen_parameters_are_left_out_of_the_optimizer():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    (group,) = optimization.make_optimizer(model, Recipe.from_preset("seed")).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model[1].parameters()]


def test_one_step_by_hand():
    """Weight 1, photo 2, no momentum: the gradient of cross-entropy is known in closed form."""
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    recipe = Recipe.from_preset("seed", momentum=0.0, nesterov=False, weight_decay=0.0, lr=0.1)
    batches = [(torch.tensor([[2.0]]), torch.tensor([0]))]
    optimizer = optimization.make_optimizer(model, recipe)
    loss, accuracy = loop.train_one_epoch(model, batches, optimization.make_loss(), optimizer, torch.float32)
    assert (round(loss, 6), accuracy) == (0.693147, 1.0)  # ln 2: both logits are 2
    assert model.weight.flatten().tolist() == pytest.approx([1.1, 0.9])  # 1 ± 0.1 · 0.5 · 2


def test_metrics_are_sums_over_photos_not_means_of_batch_means():
    """Three photos in one batch, one in the next: each photo counts the same."""
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [0.0]]))
    recipe = Recipe.from_preset("seed", lr=1e-12)
    batches = [
        (torch.tensor([[0.0], [0.0], [0.0]]), torch.tensor([0, 0, 1])),
        (torch.tensor([[10.0]]), torch.tensor([1])),
    ]
    optimizer = optimization.make_optimizer(model, recipe)
    loss, accuracy = loop.train_one_epoch(model, batches, optimization.make_loss(), optimizer, torch.float32)
    assert loss == pytest.approx((3 * 0.6931472 + 10.0000454) / 4)
    assert accuracy == 0.5


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_epoch(tmp_path):
    with pytest.raises(RunError, match="no longer a number: lower lr"):
        train(tmp_path, tiny_recipe(lr=1e30, epochs=5))
    if (tmp_path / "history.csv").exists():
        assert all(row.train_loss < 1e30 for row in History.read(tmp_path))


def test_every_epoch_leaves_history_best_model_and_checkpoint(tmp_path):
    history, _ = train(tmp_path, tiny_recipe())
    assert {"history.csv", "best_model.pth", "best_model.json", "last.ckpt"} <= {p.name for p in tmp_path.iterdir()}
    assert History.read(tmp_path) == history


def test_the_history_knows_its_best_epoch_and_its_last_five():
    def row(epoch, accuracy):
        return loop.Epoch(epoch, 0.1, 1.0, 0.5, 1.0, accuracy)

    history = History([row(i, a) for i, a in enumerate([0.1, 0.9, 0.9, 0.6, 0.7, 0.8, 0.5])])
    assert history.best.epoch == 1
    assert history.last_five_mean == pytest.approx((0.9 + 0.6 + 0.7 + 0.8 + 0.5) / 5)
