"""Run folders: named, never overwritten, continued when unfinished."""

import dataclasses
import json
import re

import pytest
import torch

from helpers.common import device, distributed, files
from helpers.common.errors import ParameterError, RunError
from helpers.recipe import Recipe
from helpers.runs import environment, locks
from helpers.runs.folders import default_name, plan_run, project_root
from helpers.runs.run import open_run
from tests.tiny import held_elsewhere

DEMO = Recipe.from_preset("demo", device="cpu")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "demo-mobilenet_v2"),
        ({"dataset": "/data/my flowers.tar.gz"}, "my_flowers-mobilenet_v2-demo"),
        ({"dataset": "photos/"}, "photos-mobilenet_v2-demo"),
        ({"dataset": "C:\\photos", "backbone": "resnet18"}, "photos-resnet18-demo"),
    ],
)
def test_names_are_readable(changes, name):
    assert default_name(Recipe.from_preset("demo", **changes)) == name


def test_a_finished_run_is_never_written_to_again(tmp_path):
    first = open_run(DEMO, tmp_path)
    first.save_results({"done": True})
    second = open_run(DEMO, tmp_path)
    assert (first.folder.name, second.folder.name) == ("demo-mobilenet_v2", "demo-mobilenet_v2-2")


def test_an_unfinished_run_of_the_same_recipe_is_continued(tmp_path):
    first = open_run(DEMO, tmp_path)
    assert plan_run(DEMO, tmp_path) == first.folder
    other = Recipe.from_preset("demo", device="cpu", lr=0.5)
    assert plan_run(other, tmp_path).name == "demo-mobilenet_v2-2"
    fresh = Recipe.from_preset("demo", device="cpu", resume=False)
    assert plan_run(fresh, tmp_path).name == "demo-mobilenet_v2-2"


def test_a_run_begun_before_a_setting_existed_is_continued(tmp_path):
    path = open_run(DEMO, tmp_path).folder / "recipe.json"
    settings = json.loads(path.read_text())
    del settings["cutmix"]
    path.write_text(json.dumps(settings))
    assert plan_run(DEMO, tmp_path) == path.parent
    assert plan_run(dataclasses.replace(DEMO, cutmix=1.0), tmp_path) != path.parent  # the default was in effect


def test_a_folder_with_a_damaged_recipe_is_left_alone(tmp_path, capsys):
    folder = open_run(DEMO, tmp_path).folder
    (folder / "recipe.json").write_text("{")
    assert plan_run(DEMO, tmp_path).name == "demo-mobilenet_v2-2"
    assert re.search(r"recipe\.json is damaged .* left alone", capsys.readouterr().err)


def test_the_recipe_is_on_disk_from_the_start(tmp_path):
    run = open_run(DEMO, tmp_path)
    assert Recipe(**json.loads((run.folder / "recipe.json").read_text())) == DEMO


def test_of_several_processes_the_first_alone_writes_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    assert list(open_run(DEMO, tmp_path).folder.iterdir()) == []


def test_a_work_dir_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"file/runs.* cannot be written .*choose another folder with work_dir"):
        open_run(Recipe.from_preset("demo", work_dir="file/runs"), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ParameterError, match=r"device = 'cuda'.*Use device = auto"):
        open_run(Recipe.from_preset("demo", device="cuda"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_odd_devices_are_refused(tmp_path, device):
    with pytest.raises(ParameterError, match=f"device = '{device}'"):
        open_run(Recipe.from_preset("demo", device=device), tmp_path)


def test_bf16_is_refused_where_it_would_be_emulated(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "has_bf16", lambda device: False)
    with pytest.raises(ParameterError, match="precision = 'bf16'"):
        open_run(Recipe.from_preset("demo", device="cpu", precision="bf16"), tmp_path)
    assert open_run(DEMO, tmp_path).precision == torch.float32


def test_the_environment_says_what_could_differ(tmp_path):
    facts = environment.environment(open_run(DEMO, tmp_path), "abc")
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    assert (facts["data_fingerprint"], facts["seed"]) == ("abc", 0)
    assert facts["git_commit"]


def test_what_an_earlier_machine_was_is_kept(tmp_path):
    run = open_run(Recipe.from_preset("demo", work_dir=str(tmp_path), device="cpu"))
    for facts in ({"device": "cuda"}, {"device": "cuda"}, {"device": "cpu"}, {"device": "mps"}):
        environment.save_environment(run.folder, facts)
    kept = json.loads((run.folder / "environment.json").read_text())
    assert kept == {"device": "mps", "before": [{"device": "cuda"}, {"device": "cpu"}]}


def test_the_root_is_found_from_below_and_missed_by_name(tmp_path):
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "recipe.py").touch()
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    assert project_root(below) == tmp_path.resolve()
    with pytest.raises(RunError, match="not inside the project"):
        project_root(tmp_path.parent)


@pytest.mark.parametrize("name", ["cache", "photos"])
def test_a_run_named_like_a_folder_that_holds_something_else_gets_another_name(tmp_path, name):
    (tmp_path / "work_dir" / name).mkdir(parents=True)
    (tmp_path / "work_dir" / name / "mine.txt").write_text("not a run")
    run = open_run(Recipe.from_preset("demo", device="cpu", run=name), tmp_path)
    assert run.folder.name == f"{name}-2"
    assert [path.name for path in (tmp_path / "work_dir" / name).iterdir()] == ["mine.txt"]
    locks.release(run.folder)


def test_a_file_with_the_name_of_the_run_is_left_alone(tmp_path):
    (tmp_path / "work_dir").mkdir()
    (tmp_path / "work_dir" / "mine").write_text("a file")
    run = open_run(Recipe.from_preset("demo", device="cpu", run="mine"), tmp_path)
    assert run.folder.name == "mine-2"
    locks.release(run.folder)


def test_a_finished_run_whose_notebook_came_to_no_end_is_continued_and_not_made_anew(tmp_path):
    """As when a headless run is killed, or refuses a photo, in the notebook's last cells."""
    folder = open_run(DEMO, tmp_path).folder
    locks.release(folder)
    with held_elsewhere(folder, "notebook"):
        files.write_json(folder / "results.json", {"done": True})
        assert plan_run(DEMO, tmp_path).name == "demo-mobilenet_v2-2"  # its command is still at work
    assert plan_run(DEMO, tmp_path) == folder
    locks.hold(folder, "notebook")
    locks.release(folder, "notebook")
    assert plan_run(DEMO, tmp_path).name == "demo-mobilenet_v2-2"
