"""A teacher, or weights, trained on photos that the run validates on."""

import filecmp
import json
from pathlib import Path

import pytest

from helpers.common.errors import ParameterError
from helpers.common.files import csv_text
from helpers.runs.leakage import check_unseen
from helpers.runs.recipe_file import save_recipe
from tests.tiny import a_run, tiny_recipe


def a_folder(folder, sides, fingerprint="abc", **settings):
    run = a_run(folder, tiny_recipe(**settings))
    rows = [["name", "class", "subset"], *([f"rose/{i}.jpg", "rose", side] for i, side in enumerate(sides))]
    (folder / "split.csv").write_text(csv_text(rows))
    (folder / "environment.json").write_text(json.dumps({"data_fingerprint": fingerprint}))
    save_recipe(folder, run.recipe)
    return run


def check(run, other, name="best_model.pth"):
    said = []
    check_unseen(run, "teacher", Path(other) / name, said.append)
    return said


@pytest.mark.parametrize("fingerprint", ["abc", "photos were added"])
def test_a_model_that_has_seen_photos_held_out_is_refused(tmp_path, fingerprint):
    a_folder(tmp_path / "other", ["train", "train", "val"], fingerprint, dataset="photos")
    run = a_folder(tmp_path / "run", ["train", "val", "val"], dataset="photos", teacher="other")
    with pytest.raises(ParameterError, match=r"'other' was trained on 1 of the 2 photos .* such as rose/1\.jpg"):
        check(run, tmp_path / "other")


def test_the_same_split_other_photos_or_an_unknown_history_are_accepted(tmp_path):
    run = a_folder(tmp_path / "run", ["train", "val"], dataset="photos")
    a_folder(tmp_path / "same", ["train", "val"], dataset="photos")
    a_folder(tmp_path / "elsewhere", ["val", "train"], "def", dataset="other photos")
    (tmp_path / "mine.pth").write_bytes(b"weights of nobody knows whom")
    for name in ("same", "nowhere"):
        assert check(run, tmp_path / name) == []
    (mentioned,) = check(run, tmp_path / "elsewhere")
    assert "was trained on 1 of the 1 photos that this run holds out, such as rose/1.jpg, if photos of" in mentioned
    assert check(run, tmp_path, "mine.pth") == []


def test_a_copy_of_another_runs_weights_is_recognized(tmp_path, monkeypatch):
    a_folder(tmp_path / "other", ["train", "train"], dataset="photos")
    (tmp_path / "other" / "best_model.pth").write_bytes(b"weights")
    settings = {"dataset": "photos", "teacher": "other", "work_dir": str(tmp_path)}
    run = a_folder(tmp_path / "run", ["train", "val"], **settings)
    (tmp_path / "elsewhere").mkdir()
    a_folder(tmp_path / "another", ["train"])
    (tmp_path / "another" / "best_model.pth").touch()

    def compare(mine, theirs, shallow, same=filecmp.cmp):
        if theirs.parent.name == "another":
            raise PermissionError  # that file cannot be read
        return same(mine, theirs, shallow)

    monkeypatch.setattr(filecmp, "cmp", compare)
    (tmp_path / "elsewhere" / "mine.pth").write_bytes(b"weights")
    with pytest.raises(ParameterError, match=r"on 1 of the 1 photos .* seed = 0, train_fraction = 0\.8\d* and test_fr"):
        check(run, tmp_path / "elsewhere", "mine.pth")


def test_training_asks_for_teacher_and_weights(tmp_path, monkeypatch):
    from helpers.training import setup
    from tests.tiny import tiny_fit

    asked = []
    monkeypatch.setattr(setup, "check_unseen", lambda run, setting, model, log: asked.append((setting, model.name)))
    monkeypatch.setattr(setup, "Teacher", lambda run, classes: None)
    tiny_fit(tmp_path / "run", tiny_recipe(weights="mine.pth", teacher="other", epochs=1))
    assert asked == [("teacher", "best_model.pth"), ("weights", "mine.pth")]
