"""The history of a training."""

import pytest

from helpers.data.sources.locate import open_dataset
from helpers.data.split import read_split
from helpers.recipe import Recipe
from helpers.runs.environment import read_environment
from helpers.runs.history import Epoch, History
from helpers.runs.recipe_file import random_weights_history, save_recipe
from helpers.runs.run import open_run
from helpers.training import assemble, fit
from tests.conftest import ROOT


def test_the_history_knows_its_best_epoch_and_its_last_five():
    def row(epoch, accuracy):
        return Epoch(epoch, 0.1, 1.0, 0.5, 1.0, accuracy)

    history = History([row(i, a) for i, a in enumerate([0.1, 0.9, 0.9, 0.6, 0.7, 0.8, 0.5])])
    assert history.best.epoch == 1
    assert history.last_five_mean == pytest.approx((0.9 + 0.6 + 0.7 + 0.8 + 0.5) / 5)


def test_the_same_recipe_from_random_weights_is_found_among_the_committed_runs(tmp_path):
    demo = Recipe.from_preset("demo")
    for name, changes in {"a": {"lr": 0.5}, "b": {}, "c": {"weights": "none", "run": "c"}}.items():
        folder = tmp_path / "report" / "results" / name
        folder.mkdir(parents=True)
        save_recipe(folder, demo.with_settings(**changes))
        History([Epoch(0, 0.1, 1.0, 0.5, 1.0, ord(name) / 1000)]).save(folder)
    assert random_weights_history(demo.with_settings(device="cpu"), tmp_path)[0].val_accuracy == ord("c") / 1000
    for other in ({"epochs": 3}, {"seed": 1}, {"weights": "none"}):
        assert random_weights_history(demo.with_settings(**other), tmp_path) is None


class EnoughError(Exception):
    """Raised after the first epoch."""


def test_the_demo_has_a_committed_run_from_random_weights_and_its_first_epoch_comes_out_again(tmp_path):
    """The notebook sets it against the run from ImageNet's weights; without it, the figure would have one line."""
    stored = ROOT / "report" / "results" / "demo-mobilenet_v2-random"
    demo = Recipe.from_preset("demo", weights="none", work_dir=str(tmp_path))
    committed, new = random_weights_history(Recipe.from_preset("demo"), ROOT), []
    assert committed == History.read(stored)
    audit = open_dataset(demo, ROOT)
    assert audit.fingerprint == read_environment(stored)["data_fingerprint"]  # today's garden

    def stop(history):
        new.extend(history)
        raise EnoughError

    run = open_run(demo, ROOT, tmp_path / "run")
    with pytest.raises(EnoughError):
        fit(*assemble(run, audit, read_split(stored / "split.csv", audit.photos)), run, lambda _: None, show=stop)
    assert new[0].train_loss == pytest.approx(committed[0].train_loss, rel=0.03)  # machines and precisions differ
    assert new[0].train_accuracy == pytest.approx(committed[0].train_accuracy, abs=0.03)
