"""A run's folder belongs to one process, until that ends."""

import subprocess

import pytest

from helpers.common.errors import RunError
from helpers.runs import locks
from helpers.runs.run import open_run
from tests.tiny import start_python, tiny_recipe

HOLD = """
import sys
from pathlib import Path
from helpers.runs import locks
locks.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_folder_belongs_to_one_process_until_that_ends(tmp_path):
    holder = start_python(HOLD, tmp_path, stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=rf"in use by another process \(number {holder.pid} on .*, since 20"):
        locks.hold(tmp_path)
    holder.kill()  # leaves the files, but not the lock
    holder.communicate()
    assert (tmp_path / ".run.lock").exists()
    locks.hold(tmp_path, patience=1)
    locks.hold(tmp_path)  # the same process may open its run again
    second = start_python(HOLD, tmp_path)
    assert "in use by another process" in second.communicate()[1]
    locks.release(tmp_path)


def test_a_second_training_in_the_same_folder_is_refused_and_changes_nothing(tmp_path):
    (tmp_path / "work_dir" / "mine").mkdir(parents=True)
    holder = start_python(HOLD, tmp_path / "work_dir" / "mine", stdin=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(RunError, match="mine is in use by another process"):
        open_run(tiny_recipe(run="mine", backbone="resnet18"), tmp_path)
    assert not (tmp_path / "work_dir" / "mine" / "recipe.json").exists()
    holder.communicate()


def test_what_a_killed_process_had_begun_to_write_is_removed(tmp_path):
    recipe = tiny_recipe(run="mine")
    folder = open_run(recipe, tmp_path).folder
    (folder / ".last.ckpt.123.tmp").write_bytes(b"half")
    assert not list(open_run(recipe, tmp_path).folder.glob(".*.tmp"))
    locks.release(folder)
