"""How the photos are divided for a cross-validation: folds, and the trainings that they make."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from helpers.common import device, files
from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.common.seeding import derive_seed
from helpers.data.audit import Audit
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import Split, stratified_folds
from helpers.evaluation.predictions import Predictions, predict
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.environment import git_commit
from helpers.runs.run import Run, open_run
from helpers.runs.saving import load_best_model
from helpers.training.loop import fit
from helpers.training.optimization import make_loss
from helpers.training.setup import assemble

# How the photos are divided into folds: rows of different rules are never put into one file or one comparison.
FOLD_RULE = "greedy, before StratifiedGroupKFold"

KEPT = "kept"  # in a fold's folder: the last epoch's model, if others need it


class Fold(NamedTuple):
    """One training of a cross-validation."""

    place: Path
    recipe: Recipe
    seed_index: int
    split: Split
    teacher: str = ""  # the same fold of the row whose model it learns from, seen from the project's root
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
            taught = {"teacher": f"{teacher}/{name}/{KEPT}"} if teacher else {}
            links = (f"{teacher}/{name}" if teacher else "", trained / name if trained else None)
            jobs.append(Fold(folder / name, replace(recipe, seed=seed, **taught), s, split, *links))
    return jobs


def _thinned(rows: np.ndarray, audit: Audit, share: float, seed: int) -> np.ndarray:
    """The same share of each class's rows. A smaller share is part of a larger one."""
    if not 0 < share <= 1:
        raise ParameterError(f"share = {share}: more than 0 and at most 1 is needed")
    order = np.random.default_rng(seed).permutation(rows)
    labels = np.array(audit.photos.labels)[order]
    kept = [order[labels == label][: max(1, round(share * (labels == label).sum()))] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


# The folds decide which photos are trained on; their fingerprint says which photos these are.
IRRELEVANT_SETTINGS = Recipe.names("name", "place", "data", "machine")


INFERENCE_SETTINGS = Recipe.names("inference")


def run(job: Fold, audit: Audit, root: Path, patience: float = -1, keep_model: bool = False) -> bool:
    """Run a training unless it is finished, or another process is at it.

    Args:
        keep_model: keep the last epoch's model for other rows; the folds of a comparison are many.
        patience: seconds to wait for that process; negative: until it is done.

    Returns:
        Whether it is finished. It is not if another process is at it, or its teacher is missing.
    """
    if is_finished(job.place, keep_model):
        return True
    if job.teacher and not has_model(root / job.teacher):
        return False
    job.place.mkdir(parents=True, exist_ok=True)
    try:
        locks.hold(job.place, "fold", patience)
    except RunError:
        return False
    try:
        if not is_finished(job.place, keep_model):  # it may have been finished meanwhile
            _run_fold(job, audit, root, keep_model)
    finally:
        gc.collect()  # ends the processes that read its photos; the next fold's would inherit what is left of them
        locks.release(job.place)
        locks.release(job.place, "fold")
    return True


def has_model(place: Path) -> bool:
    """Whether the fold's last model was kept, and is whole."""
    return (place / KEPT / "best_model.json").exists()  # is written after the weights


def is_finished(place: Path, keep_model: bool = False) -> bool:
    """Whether the fold has been run; with ``keep_model``, whether its model is there too, if it has one."""
    path = place / "fold.json"
    return path.exists() and (not keep_model or has_model(place) or '"diverged"' in path.read_text(encoding="utf-8"))


def _run_fold(job: Fold, audit: Audit, root: Path, keep_model: bool) -> None:
    """Train on the other folds, and write what the last epoch's model says about this one."""
    start, place = time.perf_counter(), job.place
    run = open_run(job.recipe, root, place)
    run.save_environment(audit.fingerprint)
    names = [audit.photos.names[i] for i in job.split.val]
    facts = {"recipe": job.recipe.to_dict(), "fingerprint": audit.fingerprint, "names": names}
    facts |= {"train_photos": len(job.split.train)}
    origin = {"commit": git_commit(root), "machine": device.describe(run.device)}
    try:
        if job.trained and not keep_model and is_finished(job.trained, keep_model=True):
            predictions, seconds, before = _ask(job, run, audit)
            origin = {key: ", ".join(dict.fromkeys([before[key], value])) for key, value in origin.items()}
        else:
            predictions, seconds = _train(job, run, audit, keep_model)
        run.save_predictions(predictions, names, audit.photos.classes)
        facts |= {"right": (predictions.predicted == predictions.labels).int().tolist(), "seconds": seconds}
    except DivergedError as error:
        facts |= {"diverged": str(error)}
    facts |= origin | {"whole_seconds": time.perf_counter() - start}
    files.write_json(place / "fold.json", facts)
    for rest in ("last.ckpt", "previous.ckpt", "best_model.pth", "best_model.json"):
        (place / rest).unlink(missing_ok=True)


def _train(job: Fold, run: Run, audit: Audit, keep_model: bool) -> tuple[Predictions, float]:
    """What the last epoch's model says, and the seconds of its training."""
    recipe = job.recipe
    model, feeds, optimizer, schedule = assemble(run, audit, job.split, run.cache)
    history = fit(model, feeds, make_loss(recipe.label_smoothing), optimizer, schedule, run, lambda text: None)
    if not torch.isfinite(run.last_predictions.logits).all():  # the very last step may have done it
        raise DivergedError("after the last step the model's answers are no numbers: lower lr")
    if keep_model:
        (job.place / KEPT).mkdir(exist_ok=True)
        kept = replace(run, folder=job.place / KEPT)
        kept.save_best(run.last_model.state_dict(), history[-1], audit.photos.classes)
    return run.last_predictions, run.training_seconds


def _ask(job: Fold, run: Run, audit: Audit) -> tuple[Predictions, float, dict[str, Any]]:
    """What the model that was trained for another row says, the seconds of its training, and that row's facts."""
    before = read(job.trained, job.recipe, audit, job.split, INFERENCE_SETTINGS)
    model = with_tta(load_best_model(job.trained / KEPT, run.device), job.recipe).eval()
    feeds = make_loaders(audit, job.split, job.recipe, run.device, cache=run.cache)
    commit, described = origin_of(job.trained)
    return predict(model, feeds.val, run.precision), before["seconds"], {"commit": commit, "machine": described}


def read(place: Path, recipe: Recipe, audit: Audit, split: Split, ignored: Sequence[str] = ()) -> dict[str, Any]:
    """What a finished fold found: ``right`` (float, a number per photo held out), ``seconds`` and more.

    Args:
        ignored: settings in which it may differ from ``recipe``.

    Raises:
        DivergedError: its training ran away.
        RunError: it is damaged, or of other photos or another recipe.
    """
    path = place / "fold.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        before = facts["recipe"]
        right = [] if "diverged" in facts else [float(value) for value in facts["right"]]
        if facts["fingerprint"] != audit.fingerprint:
            raise RunError(f"{path} is of other photos: choose another folder, or delete this one")
        if facts["train_photos"] != len(split.train):
            raise RunError(f"{path} was trained on {facts['train_photos']} photos, not {len(split.train)}: delete it")
        if facts["names"] != [audit.photos.names[i] for i in split.val]:  # by another version of a library, perhaps
            raise RunError(f"{path} held out other photos than this fold does now: choose another name, or delete it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}): delete the folder, and the fold is run again") from error
    if changed := recipe.changed_since(before, (*IRRELEVANT_SETTINGS, *ignored)):
        then, now = (settings.get(changed[0], "no setting") for settings in (before, recipe.to_dict()))
        raise RunError(
            f"{place} holds another recipe ({changed[0]} = {then!r}, now {now!r}): "
            "choose another name for this one, or delete the folder"
        )
    if "diverged" in facts:
        raise DivergedError(facts["diverged"])
    return facts | {"right": right}


def origin_of(place: Path) -> tuple[str, str]:
    """The commit of the code that ran a finished fold, and the machine that it ran on.

    Raises:
        RunError: the fold is not finished, or what it says of itself is damaged.
    """
    try:
        facts, environment = (
            json.loads((place / name).read_text(encoding="utf-8")) for name in ("fold.json", "environment.json")
        )
        return facts["commit"], facts.get("machine") or environment["device_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{place} is not finished, or damaged ({error}): delete it, and the fold is run again"
        ) from error
