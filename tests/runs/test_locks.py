"""A run's folder belongs to one process, until that ends."""

import os

import pytest

from helpers.common.errors import RunError
from helpers.runs import locks
from helpers.runs.run import open_run
from tests.tiny import held_elsewhere, tiny_recipe

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")


def test_a_run_folder_belongs_to_one_process_until_that_ends(tmp_path):
    with (
        held_elsewhere(tmp_path) as holder,
        pytest.raises(RunError, match=rf"in use by another process \(number {holder} on .*, since 20"),
    ):
        locks.hold(tmp_path)
    assert (tmp_path / ".run.lock").exists()  # it was killed, which leaves the files, but not the lock
    with held_elsewhere(tmp_path):
        pass
    locks.hold(tmp_path, patience=1)
    locks.hold(tmp_path)  # the same process may open its run again
    locks.release(tmp_path)


def test_a_second_training_in_the_same_folder_is_refused_and_changes_nothing(tmp_path):
    (tmp_path / "work_dir" / "mine").mkdir(parents=True)
    with (
        held_elsewhere(tmp_path / "work_dir" / "mine"),
        pytest.raises(RunError, match="mine is in use by another process"),
    ):
        open_run(tiny_recipe(run="mine", backbone="resnet18"), tmp_path)
    assert not (tmp_path / "work_dir" / "mine" / "recipe.json").exists()


def test_what_a_killed_process_had_begun_to_write_is_removed(tmp_path):
    recipe = tiny_recipe(run="mine")
    folder = open_run(recipe, tmp_path).folder
    (folder / ".last.ckpt.123.tmp").write_bytes(b"half")
    assert not list(open_run(recipe, tmp_path).folder.glob(".*.tmp"))
    locks.release(folder)
