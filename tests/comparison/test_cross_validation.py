"""Cross-validation: folds that are fair, runs that are resumed, results that are not mixed up."""

import json
import multiprocessing
import subprocess
import sys
import threading

import numpy as np
import pytest

from helpers.common.errors import ParameterError, RunError
from helpers.comparison import cross_validation, folds
from helpers.data import split
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.recipe import Recipe
from tests.conftest import colourful

ROOT = cross_validation.Path(__file__).parents[2]


def recipe(tmp_path, **changes):
    small = {
        "backbone": "squeezenet1_1",
        "weights": "none",
        "image_size": 32,
        "crop_size": 40,
        "val_resize": 32,
        "epochs": 2,
        "batch_size": 8,
        "work_dir": str(tmp_path),
    }
    return Recipe(**small).with_settings(**changes)


@pytest.fixture
def audit(grow):
    root = grow({"rose": 12, "tulip": 9, "daisy": 6})
    colourful((60, 40), 1).save(root / "tulip" / "copy.jpg")  # what rose/001.jpg shows
    return audit_photos(find_photos(root))


@pytest.mark.parametrize("number", [2, 3, 5])
def test_folds_have_every_class_in_equal_shares_and_scenes_whole(audit, number):
    scenes = cross_validation.group_scenes(audit)
    fold = split.stratified_folds(audit, scenes, number)
    labels = np.array(audit.photos.labels)
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=number)
        assert counts.max() - counts.min() <= 2
    assert np.ptp(np.bincount(fold, minlength=number)) <= 3
    assert all(len(set(fold[scenes == scene])) == 1 for scene in set(scenes))
    assert np.array_equal(fold, split.stratified_folds(audit, scenes, number))


def test_real_folds_are_even(real_folder):
    audit = audit_photos(find_photos(real_folder))
    fold = split.stratified_folds(audit, cross_validation.group_scenes(audit), 5)
    labels = np.array(audit.photos.labels)
    for label in range(5):
        assert np.ptp(np.bincount(fold[labels == label])) <= 2


def test_more_folds_than_photos_are_refused(audit):
    with pytest.raises(ParameterError, match="folds = 8: class 'daisy' has 6 different photos"):
        split.stratified_folds(audit, cross_validation.group_scenes(audit), 8)


def test_every_photo_is_judged_once_by_a_run_that_has_not_seen_it(audit, tmp_path):
    said = []
    settings = {"folds": 3, "seeds": (0, 1), "log": said.append}
    found = cross_validation.cross_validate(recipe(tmp_path), audit, tmp_path / "cv", ROOT, **settings)
    assert found.held_out.all()
    assert set(np.unique(found.right)) <= {0, 0.5, 1}
    assert found.accuracy.low <= found.accuracy.mean <= found.accuracy.high
    assert len(said) == 6
    rows = (tmp_path / "cv" / "fold-1-seed-0" / "predictions.csv").read_text().splitlines()[1:]
    facts = json.loads((tmp_path / "cv" / "fold-1-seed-0" / "fold.json").read_text())
    assert [row.split(",")[1] == row.split(",")[2] for row in rows] == [bool(right) for right in facts["right"]]
    text = cross_validation.to_csv({"seed": found}, audit)
    assert len(text.splitlines()) == 1 + len(audit.photos)


def test_finished_folds_are_read_and_the_others_run(audit, tmp_path, monkeypatch):
    cross_validation.cross_validate(
        recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, only=(0, 2), log=lambda _: None
    )
    run, ran = folds._run_fold, []
    monkeypatch.setattr(folds, "_run_fold", lambda *args: (ran.append(args[0].place.name), run(*args)))
    found = cross_validation.cross_validate(recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, log=lambda _: None)
    assert ran == ["fold-1-seed-0"]
    partly = cross_validation.cross_validate(
        recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, only=(1,), log=lambda _: None
    )
    assert partly.held_out.sum() < len(audit.photos)
    assert found.difference(partly).mean == 0


def test_folds_of_another_recipe_are_not_taken_for_this_ones(audit, tmp_path):
    cross_validation.cross_validate(
        recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, only=(0,), log=lambda _: None
    )
    other = recipe(tmp_path, lr=0.5)
    with pytest.raises(RunError, match=r"holds another recipe \(lr = 0\.001, now 0\.5\)"):
        cross_validation.cross_validate(other, audit, tmp_path / "cv", ROOT, folds=3, only=(0,), log=lambda _: None)


@pytest.mark.parametrize("text", ["", "[]", '{"recipe": {}}', '{"recipe": {}, "right": ["x"], "fingerprint": ""}'])
def test_a_damaged_fold_is_named(audit, tmp_path, text):
    (tmp_path / "cv" / "fold-0-seed-0").mkdir(parents=True)
    (tmp_path / "cv" / "fold-0-seed-0" / "fold.json").write_text(text)
    with pytest.raises(RunError, match=r"fold\.json is damaged"):
        cross_validation.cross_validate(
            recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, only=(0,), log=lambda _: None
        )


def test_folds_of_other_photos_are_not_taken_for_these(audit, grow, tmp_path):
    cross_validation.cross_validate(
        recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, only=(0,), log=lambda _: None
    )
    others = audit_photos(find_photos(grow({"rose": 4, "tulip": 4}, tmp_path / "others")))
    with pytest.raises(RunError, match="is of other photos"):
        cross_validation.cross_validate(
            recipe(tmp_path), others, tmp_path / "cv", ROOT, folds=3, only=(0,), log=lambda _: None
        )


def test_a_fold_that_held_out_others_is_not_taken_for_this_one(audit, tmp_path):
    """As when another version of the library that finds near-duplicates divides the photos otherwise."""
    cross_validation.cross_validate(
        recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, only=(0,), log=lambda _: None
    )
    path = tmp_path / "cv" / "fold-0-seed-0" / "fold.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"names": facts["names"][::-1]}))
    with pytest.raises(RunError, match="held out other photos"):
        cross_validation.cross_validate(
            recipe(tmp_path), audit, tmp_path / "cv", ROOT, folds=3, only=(0,), log=lambda _: None
        )


def test_a_share_of_the_training_photos_is_fair_and_part_of_a_larger_share(audit):
    rows = np.arange(3, len(audit.photos))
    labels = np.array(audit.photos.labels)
    half, whole = (folds._thinned(rows, audit, share, 7) for share in (0.5, 1.0))
    assert np.array_equal(whole, rows)
    assert set(half) < set(rows)
    for label in range(3):
        n = (labels[rows] == label).sum()
        assert abs((labels[half] == label).sum() - n / 2) <= 0.5
    assert set(folds._thinned(rows, audit, 0.25, 7)) < set(half)
    assert not np.array_equal(half, folds._thinned(rows, audit, 0.5, 8))
    for share in (0.0, 1.1):
        with pytest.raises(ParameterError, match="share"):
            folds._thinned(rows, audit, share, 7)


def test_a_fold_of_another_share_is_not_taken_for_this_one(audit, tmp_path):
    cross_validation.cross_validate(recipe(tmp_path), audit, tmp_path / "cv", ROOT, 3, only=(0,), share=0.5)
    with pytest.raises(RunError, match="was trained on"):
        cross_validation.cross_validate(recipe(tmp_path), audit, tmp_path / "cv", ROOT, 3, only=(0,))


def test_a_fold_that_another_process_is_at_is_left_to_it(audit, tmp_path):
    scenes = cross_validation.group_scenes(audit)
    first, second = folds.plan(recipe(tmp_path), audit, tmp_path / "cv", 3, (0,), (0, 1), scenes, 1.0)
    first.place.mkdir(parents=True)
    path = str(first.place / ".fold.lock")
    code = f"import filelock; a = filelock.FileLock({path!r}); a.acquire(); print('held', flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert not folds.run(first, audit, ROOT, patience=0)
        assert folds.run(second, audit, ROOT, patience=0)
        assert not (first.place / "fold.json").exists()
        threading.Timer(0.5, other.stdin.close).start()
        found = cross_validation.cross_validate(
            recipe(tmp_path), audit, tmp_path / "cv", ROOT, 3, only=(0, 1), scenes=scenes
        )
    assert found.held_out.sum() == len(first.split.val) + len(second.split.val)
    assert len(found.commits) == 1


def test_a_finished_fold_leaves_no_process_behind(audit, tmp_path):
    streamed = recipe(tmp_path, pipeline="stream", workers=1, epochs=1)
    cross_validation.cross_validate(streamed, audit, tmp_path / "cv", ROOT, 3, only=(0,), log=lambda _: None)
    assert multiprocessing.active_children() == []


def test_a_fold_says_by_which_code_on_which_machine_it_was_made(audit, tmp_path):
    found = cross_validation.cross_validate(
        recipe(tmp_path), audit, tmp_path / "cv", ROOT, 3, only=(0,), log=lambda _: None
    )
    place = tmp_path / "cv" / "fold-0-seed-0"
    assert ((found.commits[0], found.machines[0]),) == (folds.origin_of(place),)
    assert "thread" in found.machines[0]
    (place / "fold.json").write_text("{}")
    with pytest.raises(RunError, match="is not finished, or damaged"):
        folds.origin_of(place)
