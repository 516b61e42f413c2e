"""The comparison of recipes: ``python -m helpers compare --data photos --output comparison.json``.

Each row is a cross-validation on the same folds, compared with the seed recipe photo by photo. Rows and folds that
are finished are read: the same command goes on where it was interrupted, and started twice it shares the work. With
``--shares`` the rows are learning curves: the same recipe on a part of the training photos. Settings given with ``-p``
are those of the seed recipe and of its single changes; the presets have their own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from helpers.common import files
from helpers.common.errors import DivergedError, ParameterError
from helpers.comparison.cross_validation import CrossValidation, cross_validate, to_csv
from helpers.comparison.folds import FOLD_RULE, is_finished, plan, run
from helpers.comparison.recipes import UNTOLD, shares_training_with
from helpers.data.audit import Audit
from helpers.data.near_duplicates import group_scenes
from helpers.evaluation import statistics
from helpers.recipe import Recipe


def compare(
    table: dict[str, Recipe],
    audit: Audit,
    folder: Path,
    root: Path,
    folds: int,
    only: tuple[int, ...],
    seeds: tuple[int, ...],
    share: float = 1.0,
    base: str = "seed",
) -> tuple[list[dict[str, Any]], dict[str, CrossValidation]]:
    """A row of numbers for each recipe, and the cross-validations behind them; written after each.

    A recipe of which a training runs away gets no row, but a line on stderr; so does what it was to teach.

    Args:
        base: the row that the others are compared with, where it comes before them.

    Raises:
        DivergedError: a training of ``base`` ran away.
    """
    scenes = group_scenes(audit)
    if missing := {recipe.teacher for recipe in table.values()} - {"", *table}:
        raise ParameterError(f"a row is taught by {missing.pop()!r}, which is not among the rows: add it to --rows")
    places = {name: place_of(folder, name, share) for name in table}
    same = shares_training_with(table)
    links = {
        name: {
            "teacher": _seen_from(root, places[recipe.teacher]) if recipe.teacher else "",
            "trained": places[same[name]] if name in same else None,
        }
        for name, recipe in table.items()
    }
    for name, recipe in table.items():  # first what no other process is at, so that several can share the work
        waiting = [other for other in table if same.get(other) == name or table[other].teacher == name]
        for job in plan(recipe, audit, places[name], folds, seeds, only, scenes, share, **links[name]):
            print(f"{name}, {job.place.name}", flush=True)
            needed = any(not is_finished(places[other] / job.place.name) for other in waiting)
            run(job, audit, root, patience=0, keep_model=needed)
    results: dict[str, CrossValidation] = {}
    numbers = []
    lost: dict[str, str] = {}
    for name, recipe in table.items():
        print(f"{name}: {_seen_from(root, places[name])}", flush=True)
        try:
            if recipe.teacher in lost:
                raise DivergedError(f"its teacher {recipe.teacher!r} ran away")
            found = cross_validate(
                recipe, audit, places[name], root, folds, seeds, only, scenes, share=share, **links[name]
            )
        except DivergedError as error:
            if name == base:
                raise DivergedError(f"{name}, with which the others are to be compared, ran away: {error}") from error
            lost[name] = str(error)
            print(f"{name} gets no row: {error}", file=sys.stderr, flush=True)
            continue
        results[name] = found
        numbers.append(numbers_of(name, found, results.get(base), len(only)))
        print(f"  {found.accuracy}", flush=True)
        files.write_json(folder / "comparison.json", numbers)
        files.write_atomically(folder / "photos.csv", to_csv(results, audit).encode())
    return numbers, results


def _seen_from(root: Path, place: Path) -> str:
    return str(place.relative_to(root) if place.is_relative_to(root) else place)


def numbers_of(name: str, found: CrossValidation, seed: CrossValidation | None, folds: int) -> dict[str, Any]:
    """One row of ``comparison.json``; its differences are None if the seed recipe is not among the rows."""
    recipe, accuracy = found.recipe, found.accuracy
    gain = found.difference(seed) if seed else statistics.Estimate(None, None, None)
    plain = seed.recipe if seed else Recipe()
    return {
        "recipe": name,
        "backbone": recipe.backbone,
        "folds": folds,
        "seeds": len(found.seeds),
        "fold_rule": FOLD_RULE,
        "photos": int(found.held_out.sum()),
        "train_photos": round(found.train_photos),
        "accuracy_mean": accuracy.mean,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "difference_mean": gain.mean,
        "difference_low": gain.low,
        "difference_high": gain.high,
        "seconds_per_run": found.seconds_per_run,
        "image_size": recipe.image_size,
        "epochs": recipe.epochs,
        "settings": {n: v for n, v in recipe.to_dict().items() if v != getattr(plain, n) and n not in UNTOLD},
        "commit": ", ".join(found.commits),
        "machine": "; ".join(found.machines),
    }


def chosen(name: str, wanted: list[str]) -> bool:
    """Whether this row is one of those, which may end in ``*``. All are if none is named."""
    return not wanted or any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in wanted)


def judge(results: dict[str, CrossValidation]) -> str:
    """Who is asked about doubtful labels: the most accurate of the recipes that believe every label wholly.

    Smoothed, blended or taught targets flatten certainties: hardly a photo is then as sure of another class as that
    class's own photos are, and confident learning finds nothing.
    """

    def believes(recipe: Recipe) -> bool:
        return not (recipe.label_smoothing or recipe.mixup or recipe.cutmix or recipe.teacher)

    plain = {name: found for name, found in results.items() if believes(found.recipe)} or results
    return max(plain, key=lambda name: plain[name].accuracy.mean)


def place_of(folder: Path, name: str, share: float = 1.0) -> Path:
    """The folder of a row's folds."""
    plain = name.replace(" + ", "_with_").replace(" - ", "_without_")
    plain = "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in plain)
    return folder / (plain + (f"-{share:g}" if share < 1 else ""))
