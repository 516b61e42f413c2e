"""One training of a cross-validation: train on the other folds, evaluate the last epoch's model on this one.

Each fold is a run folder of its own, so that an interrupted comparison continues at the step where it was.
"""

import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from helpers.common import device, files
from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.common.seeding import derive_seed
from helpers.data.audit import Audit
from helpers.data.loading.loaders import make_loaders
from helpers.data.near_duplicates import group_scenes
from helpers.data.split import Split, set_test_aside, stratified_folds, write_split
from helpers.evaluation.predictions import Predictions, predict
from helpers.models.averaging import with_tta
from helpers.models.weights import weights_digest
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.environment import git_commit
from helpers.runs.leakage import SPLIT
from helpers.runs.run import Run, open_run
from helpers.runs.saving import load_best_model
from helpers.training import assemble, fit

KEPT = "kept"  # in a fold's folder: the last epoch's model, if others need it
# The folds decide which photos are trained on; their fingerprint says which photos these are.
IRRELEVANT_SETTINGS = Recipe.names("name", "place", "data", "machine")
INFERENCE_SETTINGS = Recipe.names("inference")


@dataclass(frozen=True)
class Protocol:
    """How recipes are cross-validated. The folds depend on no recipe, so that recipes are compared photo by photo."""

    audit: Audit
    root: Path  # the project's
    folds: int = 5
    seeds: tuple[int, ...] = (0,)
    only: tuple[int, ...] = ()  # run these folds alone; empty: all
    share: float = 1.0  # of the other folds' photos, how many to train on, in (0, 1]; for learning curves
    test_fraction: float = 0.0  # of all photos, how many are kept for a test: no fold has them, nor those in test/

    def __post_init__(self) -> None:
        if not isinstance(self.folds, int) or self.folds < 2:
            raise ParameterError(f"folds = {self.folds!r}: a whole number of at least 2 is needed")
        if not 0 < self.share <= 1:
            raise ParameterError(f"share = {self.share}: more than 0 and at most 1 is needed")

    @cached_property
    def scenes(self) -> np.ndarray:
        """The scene of each photo, int64 ``(n,)``: near-duplicates share one."""
        return group_scenes(self.audit)

    @cached_property
    def fold(self) -> np.ndarray:
        """The fold that holds each photo out, int64 ``(n,)``: scenes whole, classes in equal shares; -1: test photo."""
        fold = np.full(len(self.audit.photos), -1)
        rows = list(set_test_aside(self.audit, self.test_fraction)[1])
        fold[rows] = stratified_folds(self.audit.photos.subset(rows), self.scenes[rows], self.folds)
        return fold

    def split(self, k: int, seed: int) -> Split:
        """Return the photos to train on, and those of fold ``k``, which are held out."""
        training, held_out = np.flatnonzero((self.fold != k) & (self.fold >= 0)), np.flatnonzero(self.fold == k)
        if self.share < 1:  # of each class alike; a smaller share is part of a larger one
            order = np.random.default_rng(derive_seed(seed, "share", k)).permutation(training)
            labels = np.array(self.audit.photos.labels)[order]
            classes = [order[labels == label] for label in np.unique(labels)]
            training = np.sort(np.concatenate([each[: max(1, round(self.share * len(each)))] for each in classes]))
        return Split(tuple(training.tolist()), tuple(held_out.tolist()))


class Fold(NamedTuple):
    """One training of a cross-validation."""

    folder: Path
    recipe: Recipe  # with this fold's seed, and its own teacher: a folder, seen from the project's root
    split: Split
    reuse: Path | None = None  # the same fold of a recipe that trains alike: its model is evaluated, not trained anew


def plan(recipe: Recipe, protocol: Protocol, folder: Path, teacher: str = "", reuse: Path | None = None) -> list[Fold]:
    """Return the trainings of ``cross_validate``, whose arguments these are."""
    jobs = []
    for seed in protocol.seeds:
        for k in protocol.only or range(protocol.folds):
            name = f"fold-{k}-seed-{seed}"
            own = f"{teacher}/{name}/{KEPT}" if teacher else recipe.teacher
            fold_recipe = replace(recipe, seed=seed, teacher=own)
            jobs.append(Fold(folder / name, fold_recipe, protocol.split(k, seed), reuse / name if reuse else None))
    return jobs


def run_fold(job: Fold, protocol: Protocol, patience: float = -1, keep_model: bool = False) -> bool:
    """Run a training unless it is finished, or another process is at it.

    Args:
        patience: seconds to wait for that process; negative: until it is done.
        keep_model: keep the last epoch's model for other recipes; the folds of a comparison are many.

    Returns:
        Whether it is finished. It is not if another process is at it, or its teacher's model is missing.
    """
    if is_finished(job.folder, keep_model):
        return True
    if job.recipe.teacher and not (protocol.root / job.recipe.teacher / "best_model.json").exists():
        return False
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        locks.hold(job.folder, "fold", patience)
    except RunError:
        return False
    try:
        if not is_finished(job.folder, keep_model):  # it may have been finished meanwhile
            _run(job, protocol, keep_model)
    finally:
        gc.collect()  # ends the processes that read its photos; the next fold's would inherit what is left of them
        locks.release(job.folder)
        locks.release(job.folder, "fold")
    return True


def is_finished(folder: Path, with_model: bool = False) -> bool:
    """Tell whether the fold has been run; ``with_model``: whether its model is there too, if it has one."""
    path = folder / "fold.json"
    if not path.exists() or not with_model:
        return path.exists()
    return (folder / KEPT / "best_model.json").exists() or '"diverged"' in path.read_text(encoding="utf-8")


def _run(job: Fold, protocol: Protocol, keep_model: bool) -> None:
    """Train on the other folds, and write the last epoch's predictions for this one."""
    audit = protocol.audit
    run = open_run(job.recipe, protocol.root, job.folder)
    run.save_environment(audit.fingerprint)
    write_split(job.folder / SPLIT, audit.photos, job.split)  # a teacher, or weights, may have seen the photos held out
    names = [audit.photos.names[i] for i in job.split.val]
    facts = {
        "recipe": job.recipe.to_dict(),
        "fingerprint": audit.fingerprint,
        "names": names,
        "train_photos": len(job.split.train),
        "commit": git_commit(protocol.root),
        "machine": device.describe(run.device),
        "weights_sha256": weights_digest(job.recipe.backbone, run.locate(job.recipe.weights)),
    }
    try:
        if job.reuse and not keep_model and is_finished(job.reuse, with_model=True):
            trained = read_fold(job.reuse, job, audit, INFERENCE_SETTINGS)
            predictions, seconds = _evaluate_kept_model(job, run, audit), trained["seconds"]
            facts |= {key: ", ".join(dict.fromkeys([trained[key], facts[key]])) for key in ("commit", "machine")}
        else:
            predictions, seconds = _train(job, run, audit, keep_model)
        run.save_predictions(predictions, names, audit.photos.classes)
        facts |= {"correct": (predictions.predicted == predictions.labels).int().tolist(), "seconds": seconds}
    except DivergedError as error:
        facts |= {"diverged": str(error)}
    files.write_json(job.folder / "fold.json", facts)
    for rest in ("last.ckpt", "previous.ckpt", "best_model.pth", "best_model.json"):
        (job.folder / rest).unlink(missing_ok=True)


def _train(job: Fold, run: Run, audit: Audit, keep_model: bool) -> tuple[Predictions, float]:
    """Return the last epoch's predictions and the seconds of its training."""
    result = fit(*assemble(run, audit, job.split, run.cache), run, lambda text: None)
    if not torch.isfinite(result.last_predictions.logits).all():  # the very last step may have done it
        raise DivergedError("after the last step the model's logits are not finite: lower lr")
    if keep_model:
        (job.folder / KEPT).mkdir(exist_ok=True)
        kept = replace(run, folder=job.folder / KEPT)
        kept.save_best(result.last_model.state_dict(), result.history[-1], audit.photos.classes)
    return result.last_predictions, sum(result.epoch_seconds)


def _evaluate_kept_model(job: Fold, run: Run, audit: Audit) -> Predictions:
    """Return the predictions of the model that was trained for another recipe."""
    model = with_tta(load_best_model(job.reuse / KEPT, run.device), job.recipe).eval()
    loaders = make_loaders(audit, job.split, job.recipe, run.device, cache=run.cache)
    return predict(model, loaders.val, run.precision)


def read_fold(folder: Path, job: Fold, audit: Audit, ignored: Sequence[str] = ()) -> dict[str, Any]:
    """Read a finished fold and check that it is this job's, but for the settings that are ignored.

    Raises:
        DivergedError: its training diverged.
        RunError: it is damaged, or of other photos or another recipe.
    """
    facts, wrong = read_facts(folder), ""
    if facts["fingerprint"] != audit.fingerprint:
        wrong = "is of other photos"
    elif facts["train_photos"] != len(job.split.train):
        wrong = f"was trained on {facts['train_photos']} photos, not {len(job.split.train)}"
    elif facts["names"] != [audit.photos.names[i] for i in job.split.val]:  # by another rule of folds, perhaps
        wrong = "held out other photos than this fold does now"
    elif changed := job.recipe.changed_since(facts["recipe"], (*IRRELEVANT_SETTINGS, *ignored)):
        then, now = (each.get(changed[0], "no setting") for each in (facts["recipe"], job.recipe.to_dict()))
        wrong = f"holds another recipe ({changed[0]} = {then!r}, now {now!r})"
    if wrong:
        raise RunError(f"{folder} {wrong}: choose another --name, or delete the folder")
    if "diverged" in facts:
        raise DivergedError(facts["diverged"])
    return facts


def read_facts(folder: Path) -> dict[str, Any]:
    """Read a finished fold: ``correct`` (a number per photo held out), ``seconds``, ``commit``, ``machine`` and more.

    Raises RunError: it is not finished, or damaged.
    """
    path = folder / "fold.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        for name in ("recipe", "fingerprint", "names", "train_photos", "commit", "machine"):
            facts[name]
        if "diverged" not in facts:
            facts |= {"correct": [float(value) for value in facts["correct"]], "seconds": float(facts["seconds"])}
        return facts
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is missing or damaged ({error}): delete the folder, and the fold is run again"
        ) from error
