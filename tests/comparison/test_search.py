"""The search: resumable, shared, pruned, and honest about what it is."""

import json
import subprocess
import sys

import optuna
import pytest

from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.comparison import plots, recipes, search, search_space
from helpers.recipe import Recipe
from helpers.runs.environment import git_commit
from tests.comparison.test_cross_validation import ROOT, audit, recipe  # noqa: F401 (a fixture)

optuna.logging.set_verbosity(optuna.logging.WARNING)


def settings(tmp_path):
    return recipe(tmp_path, epochs=1, schedule="cosine", crop="random_resized")


def test_every_suggestion_is_a_valid_recipe():
    trials = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(100):
        trial = trials.ask()
        suggested = search_space.suggest(trial, "mobilenet_v2")
        Recipe.from_preset("seed", **suggested)
        assert set(trial.params) <= set(suggested)


def test_the_search_begins_with_the_recipe_itself_unless_that_lies_outside():
    assert search_space.starting_point(Recipe.from_preset("best", backbone="mobilenet_v2"))["lr"] == 3e-3
    inside = {"schedule": "cosine", "crop": "random_resized"}
    assert search_space.starting_point(Recipe.from_preset("seed", **inside))["crop_scale"]
    assert search_space.starting_point(Recipe.from_preset("seed", **inside, lr=0.5)) == {}
    assert search_space.starting_point(Recipe.from_preset("seed", **inside, mixup=0.3)) == {}
    assert search_space.starting_point(Recipe.from_preset("seed", schedule="cosine")) == {}  # another crop
    assert search_space.starting_point(Recipe.from_preset("seed")) == {}  # trials have another schedule than its own


def test_it_goes_on_where_it_was(audit, tmp_path):  # noqa: F811
    folder, said = tmp_path / "study", []
    for total in (2, 3):
        opened = search.open_study(folder)
        search.search(opened, settings(tmp_path), audit, folder, ROOT, total - len(opened.trials), 2, said.append)
        assert [trial.number for trial in opened.trials] == list(range(total))
    facts = json.loads((folder / "trials.json").read_text())
    rows = facts["trials"]
    assert len(rows) == 3
    own = next(row for row in rows if row["trial"] == 0)
    assert own["start"]
    assert own["settings"] == search_space.starting_point(settings(tmp_path))
    assert not any("start" in row for row in rows if row is not own)
    assert (facts["backbone"], facts["cost"]) == ("squeezenet1_1", "32 px, 1 epochs")
    assert facts["commit"] == git_commit(ROOT)
    assert "thread" in facts["machine"]
    assert facts["importances"] == search.importances_of(opened)
    finished = [row["accuracy"] for row in rows if row["state"] == "complete"]
    assert finished == sorted(finished, reverse=True)
    paths = plots.draw(opened, folder)
    assert [path.name for path in paths] == ["history.png", "importance.png"][: 2 if facts["importances"] else 1]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_a_trial_whose_process_is_gone_is_tried_again_and_one_that_runs_is_not(audit, tmp_path, monkeypatch):  # noqa: F811
    folder = tmp_path / "study"
    opened = search.open_study(folder)
    dead, alive = opened.ask(), opened.ask()
    search_space.suggest(dead, "squeezenet1_1"), search_space.suggest(alive, "squeezenet1_1")
    for trial in (dead, alive):
        (folder / f"trial-{trial.number:04}").mkdir()
    said = []
    search.take_over(opened, folder, said.append)
    assert said == []  # both have only just begun
    monkeypatch.setattr(search, "GRACE", search.timedelta(0))
    with search.FileLock(folder / "trial-0001" / ".trial.lock"):
        search.take_over(opened, folder, said.append)
    assert said == ["trial 0 was left unfinished: it is tried again"]
    states = [trial.state.name for trial in opened.trials]
    assert states == ["FAIL", "RUNNING", "WAITING"]
    search.search(opened, settings(tmp_path), audit, folder, ROOT, 1, 2, said.append)
    assert opened.trials[2].params == dead.params


def test_poor_trials_are_given_up_after_their_first_fold(audit, tmp_path, monkeypatch):  # noqa: F811
    folder, said = tmp_path / "study", []
    opened = search.open_study(folder)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: self.number == 1)
    search.search(opened, settings(tmp_path), audit, folder, ROOT, 2, 2, said.append)
    assert [trial.state.name for trial in opened.trials] == ["COMPLETE", "PRUNED"]
    assert said[1].startswith("trial 1: given up after 1 folds")
    assert len(list((folder / "trial-0001").glob("fold-*"))) == 1


def test_a_trial_that_runs_away_is_given_up_and_the_search_goes_on(audit, tmp_path, monkeypatch):  # noqa: F811
    folder, said, validate = tmp_path / "study", [], search.cross_validate
    opened = search.open_study(folder)

    def run_away_once(*args):
        if args[2].name == "trial-0000":
            raise DivergedError("the training loss is no longer a number")
        return validate(*args)

    monkeypatch.setattr(search, "cross_validate", run_away_once)
    search.search(opened, settings(tmp_path), audit, folder, ROOT, 2, 2, said.append)
    assert said[0] == "trial 0: the training loss is no longer a number"
    rows = json.loads((folder / "trials.json").read_text())["trials"]
    assert [(row["trial"], row["state"]) for row in rows] == [(1, "complete"), (0, "diverged")]


def test_two_processes_share_one_study(grow, tmp_path):
    root = grow({"rose": 8, "tulip": 8})
    command = [sys.executable, "-m", "helpers", "search", "--data", str(root), "--trials", "2", "--folds", "2"]
    command += ["--image-size", "32", "--epochs", "1", "-p", "work_dir", str(tmp_path)]
    command += ["-p", "backbone", "squeezenet1_1", "-p", "weights", "none"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in "ab"]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    trials = search.open_study(tmp_path / "study").trials
    assert sorted(trial.number for trial in trials) == [0, 1, 2, 3]
    assert len({trial.params["lr"] for trial in trials}) == 4
    assert all("chosen among many on these same photos, it flatters" in out for out, _ in said)


def test_importances_are_those_of_finished_trials_that_differ(tmp_path):
    opened = search.open_study(tmp_path)
    for value, state in ((0.9, "COMPLETE"), (0.9, "COMPLETE"), (0.2, "PRUNED")):
        trial = opened.ask()
        trial.suggest_float("lr", 0.0, 1.0)
        trial.report(value, 0)
        opened.tell(trial, value if state == "COMPLETE" else None, state=optuna.trial.TrialState[state])
    assert search.importances_of(opened) == {}
    trial = opened.ask()
    trial.suggest_float("lr", 0.0, 1.0)
    opened.tell(trial, 0.5)
    assert list(search.importances_of(opened)) == ["lr"]


def test_the_first_trial_is_still_the_first_when_it_is_tried_again(tmp_path, monkeypatch):
    opened = search.open_study(tmp_path)
    opened.enqueue_trial({"lr": 1e-3}, user_attrs={"start": True})
    opened.ask().suggest_float("lr", 3e-4, 3e-2, log=True)
    monkeypatch.setattr(search, "GRACE", search.timedelta(0))
    search.take_over(opened, tmp_path, lambda _: None)
    assert [trial.user_attrs.get("start") for trial in opened.trials] == [True, True]
    assert opened.trials[1].state.name == "WAITING"


def test_a_study_around_another_recipe_is_not_continued(audit, tmp_path):  # noqa: F811
    opened = search.open_study(tmp_path)
    search.begin(opened, settings(tmp_path), audit, tmp_path)
    search.begin(opened, settings(tmp_path / "elsewhere"), audit, tmp_path)
    assert len(opened.trials) == 1
    with pytest.raises(
        ParameterError, match="is a search around another recipe, or on other photos or folds: choose another"
    ):
        search.begin(opened, recipe(tmp_path, epochs=1, clip_norm=5.0), audit, tmp_path)


def test_what_was_given_besides_the_preset_is_written_down_but_no_places_and_no_cost(tmp_path):
    base = Recipe.from_preset("best", clip_norm=2.0, backbone="mobilenet_v2", work_dir=str(tmp_path), epochs=3)
    search.write_up(search.open_study(tmp_path), tmp_path, recipes.scaled_down(base, 0.5, 2))
    facts = json.loads((tmp_path / "trials.json").read_text())
    assert facts["changed"] == {"clip_norm": 2.0}
    assert (facts["preset"], facts["backbone"]) == ("best", "mobilenet_v2")


def test_a_damaged_study_is_named(tmp_path):
    (tmp_path / "study.log").write_text("not a journal\n" * 3)
    with pytest.raises(RunError, match=r"study\.log cannot be used"):
        search.open_study(tmp_path)


def test_with_too_few_trials_nothing_is_drawn(tmp_path):
    with pytest.raises(RunError, match=r"0 finished trials, two are needed to draw: raise --trials"):
        plots.draw(search.open_study(tmp_path), tmp_path)
