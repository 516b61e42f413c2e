"""The search: resumable, shared, pruned, and honest about what it is."""

import json
import subprocess
import sys
import threading
import time

import optuna
import pytest

from helpers.commands import main
from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.comparison import recipes, search
from helpers.comparison.folds import Protocol
from helpers.recipe import Recipe
from helpers.runs.environment import git_commit
from tests.comparison.conftest import small
from tests.conftest import ROOT

optuna.logging.set_verbosity(optuna.logging.WARNING)
BASE = small(epochs=1, **recipes.FIXED)


@pytest.fixture
def quick(monkeypatch):
    """Trials whose folds are not trained: a share of the photos is right that depends on lr and the fold."""

    def read_fold(folder, job, audit):
        right = min(0.9, 20 * job.recipe.lr) + (0.05 if folder.name.startswith("fold-0") else 0)
        return {"correct": [right] * len(job.split.val)}

    monkeypatch.setattr(search, "run_fold", lambda job, protocol: True)
    monkeypatch.setattr(search, "read_fold", read_fold)
    return read_fold


def test_every_suggestion_is_a_valid_recipe():
    trials = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = search.search_space("mobilenet_v2")
    for _ in range(100):
        trial = trials.ask(space)
        suggested = recipes.FIXED | trial.params
        Recipe.from_preset("published", **suggested)
        assert set(trial.params) == set(space)


def test_the_search_begins_with_the_recipe_itself_unless_that_lies_outside():
    space = search.search_space("mobilenet_v2")

    def start(preset="published", **settings):
        return search.starting_point(Recipe.from_preset(preset, **settings), space)

    assert start("best")["lr"] == 3e-3
    assert start(**recipes.FIXED)["crop_scale"]
    assert start(**recipes.FIXED, lr=0.5) == {}
    assert start(**recipes.FIXED, mixup=0.3) == {}
    assert start(schedule="cosine") == {}  # another crop
    assert start() == {}  # trials have another schedule


def test_it_continues_where_it_was(protocol, tmp_path):
    for total in (1, 2):
        opened = search.open_study(tmp_path)
        search.search(opened, BASE, protocol, tmp_path, total - len(opened.trials), lambda _: None)
        assert [trial.number for trial in opened.trials] == list(range(total))
    facts = json.loads((tmp_path / "trials.json").read_text())
    own = next(row for row in facts["trials"] if row["trial"] == 0)
    assert own["start"]
    assert own["settings"] == search.starting_point(BASE, search.search_space("squeezenet1_1"))
    assert not any("start" in row for row in facts["trials"] if row is not own)
    assert (facts["backbone"], facts["cost"]) == ("squeezenet1_1", "32 px, 1 epochs")
    assert facts["commit"] == git_commit(ROOT)
    assert "thread" in facts["machine"]
    finished = [row["accuracy"] for row in facts["trials"]]
    assert finished == sorted(finished, reverse=True)


def test_a_trial_whose_process_is_gone_is_tried_again_and_one_that_runs_is_not(protocol, tmp_path, quick):
    opened = search.open_study(tmp_path)
    dead, _ = (opened.ask(search.search_space("squeezenet1_1")) for _ in "ab")
    (tmp_path / "trial-0001").mkdir()
    said = []
    with search.FileLock(tmp_path / "trial-0001" / ".trial.lock"):
        search.requeue_abandoned(opened, tmp_path, said.append)
    assert said == ["trial 0 was left unfinished: it is tried again"]
    assert [trial.state.name for trial in opened.trials] == ["FAIL", "RUNNING", "WAITING"]
    search.search(opened, BASE, protocol, tmp_path, 1, said.append)
    assert opened.trials[2].params == dead.params
    assert opened.trials[2].state.name == "COMPLETE"
    stored = json.loads((tmp_path / "trials.json").read_text())["trials"]
    assert [row["trial"] for row in stored] == [2]  # what was tried to its end


def test_poor_trials_are_pruned_after_their_first_fold(protocol, tmp_path, monkeypatch, quick):
    said = []
    opened = search.open_study(tmp_path)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: self.number == 1)
    search.search(opened, BASE, protocol, tmp_path, 2, said.append)
    assert [trial.state.name for trial in opened.trials] == ["COMPLETE", "PRUNED"]
    assert said[1].startswith("trial 1: pruned after 1 folds")
    rows = json.loads((tmp_path / "trials.json").read_text())["trials"]
    assert [row["folds"] for row in rows if row["state"] == "pruned"] == [1]


def test_a_trial_that_diverges_is_pruned_and_the_search_continues(protocol, tmp_path, monkeypatch, quick):
    said = []
    opened = search.open_study(tmp_path)

    def diverge_once(folder, *args):
        if "trial-0000" in str(folder):
            raise DivergedError("the training loss is no longer a number")
        return quick(folder, *args)

    monkeypatch.setattr(search, "read_fold", diverge_once)
    search.search(opened, BASE, protocol, tmp_path, 2, said.append)
    assert said[0] == "trial 0: the training loss is no longer a number"
    rows = json.loads((tmp_path / "trials.json").read_text())["trials"]
    assert [(row["trial"], row["state"]) for row in rows] == [(1, "complete"), (0, "diverged")]


def test_two_processes_share_one_study(grow, tmp_path, capsys):
    root = grow({"rose": 8, "tulip": 8})
    command = ["search", "--data", str(root), "--trials", "1", "--folds", "2", "--image-size", "32", "--epochs", "1"]
    command += ["-p", "work_dir", str(tmp_path), "-p", "backbone", "squeezenet1_1", "-p", "weights", "none"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    other = subprocess.Popen([sys.executable, "-m", "helpers", *command], cwd=ROOT, **pipes)
    while not (tmp_path / "study" / search.STUDY_LOCK).exists():  # its imports take seconds
        assert other.poll() is None, other.communicate()
        time.sleep(0.01)
    main(command)
    said = [other.communicate(timeout=300), capsys.readouterr()]
    trials = search.open_study(tmp_path / "study").trials
    assert sorted(trial.number for trial in trials) == [0, 1], said
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert len({trial.params["lr"] for trial in trials}) == 2
    assert any("too optimistic" in out for out, _ in said), said  # the other found one finished trial, perhaps


def test_importances_are_those_of_finished_trials_that_differ(tmp_path):
    opened = search.open_study(tmp_path)
    for value, state in ((0.9, "COMPLETE"), (0.9, "COMPLETE"), (0.2, "PRUNED")):
        trial = opened.ask()
        trial.suggest_float("lr", 0.0, 1.0)
        trial.report(value, 0)
        opened.tell(trial, value if state == "COMPLETE" else None, state=optuna.trial.TrialState[state])
    assert search.setting_importances(opened) == {}
    trial = opened.ask()
    trial.suggest_float("lr", 0.0, 1.0)
    opened.tell(trial, 0.5)
    assert list(search.setting_importances(opened)) == ["lr"]


def test_the_first_trial_is_still_the_first_when_it_is_tried_again(tmp_path):
    opened = search.open_study(tmp_path)
    opened.enqueue_trial({"lr": 1e-3}, user_attrs={"start": True})
    opened.ask().suggest_float("lr", 3e-4, 3e-2, log=True)
    search.requeue_abandoned(opened, tmp_path, lambda _: None)
    assert [trial.user_attrs.get("start") for trial in opened.trials] == [True, True]
    assert opened.trials[1].state.name == "WAITING"


def test_a_study_around_another_recipe_or_with_other_folds_is_not_continued(protocol, tmp_path, monkeypatch):
    opened = search.open_study(tmp_path)
    search.bind_study(opened, BASE, protocol, tmp_path, {"lr": 1e-3})
    search.bind_study(opened, small(epochs=1, work_dir=str(tmp_path), **recipes.FIXED), protocol, tmp_path)
    assert len(opened.trials) == 1
    message = "is a search around another recipe, photos or folds: choose another"
    with pytest.raises(ParameterError, match=message):
        search.bind_study(opened, small(epochs=1, clip_norm=5.0), protocol, tmp_path)
    with pytest.raises(ParameterError, match=message):
        search.bind_study(opened, BASE, Protocol(protocol.audit, ROOT, 3), tmp_path)
    monkeypatch.setattr(search, "FOLD_RULE", "drawn by lot")
    with pytest.raises(ParameterError, match=message):
        search.bind_study(opened, BASE, protocol, tmp_path)


def test_settings_given_beside_the_preset_are_written_down_but_no_places_and_no_cost(tmp_path):
    base = Recipe.from_preset("best", clip_norm=2.0, backbone="mobilenet_v2", work_dir=str(tmp_path), epochs=3)
    search.write_trials(search.open_study(tmp_path), tmp_path, recipes.scaled_down(base, 0.5, 2))
    facts = json.loads((tmp_path / "trials.json").read_text())
    assert facts["changed"] == {"clip_norm": 2.0}
    assert (facts["preset"], facts["backbone"]) == ("best", "mobilenet_v2")


def test_a_damaged_study_is_named(tmp_path):
    (tmp_path / "study.log").write_text("not a journal\n" * 3)
    with pytest.raises(RunError, match=r"study\.log cannot be used"):
        search.open_study(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="symlinks")
def test_a_lock_that_a_killed_process_left_stops_nobody(tmp_path):
    """optuna's own lock is a link to the study's old place: with the folder moved, it would wait for ever."""
    (tmp_path / "study.log.lock").symlink_to(tmp_path / "moved" / "study.log")
    (tmp_path / "study.log.filelock").touch()
    opening = threading.Thread(target=search.open_study, args=(tmp_path,), daemon=True)
    opening.start()
    opening.join(20)
    assert not opening.is_alive()
    assert (tmp_path / "study.log").exists()


@pytest.mark.parametrize("settings", [("preset", "fast"), ("frozen_backbone", "True"), ("augmentation", "False")])
def test_a_recipe_on_which_the_search_has_no_effect_is_refused_at_once(capsys, settings):
    assert main(["search", "-p", *settings, "--data", "nowhere"]) == 1
    assert "start from published or best" in capsys.readouterr().err
