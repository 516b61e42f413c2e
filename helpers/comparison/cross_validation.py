"""Cross-validation: every photo is held out once, and no run is asked about photos that it has seen.

Counted are the predictions after the last epoch. Each fold is a run folder of its own, so that a
cross-validation that is interrupted goes on at the step where it was.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.common.errors import RunError
from helpers.comparison.folds import origin_of, plan, read, run
from helpers.data.audit import Audit
from helpers.data.near_duplicates import group_scenes
from helpers.data.split import stratified_folds
from helpers.evaluation import statistics
from helpers.recipe import Recipe


@dataclass(frozen=True)
class CrossValidation:
    """What came out: a row per photo that was held out, in the audit's order."""

    recipe: Recipe
    folds: int
    seeds: tuple[int, ...]
    right: np.ndarray  # float64 (n,): the share of the seeds that were right; nan if its fold was not run
    scenes: np.ndarray  # int64 (n,): photos of one scene are in one fold
    fold: np.ndarray  # int64 (n,): the fold that holds the photo out
    seconds_per_run: float  # of training, on average
    train_photos: float  # on average
    commits: tuple[str, ...]  # of the code that ran the folds
    machines: tuple[str, ...]  # that they ran on

    @property
    def held_out(self) -> np.ndarray:
        """bool ``(n,)``: the photos about which something is known."""
        return ~np.isnan(self.right)

    @property
    def accuracy(self) -> statistics.Estimate:
        return statistics.accuracy(self.right[self.held_out], self.scenes[self.held_out])

    def difference(self, base: CrossValidation) -> statistics.Estimate:
        """How much more of the same photos this recipe gets right than ``base``."""
        both = self.held_out & base.held_out
        return statistics.difference(self.right[both], base.right[both], self.scenes[both])


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
        scenes: of ``group_scenes``, where they are known already.
        share: of the other folds' photos, how many to train on, in (0, 1]; for learning curves.
        teacher: folder of another recipe's cross-validation, with models kept: each fold learns from the same fold's
            model, which has not seen the photos held out either.
        trained: folder of a cross-validation, with models kept, of a recipe that differs in nothing but
            ``INFERENCE_SETTINGS``: its models are asked,
            which gives what another training would (up to rounding, where the head alone is trained
            on features). Where one is missing, it is trained.

    Raises:
        ParameterError: a class has fewer different photos than there are folds.
        DivergedError: a training ran away.
        RunError: the folder holds the folds of another recipe, or the teacher's model is missing.
    """
    scenes = group_scenes(audit) if scenes is None else scenes
    right = np.full((len(seeds), len(scenes)), np.nan)
    fold = stratified_folds(audit, scenes, folds)
    seconds, sizes, origins = [], [], []
    for job in plan(recipe, audit, folder, folds, seeds, only, scenes, share, teacher, trained):
        if not run(job, audit, root):
            raise RunError(f"{job.place} is to learn from {job.teacher}, which has kept no model: run that one first")
        facts = read(job.place, job.recipe, audit, job.split)
        right[job.seed_index, list(job.split.val)] = facts["right"]
        seconds.append(facts["seconds"])
        sizes.append(len(job.split.train))
        origins.append(origin_of(job.place))
        log(f"{job.place.name}: {np.mean(facts['right']):.2%} of {len(job.split.val)} photos, {facts['seconds']:.0f} s")
    means = (float(np.mean(seconds)), float(np.mean(sizes)))
    commits, machines = (tuple(dict.fromkeys(each)) for each in zip(*origins, strict=True))
    return CrossValidation(recipe, folds, tuple(seeds), right.mean(0), scenes, fold, *means, commits, machines)


def to_csv(results: dict[str, CrossValidation], audit: Audit) -> str:
    """A row per photo, a column per recipe: the share of its runs that were right while the photo was held out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "class", "scene", "fold", *results])
    columns = [each.right for each in results.values()]
    first = next(iter(results.values()))
    for i, name in enumerate(audit.photos.names):
        values = ["" if np.isnan(column[i]) else f"{column[i]:g}" for column in columns]
        writer.writerow([name, audit.photos.classes[audit.photos.labels[i]], first.scenes[i], first.fold[i], *values])
    return text.getvalue()
