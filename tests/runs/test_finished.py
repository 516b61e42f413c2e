"""A run's folder is read for what it holds; what was edited, lost or made by another version is named."""

import json

import pytest
import torch

from helpers.common.errors import RunError
from helpers.evaluation.predictions import Predictions
from helpers.runs.finished import read_run
from helpers.runs.history import Epoch, History
from helpers.runs.recipe_file import save_recipe
from tests.tiny import a_run, tiny_recipe, tiny_results


@pytest.fixture
def folder(tmp_path):
    run = a_run(tmp_path / "a", tiny_recipe())
    run.save_history(History([Epoch(0, 0.05, 0.7, 0.5, 0.6, 2 / 3)]))
    logits = torch.tensor([[20.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    run.save_predictions(Predictions(logits, torch.tensor([0, 1, 1])), ["x/1.jpg", "y/2.jpg", "y/3.jpg"], ("x", "y"))
    save_recipe(run.folder, run.recipe)
    (run.folder / "environment.json").write_text('{"python": "3.11"}')
    run.save_results(tiny_results())
    return run.folder


def test_everything_is_read_back(folder):
    run = read_run(folder)
    assert run.notes == ()
    assert run.recipe == tiny_recipe()
    assert run.history.best.val_accuracy == 2 / 3
    assert run.environment == {"python": "3.11"}
    assert run.predictions.names == ("x/1.jpg", "y/2.jpg", "y/3.jpg")
    assert run.predictions.labels.tolist() == [0, 1, 1]


def test_a_number_edited_by_hand_is_noticed(folder):
    path = folder / "results.json"
    path.write_text(path.read_text().replace('"val_photos": 3', '"val_photos": 4'))
    assert read_run(folder).notes == (f"{path} was changed after the run wrote it: its numbers are not the run's",)


def test_other_layout_of_the_same_numbers_is_no_change(folder):
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert read_run(folder).notes == ()


@pytest.mark.parametrize("name", ["history.csv", "predictions.csv"])
def test_files_behind_the_results_are_watched_too(folder, name):
    (folder / name).write_text((folder / name).read_text() + "\n")
    assert f"{name} was changed after the run wrote it" in read_run(folder).notes[0]
    (folder / name).unlink()
    assert f"{name} was removed after the run wrote it" in read_run(folder).notes[0]


def test_results_without_checksums_are_said_to_be_so(folder):
    (folder / "results.json").write_text(json.dumps(tiny_results()))
    assert "has no checksums: it was edited by hand" in read_run(folder).notes[0]


@pytest.mark.parametrize("name", ["recipe.json", "history.csv", "predictions.csv", "environment.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_what_is_damaged_is_named_and_the_rest_is_read(folder, name, content):
    (folder / name).write_text(content)
    run = read_run(folder)
    assert any(name in note for note in run.notes)
    parts = {"recipe.json": run.recipe, "predictions.csv": run.predictions, "environment.json": run.environment}
    assert name not in parts or not parts[name]
    assert all(value for other, value in parts.items() if other != name)


def test_a_recipe_of_another_version_is_used_as_far_as_it_is_known(folder):
    values = json.loads((folder / "recipe.json").read_text())
    del values["cutmix"]
    (folder / "recipe.json").write_text(json.dumps(values | {"wings": 2}))
    run = read_run(folder)
    assert run.recipe == tiny_recipe()  # cutmix is as its default says
    assert run.notes == (f"{folder / 'recipe.json'} has settings that this version does not: wings",)


def test_what_is_no_finished_run_is_refused(folder, tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="is not the folder of a run"):
        read_run(tmp_path / "empty")
    (folder / "results.json").write_text("{}")
    with pytest.raises(RunError, match="of another version: 'run' is missing"):
        read_run(folder)
    (folder / "results.json").write_text('{"run":')
    with pytest.raises(RunError, match=r"results\.json is damaged"):
        read_run(folder)
    (folder / "results.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        read_run(folder)
