"""Signals save first, and a loss that is not finite names its photos."""

import signal
from dataclasses import replace

import pytest
import torch
from tqdm import tqdm

from helpers.common import progress
from helpers.common.errors import RunError
from helpers.common.progress import TrainingBar
from helpers.training import fit, make_optimizer, make_schedule
from tests.faults.kills import digests
from tests.tiny import a_run, stop_at, tiny_fit, tiny_loaders, tiny_model, tiny_recipe


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    tiny_fit(folder, tiny_recipe())
    return digests(folder)


@pytest.mark.parametrize("step", range(9))
def test_ctrl_c_after_any_step_saves_that_step(tmp_path, whole, step):
    lines = []
    with pytest.raises(
        KeyboardInterrupt, match=r"SIGINT: saved at epoch \d, step \d; the same run continues from there"
    ):
        tiny_fit(tmp_path, tiny_recipe(), lines.append, stop_at(step))
    taken, lines = [], []
    tiny_fit(tmp_path, tiny_recipe(), lines.append, lambda *_: taken.append(1))
    assert len(taken) == 9 - (step + 1)  # none is repeated
    assert lines[0].startswith("resuming at") or step == 8
    assert digests(tmp_path) == whole


def test_the_bar_is_closed_before_the_interruption_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(TrainingBar, "close", lambda self: said.append("closed"))
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=lambda *_: (said.clear(), signal.raise_signal(signal.SIGINT)))
    assert said[0] == "closed"
    starts = []
    monkeypatch.setattr(progress, "bar", lambda **options: starts.append(options["initial"]) or tqdm(disable=True))
    lines = []
    tiny_fit(tmp_path, tiny_recipe(), lines.append)
    assert lines[0] == "resuming at epoch 0, step 1 of 3"
    assert starts == [8]  # photos, of 3 * 21


def test_ctrl_c_twice_stops_at_once(tmp_path):
    def twice(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=twice)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_are_handled_as_before_once_training_is_over(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_loss_that_is_not_finite_names_epoch_step_and_photos_and_keeps_the_last_good_epoch(tmp_path, whole):
    recipe, names = tiny_recipe(), tuple(f"class/{i}.jpg" for i in range(21))
    loaders = replace(tiny_loaders(recipe), train_names=names)
    model = tiny_model()
    optimizer = make_optimizer(model, recipe)
    calls = []

    class CrossEntropyLoss(torch.nn.CrossEntropyLoss):
        def forward(self, logits, labels):
            calls.append(labels)
            loss = super().forward(logits, labels)
            return (
                loss * float("nan") if len(calls) == 6 else loss
            )  # 3 steps and a validation per epoch: epoch 1, step 1

    with pytest.raises(RunError, match=r"It was nan in epoch 1, step 1, photos class/\d+\.jpg, .* and 4 more") as error:
        fit(
            model,
            loaders,
            CrossEntropyLoss(),
            optimizer,
            make_schedule(optimizer, recipe),
            a_run(tmp_path, recipe),
            lambda _: None,
        )
    assert len(calls) == 6
    for name in str(error.value).split("photos ")[1].split(" and ")[0].split(", "):
        assert loaders.train.labels[names.index(name)] in calls[5]
    tiny_fit(tmp_path, recipe)
    assert digests(tmp_path) == whole
