"""How the photos are divided for a cross-validation: folds, and the trainings that they make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.audit import Audit
from helpers.errors import ParameterError
from helpers.recipe import Recipe
from helpers.seeds import derive_seed
from helpers.split import Split

KEPT = "kept"  # in a fold's folder: the last epoch's model, if others need it


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
