"""The command line: parameters from everywhere, wrong ones refused before a kernel starts."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import run as run_command
from helpers.commands.parameters import add_parameter_options, parameters_of
from helpers.common.errors import ParameterError, RunError
from helpers.common.files import write_json
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.folders import plan_run
from tests.tiny import tiny_results

ROOT = Path(__file__).parents[2]


def collected(*arguments):
    parser = argparse.ArgumentParser()
    add_parameter_options(parser)
    return parameters_of(parser.parse_args(map(str, arguments)))


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "helpers", "run", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_later_parameters_win(tmp_path):
    (tmp_path / "a.yaml").write_text("epochs: 3\nlr: 0.1\n")
    (tmp_path / "b.yaml").write_text("lr: 0.2\n")
    files, pairs = (
        ("-f", tmp_path / "a.yaml", "-f", tmp_path / "b.yaml"),
        ("-p", "epochs", 5, "-p", "backbone", "resnet18"),
    )
    values = collected(*files, *pairs, "--data", tmp_path)
    assert values == {"epochs": 5, "lr": 0.2, "backbone": "resnet18", "dataset": str(tmp_path)}


def test_photos_are_named_as_the_project_sees_them_wherever_the_command_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert collected("--data", "tests/data") == {"dataset": "./tests/data"}
    monkeypatch.chdir(ROOT / "tests")
    assert collected("--data", "data") == {"dataset": "./tests/data"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    found = collected("--data", "demo")["dataset"]
    assert found.startswith("../")
    assert (ROOT / found).samefile(tmp_path / "demo")
    assert collected("--data", "flower_photos") == {"dataset": "flower_photos"}  # there is no such folder here


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("1e-4", 1e-4),
        ("True", True),
        ("False", False),
        ("None", None),
        ("false", "false"),
        ("a b", "a b"),
    ],
)
def test_values_are_read_as_papermill_reads_them(text, value):
    assert collected("-p", "x", text) == {"x": value}


@pytest.mark.parametrize(("text", "message"), [("a: [", "is not YAML in UTF-8"), ("- 1\n", "must hold lines like")])
def test_files_that_are_no_parameters_are_named(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ParameterError, match=message):
        collected("-f", tmp_path / "p.yaml")


def test_a_missing_file_is_named():
    with pytest.raises(ParameterError, match=r"'nowhere\.yaml' does not exist"):
        collected("-f", "nowhere.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "epochz", "3"), "ParameterError: parameter 'epochz' is unknown: did you mean 'epochs'?"),
        (("-p", "epochs", "ten"), "ParameterError: epochs = 'ten': expected a whole number"),
        (("-p", "lr", "-1"), "ParameterError: lr = -1: must be more than 0"),
        (("-p", "preset", "publised"), "ParameterError: preset 'publised' is unknown: did you mean 'published'"),
    ],
)
def test_wrong_parameters_end_in_their_message_and_exit_code_1(arguments, message):
    done = command(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_the_outcome_says_where_everything_is_and_that_a_demo_is_a_demo(tmp_path):
    numbers = {"best_val_accuracy": 0.9375, "best_epoch": 14, "val_photos": 160}
    results = tiny_results(demo=True, interval_low=0.889, interval_high=0.966, **numbers)
    (tmp_path / "results.json").write_text(json.dumps(results))
    text = run_command.outcome(tmp_path)
    for part in ("flower_classification.ipynb", "figures", "best_model.pth", "93.75% of 160", "88.9% to 96.6%", "demo"):
        assert part in text
    assert text.endswith(f"look      make look RUN={os.path.relpath(tmp_path)}")
    (tmp_path / "results.json").write_text(json.dumps(results | {"dataset": "/far/away photos"}))
    assert run_command.outcome(tmp_path).endswith(' DATA="/far/away photos"')  # which are not opened unasked


def test_after_a_command_that_ended_in_the_last_cells_the_kernel_finds_the_same_folder(tmp_path, monkeypatch):
    recipe = Recipe.from_preset("demo", work_dir=str(tmp_path), run="mine")
    given = {"work_dir": str(tmp_path), "run": "mine"}
    found = []

    def papermill(notebook, folder, parameters, root):
        found.append(plan_run(recipe, root))  # as the kernel does
        write_json(folder / "results.json", {"done": True})
        if len(found) == 1:
            raise RunError("the kernel died")

    monkeypatch.setattr(run_command, "run_papermill", papermill)
    with pytest.raises(RunError):
        run_command.execute(ROOT / run_command.NOTEBOOK, given)
    locks._held.clear()  # as when the process ends
    for _ in range(2):
        run_command.execute(ROOT / run_command.NOTEBOOK, given)
    assert [folder.name for folder in found] == ["mine", "mine", "mine-2"]


def test_a_run_is_planned_before_anything_slow_is_imported():
    """PyTorch's import takes seconds: the kernel's own and the parent's go on at the same time."""
    code = (
        "import sys\nfrom helpers.commands import run\nfrom helpers.runs.folders import plan_run, project_root\n"
        "plan_run(run.recipe_of({'preset': 'fast'}), project_root())\n"
        "import papermill\nprint(sorted({'torch', 'matplotlib', 'scipy', 'lark'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
