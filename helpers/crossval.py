"""Cross-validation: every photo is held out once, and no run is asked about photos that it has seen.

Counted are the predictions after the last epoch. Each fold is a run folder of its own, so that a
cross-validation that is interrupted goes on at the step where it was.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import checkpoint, compare, locks
from helpers.assemble import assemble
from helpers.audit import Audit
from helpers.duplicates import same_scenes
from helpers.errors import ParameterError, RunError
from helpers.evaluate import Predictions, predict
from helpers.feeds import open_feeds
from helpers.recipe import PLACES, Recipe
from helpers.runs import Run, environment, git_commit, open_run
from helpers.saved import load_best_model
from helpers.seeds import derive_seed
from helpers.split import Split
from helpers.training import fit, make_loss
from helpers.views import as_tested

SAME_RESULT = (*PLACES, "device", "pipeline", "memory_limit_gb", "workers", "preset", "dataset", "train_fraction")
ASKED = ("test_size", "test_flip", "test_scales", "val_resize")  # how a model is asked: no part of its training
KEPT = ("fold.json", "best_model.pth")  # of a finished fold; the second only if others need its model


@dataclass(frozen=True)
class CrossValidation:
    """What came out: a row per photo that was held out, in the audit's order."""

    recipe: Recipe
    folds: int
    seeds: tuple[int, ...]
    right: np.ndarray  # float64 (n,): the share of the seeds that were right; nan if its fold was not run
    scenes: np.ndarray  # int64 (n,): photos of one scene are in one fold
    seconds_per_run: float  # of training, on average
    train_photos: float  # on average
    commits: tuple[str, ...]  # of the code that ran the folds
    machines: tuple[str, ...]  # that they ran on

    @property
    def held_out(self) -> np.ndarray:
        """bool ``(n,)``: the photos about which something is known."""
        return ~np.isnan(self.right)

    @property
    def accuracy(self) -> compare.Estimate:
        return compare.accuracy(self.right[self.held_out], self.scenes[self.held_out])

    def difference(self, base: CrossValidation) -> compare.Estimate:
        """How much more of the same photos this recipe gets right than ``base``."""
        both = self.held_out & base.held_out
        return compare.difference(self.right[both], base.right[both], self.scenes[both])


def stratified_folds(audit: Audit, scenes: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """A fold for every photo, int64 ``(n,)``: classes in equal shares, scenes whole.

    Raises:
        ParameterError: a class has fewer scenes than there are folds.
    """
    labels = np.array(audit.photos.labels)
    counts = np.zeros((folds, len(audit.photos.classes)))
    for label, name in enumerate(audit.photos.classes):
        if (n := len(np.unique(scenes[labels == label]))) < folds:
            raise ParameterError(f"folds = {folds}: class {name!r} has {n} different photos, choose at most as many")
    order = np.random.default_rng(derive_seed(seed, "folds")).permutation(scenes.max() + 1)
    members = [np.flatnonzero(scenes == scene) for scene in order]
    fold = np.empty(len(labels), dtype=np.int64)
    for rows in sorted(members, key=len, reverse=True):  # a stable sort: large scenes first, else at random
        # Where its classes are rarest so far; where that leaves a choice, the smallest fold.
        classes = np.bincount(labels[rows], minlength=counts.shape[1])
        best = min(range(folds), key=lambda k: (counts[k] @ classes, counts[k].sum()))
        fold[rows], counts[best] = best, counts[best] + classes
    return fold


class Fold(NamedTuple):
    """One training of a cross-validation."""

    place: Path
    recipe: Recipe
    seed_index: int
    split: Split
    trained: Path | None = None  # the same fold of a row that is trained in the same way, and only asked otherwise


def plan(
    recipe: Recipe,
    audit: Audit,
    folder: Path,
    folds: int,
    seeds: tuple[int, ...],
    only: tuple[int, ...] | None,
    scenes: np.ndarray,
    share: float,
    teacher: str = "",
    trained: Path | None = None,
) -> list[Fold]:
    """The trainings of ``cross_validate``, whose arguments these are."""
    fold = stratified_folds(audit, scenes, folds)
    jobs = []
    for s, seed in enumerate(seeds):
        for k in range(folds) if only is None else only:
            training = _thinned(np.flatnonzero(fold != k), audit, share, derive_seed(seed, "share", k))
            split = Split(tuple(training.tolist()), tuple(np.flatnonzero(fold == k).tolist()))
            name = f"fold-{k}-seed-{seed}"
            taught = {"teacher": f"{teacher}/{name}"} if teacher else {}
            same = trained / name if trained else None
            jobs.append(Fold(folder / name, replace(recipe, seed=seed, **taught), s, split, same))
    return jobs


def run(job: Fold, audit: Audit, root: Path, patience: float = -1, keep_model: bool = False) -> bool:
    """Run a training unless it is finished, or another process is at it.

    Args:
        keep_model: keep the last epoch's model, as a teacher; the folds of a comparison are many.
        patience: seconds to wait for that process; negative: until it is done.

    Returns:
        Whether it is finished.
    """
    needed = [job.place / name for name in KEPT[: 2 if keep_model else 1]]
    if all(path.exists() for path in needed):
        return True
    job.place.mkdir(parents=True, exist_ok=True)
    try:
        locks.hold(job.place, "fold", patience)
    except RunError:
        return False
    try:
        if not all(path.exists() for path in needed):  # it may have been finished meanwhile
            _run_fold(job, audit, root, keep_model)
    finally:
        locks.release(job.place, "fold")
    return True


def cross_validate(
    recipe: Recipe,
    audit: Audit,
    folder: Path,
    root: Path,
    folds: int = 5,
    seeds: tuple[int, ...] = (0,),
    only: tuple[int, ...] | None = None,
    scenes: np.ndarray | None = None,
    log: Callable[[str], None] = print,
    share: float = 1.0,
    teacher: str = "",
    trained: Path | None = None,
) -> CrossValidation:
    """Train and test the recipe on every fold with every seed, in ``folder/fold-<k>-seed-<s>``.

    Folds that are finished are read, not run again; a fold that another process is at is waited for. The folds do not
    depend on the recipe or its seed, so that two recipes can be compared photo by photo.

    Args:
        only: these folds; by default all.
        scenes: of ``same_scenes``, where they are known already.
        share: of the other folds' photos, how many to train on, in (0, 1]; for learning curves.
        teacher: folder of another recipe's cross-validation, with models kept: each fold learns from the same fold's
            model, which has not seen the photos held out either.
        trained: folder of a cross-validation, with models kept, of a recipe that differs in nothing but ``ASKED``: its
            models are asked, which gives what another training would. Where one is missing, it is trained.

    Raises:
        ParameterError: a class has fewer different photos than there are folds.
        RunError: the folder holds the folds of another recipe.
    """
    scenes = same_scenes(audit) if scenes is None else scenes
    right = np.full((len(seeds), len(scenes)), np.nan)
    seconds, sizes, origins = [], [], []
    for job in plan(recipe, audit, folder, folds, seeds, only, scenes, share, teacher, trained):
        run(job, audit, root)
        facts = _read_fold(job.place, job.recipe, audit, len(job.split.train))
        right[job.seed_index, list(job.split.val)] = facts["right"]
        seconds.append(facts["seconds"])
        sizes.append(len(job.split.train))
        origins.append(origin_of(job.place))
        log(f"{job.place.name}: {np.mean(facts['right']):.2%} of {len(job.split.val)} photos, {facts['seconds']:.0f} s")
    means = (float(np.mean(seconds)), float(np.mean(sizes)))
    commits, machines = (tuple(dict.fromkeys(each)) for each in zip(*origins, strict=True))
    return CrossValidation(recipe, folds, tuple(seeds), right.mean(0), scenes, *means, commits, machines)


def origin_of(place: Path) -> tuple[str, str]:
    """The commit of the code that ran a finished fold, and the machine that it ran on.

    Raises:
        RunError: the fold is not finished, or what it says of itself is damaged.
    """
    try:
        facts, environment = (
            json.loads((place / name).read_text(encoding="utf-8")) for name in ("fold.json", "environment.json")
        )
        return facts["commit"], environment["device_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{place} is not finished, or damaged ({error}): delete it, and the fold is run again"
        ) from error


def _thinned(rows: np.ndarray, audit: Audit, share: float, seed: int) -> np.ndarray:
    """The same share of each class's rows. A smaller share is part of a larger one."""
    if not 0 < share <= 1:
        raise ParameterError(f"share = {share}: more than 0 and at most 1 is needed")
    order = np.random.default_rng(seed).permutation(rows)
    labels = np.array(audit.photos.labels)[order]
    kept = [order[labels == label][: max(1, round(share * (labels == label).sum()))] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


def _run_fold(job: Fold, audit: Audit, root: Path, keep_model: bool) -> None:
    """Train on the other folds, and write what the last epoch's model says about this one."""
    recipe, split, place = job.recipe, job.split, job.place
    start = time.perf_counter()
    run = open_run(recipe, root, place)
    run.save_environment(environment(run, audit.fingerprint))
    if job.trained and not keep_model and all((job.trained / name).exists() for name in KEPT):
        predictions, seconds = _ask(job, run, audit)
    else:
        model, feeds, optimizer, schedule = assemble(run, audit, split, run.cache)
        history = fit(model, feeds, make_loss(recipe.label_smoothing), optimizer, schedule, run, lambda text: None)
        predictions, seconds = run.last_predictions, run.training_seconds
    names = [audit.photos.names[i] for i in split.val]
    run.save_predictions(predictions, names, audit.photos.classes)
    right = (predictions.predicted == predictions.labels).int().tolist()
    facts = {"recipe": recipe.to_dict(), "fingerprint": audit.fingerprint, "names": names, "right": right}
    facts |= {"train_photos": len(split.train), "commit": git_commit(root)}
    facts |= {"seconds": seconds, "whole_seconds": time.perf_counter() - start}
    checkpoint.write_json(place / "fold.json", facts)
    if keep_model:  # the last, not the best: that one was chosen on the photos held out
        run.save_best(run.last_model.state_dict(), history[-1], audit.photos.classes)
    for rest in ("last.ckpt", "previous.ckpt", *(() if keep_model else ("best_model.pth",))):
        (place / rest).unlink(missing_ok=True)
    locks.release(place)


def _ask(job: Fold, run: Run, audit: Audit) -> tuple[Predictions, float]:
    """What the model that was trained for another row says, and the seconds that it was trained for."""
    model = as_tested(load_best_model(job.trained, run.device), job.recipe).eval()
    feeds = open_feeds(audit, job.split, job.recipe, run.device, cache=run.cache)
    facts = json.loads((job.trained / "fold.json").read_text(encoding="utf-8"))
    return predict(model, feeds.val, run.precision), facts["seconds"]


def _read_fold(place: Path, recipe: Recipe, audit: Audit, train_photos: int) -> dict:
    path = place / "fold.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        before, right = facts["recipe"], [float(value) for value in facts["right"]]
        if facts["fingerprint"] != audit.fingerprint:
            raise RunError(f"{path} is of other photos: choose another folder, or delete this one")
        if facts["train_photos"] != train_photos:
            raise RunError(f"{path} was trained on {facts['train_photos']} photos, not {train_photos}: delete it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path} is damaged ({error}): delete the folder, and the fold is run again") from error
    # What an earlier version did not know, it did as the default says.
    now, before = recipe.to_dict(), Recipe().to_dict() | before
    if changed := [name for name in now if name not in SAME_RESULT and before.get(name) != now[name]]:
        raise RunError(
            f"{place} holds another recipe ({changed[0]} = {before.get(changed[0])!r}, now {now[changed[0]]!r}): "
            "choose another name for this one, or delete the folder"
        )
    return facts | {"right": right}


def to_csv(results: dict[str, CrossValidation], audit: Audit) -> str:
    """A row per photo, a column per recipe: the share of its runs that were right while the photo was held out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "class", "scene", *results])
    columns = [each.right for each in results.values()]
    scenes = next(iter(results.values())).scenes
    for i, name in enumerate(audit.photos.names):
        values = ["" if np.isnan(column[i]) else f"{column[i]:g}" for column in columns]
        writer.writerow([name, audit.photos.classes[audit.photos.labels[i]], scenes[i], *values])
    return text.getvalue()
