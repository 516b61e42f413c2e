"""Folds: fair, resumed, and never taken for those of another recipe."""

import json
import multiprocessing
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from helpers.common.device import pick_precision
from helpers.common.errors import ParameterError, RunError
from helpers.comparison import folds
from helpers.comparison.cross_validation import cross_validate
from helpers.comparison.folds import Protocol, plan, run_fold
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import Split, set_test_aside, write_split
from helpers.evaluation.predictions import predict
from helpers.runs.history import Epoch
from helpers.runs.saving import load_best_model
from helpers.training import fit
from tests.comparison.conftest import INFERENCE, RECIPES, facts_of, small
from tests.conftest import ROOT


def quietly(recipe, protocol, folder, **more):
    return cross_validate(recipe, protocol, folder, log=lambda _: None, **more)


def test_the_protocol_holds_every_photo_out_once(protocol):
    held = [protocol.split(k, 0).val for k in range(2)]
    assert sorted(held[0] + held[1]) == list(range(len(protocol.audit.photos)))
    assert all(len(set(protocol.fold[protocol.scenes == scene])) == 1 for scene in set(protocol.scenes))
    assert set(protocol.split(0, 0).train) == set(held[1])


def test_a_fold_writes_which_photos_it_got_right_by_which_code_on_which_machine(trained, protocol):
    place = trained.folder / "published" / "fold-1-seed-0"
    rows = [line.split(",") for line in (place / "predictions.csv").read_text().splitlines()[1:]]
    facts = facts_of(place)
    assert [row[1] == row[2] for row in rows] == [bool(right) for right in facts["correct"]]
    assert facts["names"] == [protocol.audit.photos.names[i] for i in protocol.split(1, 0).val]
    assert (trained.rows[0]["commit"], trained.rows[0]["machine"]) == (facts["commit"], facts["machine"])
    assert "thread" in facts["machine"]


def test_finished_folds_are_read_and_the_others_run(copied, protocol, monkeypatch):
    shutil.rmtree(copied / "other" / "fold-1-seed-0")
    run, ran = folds._run, []
    monkeypatch.setattr(folds, "_run", lambda *args: (ran.append(args[0].folder.name), run(*args)))
    found = quietly(RECIPES["other"], protocol, copied / "other")
    assert ran == ["fold-1-seed-0"]
    assert not np.isnan(found.correct).any()
    partly = quietly(RECIPES["other"], Protocol(protocol.audit, ROOT, 2, only=(1,)), copied / "other")
    assert 0 < np.isnan(partly.correct).sum() < len(protocol.audit.photos)
    assert found.difference(partly).mean == 0


def test_folds_of_another_recipe_are_refused(trained, protocol):
    with pytest.raises(RunError, match=r"holds another recipe \(lr = 0\.001, now 0\.5\)"):
        quietly(small(lr=0.5), protocol, trained.folder / "published")


def test_folds_of_other_photos_are_refused(trained, grow):
    others = audit_photos(find_photos(grow({"rose": 4, "tulip": 4})))
    with pytest.raises(RunError, match="is of other photos"):
        quietly(RECIPES["published"], Protocol(others, ROOT, 2), trained.folder / "published")


def test_a_fold_that_held_out_other_photos_is_refused(copied, protocol):
    """As when another version of the library that finds near-duplicates divides the photos otherwise."""
    path = copied / "published" / "fold-0-seed-0" / "fold.json"
    facts = facts_of(path.parent)
    path.write_text(json.dumps(facts | {"names": facts["names"][::-1]}))
    with pytest.raises(RunError, match="held out other photos"):
        quietly(RECIPES["published"], protocol, copied / "published")


def test_a_fold_of_another_share_is_refused(trained, protocol):
    with pytest.raises(RunError, match="was trained on"):
        quietly(RECIPES["published"], Protocol(protocol.audit, ROOT, 2, share=0.5), trained.folder / "published")


@pytest.mark.parametrize("text", ["", "[]", '{"recipe": {}}', '{"recipe": {}, "correct": ["x"], "fingerprint": ""}'])
def test_a_damaged_fold_is_named(protocol, tmp_path, text):
    (tmp_path / "fold-0-seed-0").mkdir()
    (tmp_path / "fold-0-seed-0" / "fold.json").write_text(text)
    with pytest.raises(RunError, match=r"fold\.json is missing or damaged"):
        quietly(RECIPES["published"], protocol, tmp_path)


def test_a_share_of_the_training_photos_is_stratified_and_part_of_a_larger_share(protocol):
    def training(share, seed=7):
        return list(Protocol(protocol.audit, ROOT, 2, share=share).split(0, seed).train)

    labels, half, whole = np.array(protocol.audit.photos.labels), training(0.5), training(1.0)
    assert whole == list(protocol.split(0, 7).train)
    assert set(half) < set(whole)
    for label in range(3):
        n = (labels[whole] == label).sum()
        assert abs((labels[half] == label).sum() - n / 2) <= 0.5
    assert set(training(0.25)) < set(half)
    assert half != training(0.5, seed=8)
    for wrong in ({"share": 0.0}, {"share": 1.1}, {"folds": 1}, {"folds": "3"}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            Protocol(protocol.audit, ROOT, **wrong)


def test_a_fold_that_another_process_is_at_is_left_to_it(copied, protocol):
    first, second = plan(RECIPES["other"], protocol, copied / "other")
    (first.folder / "fold.json").unlink()
    code = f"import filelock; a = filelock.FileLock({str(first.folder / '.fold.lock')!r}); a.acquire(); "
    command = [sys.executable, "-c", code + "print('held', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert not run_fold(first, protocol, patience=0)
        assert run_fold(second, protocol, patience=0)
        assert not (first.folder / "fold.json").exists()
        threading.Timer(0.5, other.stdin.close).start()
        found = quietly(RECIPES["other"], protocol, copied / "other")  # waits
    assert not np.isnan(found.correct).any()


def test_a_finished_fold_leaves_no_process_behind(protocol, tmp_path):
    streamed, before = small(pipeline="stream", workers=1, epochs=1), set(multiprocessing.active_children())
    quietly(streamed, Protocol(protocol.audit, ROOT, 2, only=(0,)), tmp_path)
    assert set(multiprocessing.active_children()) <= before


def test_models_are_kept_only_where_another_recipe_needs_them_and_are_the_last_epochs(trained, protocol):
    assert trained.models_before == []
    models = sorted(path.relative_to(trained.folder).as_posix() for path in trained.folder.glob("**/best_model.pth"))
    assert models == [f"published/fold-{k}-seed-0/kept/best_model.pth" for k in (0, 1)]
    job = plan(RECIPES["published"], protocol, trained.folder / "published")[0]
    after = (job.folder / "predictions.csv").read_text()
    assert after == trained.before  # trained again for its model, to the same predictions
    loaders = make_loaders(protocol.audit, job.split, job.recipe, torch.device("cpu"))
    found = predict(load_best_model(job.folder / "kept"), loaders.val, pick_precision("auto", torch.device("cpu")))
    predicted = [line.split(",")[2] for line in after.splitlines()[1:]]
    assert [protocol.audit.photos.classes[i] for i in found.predicted] == predicted


def test_a_pupil_learns_from_the_same_fold_of_its_teacher(trained):
    for k in (0, 1):
        facts = facts_of(trained.folder / "pupil" / f"fold-{k}-seed-0")
        assert facts["recipe"]["teacher"].endswith(f"published/fold-{k}-seed-0/kept")


def test_a_teacher_from_elsewhere_is_kept(protocol, tmp_path):
    jobs = plan(small(teacher="work_dir/some-run"), protocol, tmp_path)
    assert {job.recipe.teacher for job in jobs} == {"work_dir/some-run"}


def test_a_recipe_that_only_predicts_otherwise_is_not_trained_and_predicts_the_same(trained, protocol, tmp_path):
    assert trained.ran == ["published", "published", "other", "other", "pupil", "pupil"]
    quietly(RECIPES["flip"], Protocol(protocol.audit, ROOT, 2, only=(1,)), tmp_path / "flip")
    fold = "fold-1-seed-0/predictions.csv"
    evaluated, trained_anew = (each / "flip" / fold for each in (trained.folder, tmp_path))
    assert evaluated.read_text() == trained_anew.read_text()
    assert evaluated.read_text() != (trained.folder / "published" / fold).read_text()
    assert trained.rows[2]["seconds_per_run"] == trained.rows[0]["seconds_per_run"] > 0


def test_a_model_is_kept_only_when_its_training_is_finished(copied, protocol):
    """A fold that is trained again, for its model, holds the best model so far meanwhile: not the one to evaluate."""
    job = plan(RECIPES["published"], protocol, copied / "published")[0]
    shutil.rmtree(job.folder / "kept")
    shutil.rmtree(copied / "flip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "fit", stopped_after_an_epoch)
        with pytest.raises(KeyboardInterrupt):
            run_fold(job, protocol, keep_model=True)
    assert (job.folder / "best_model.pth").exists()
    assert folds.is_finished(job.folder)
    assert not folds.is_finished(job.folder, with_model=True)
    quietly(RECIPES["flip"], Protocol(protocol.audit, ROOT, 2, only=(0,)), copied / "flip", reuse=copied / "published")
    flip = copied / "flip" / "fold-0-seed-0"
    assert (flip / "history.csv").exists()  # trained, since there was no model


def stopped_after_an_epoch(model, loaders, criterion, optimizer, schedule, run, log):
    def stop(text):
        if text.startswith("Epoch 1/"):
            run.save_best(model.state_dict(), Epoch(0, 0.1, 1.0, 0.5, 1.0, 0.5), loaders.classes)
            raise KeyboardInterrupt

    return fit(model, loaders, criterion, optimizer, schedule, run, stop)


def test_another_recipes_models_are_not_evaluated(copied, protocol):
    shutil.rmtree(copied / "flip")
    with pytest.raises(RunError, match=r"published.fold-0-seed-0 holds another recipe \(lr = 0\.001, now 0\.5\)"):
        quietly(small(lr=0.5, **INFERENCE), protocol, copied / "flip", reuse=copied / "published")
    assert not (copied / "flip" / "fold-0-seed-0" / "fold.json").exists()


def test_test_photos_are_in_no_fold(protocol, grow):
    with_folder = audit_photos(find_photos(grow({f"{p}/{c}": n for p, n in (("train", 3), ("test", 1)) for c in "ab"})))
    for own, fraction, number in ((protocol.audit, 0.2, 5), (with_folder, 0.0, 2)):
        apart = Protocol(own, ROOT, 2, test_fraction=fraction)
        test = set(set_test_aside(own, fraction)[0])
        assert len(test) == number
        used = [{*split.train, *split.val} for split in (apart.split(0, 0), apart.split(1, 0))]
        assert used == 2 * [set(range(len(own.photos))) - test]


def test_weights_that_have_seen_the_photos_held_out_are_refused(trained, protocol, tmp_path):
    mine, audit = tmp_path / "mine", protocol.audit
    shutil.copytree(trained.folder / "published" / "fold-0-seed-0" / folds.KEPT, mine)
    write_split(mine / "split.csv", audit.photos, Split(tuple(range(len(audit.photos))), ()))
    (mine / "environment.json").write_text(json.dumps({"data_fingerprint": audit.fingerprint}))
    recipe = small(weights=str(mine / "best_model.pth"))
    with pytest.raises(ParameterError, match=r"weights = .* was trained on 14 of the 14 photos that this run holds"):
        quietly(recipe, protocol, tmp_path / "folds")
