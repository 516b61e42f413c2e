"""What a search found is a recipe like any other."""

import json

import pytest

from helpers.commands import main
from helpers.common.errors import ParameterError, RunError
from helpers.comparison import recipes, search_space
from helpers.recipe import Recipe
from tests.comparison.test_results import SEARCH
from tests.conftest import ROOT


def test_the_winner_is_the_preset_with_the_best_finished_trials_settings():
    found = search_space.winner(SEARCH | {"changed": {"clip_norm": 2.0}}, backbone="mobilenet_v2")
    expected = {"lr": 0.01, "dropout": 0.5, "clip_norm": 2.0, "schedule": "cosine", "backbone": "mobilenet_v2"}
    assert found == Recipe.from_preset("best", **expected)
    with pytest.raises(ParameterError, match="no trial of the search is finished"):
        search_space.winner(SEARCH | {"trials": SEARCH["trials"][:1]})


def test_a_winner_that_used_a_setting_since_removed_is_refused_by_name():
    trial = {"trial": 14, "state": "complete", "accuracy": 0.99, "settings": {"layer_decay": 0.7}}
    with pytest.raises(ParameterError, match=r"trial 14, uses layer_decay, which is no longer a setting"):
        search_space.winner(SEARCH | {"trials": [trial]})
    committed = search_space.read(ROOT / "report" / "results" / "trials.json")  # what it tried can still be shown
    assert "layer_decay" in search_space.finished(committed)[0]["settings"]


def test_it_is_a_row_that_can_be_chosen():
    seed = Recipe.from_preset("seed", backbone="mobilenet_v2")
    table = recipes.recipes_to_compare(seed, SEARCH)
    assert table["searched"].lr == 0.01
    assert "searched" not in recipes.recipes_to_compare(seed)
    assert (
        recipes.recipes_to_compare(Recipe.from_preset("seed", backbone="squeezenet1_1"), SEARCH)[
            "searched"
        ].linear_probe_first
        is False
    )


def test_the_command_takes_the_file(grow, tmp_path, capsys):
    (tmp_path / "trials.json").write_text(json.dumps(SEARCH))
    command = ["--data", str(grow({"rose": 8, "tulip": 8})), "--folds", "2", "--image-size", "32", "--epochs", "1"]
    command += ["-p", "work_dir", str(tmp_path), "-p", "backbone", "squeezenet1_1", "-p", "weights", "none"]
    assert main(["compare", *command, "--rows", "seed", "--searched", str(tmp_path / "trials.json")]) == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[0] for line in lines] == ["recipe", "seed", "searched"]
    assert main(["compare", *command, "--rows", "searched"]) == 1
    assert "--rows: there is no 'searched'" in capsys.readouterr().err


def test_what_is_no_search_is_named(tmp_path):
    with pytest.raises(RunError, match=r"trials\.json is missing, damaged, or of another version .* --trials 0"):
        search_space.read(tmp_path / "trials.json")
