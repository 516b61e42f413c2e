"""Cross-validation of recipes on the same folds: every photo is held out once, and recipes are compared photo by photo.

The predictions after the last epoch are scored, since the best epoch would be chosen on the photos held out.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.common.text import align
from helpers.comparison.folds import Protocol, is_finished, plan, read_fold, run_fold
from helpers.comparison.recipes import UNTOLD, shares_training_with
from helpers.comparison.results import FOLD_RULE, Row, merge_rows, write_photos
from helpers.evaluation import statistics
from helpers.recipe import Recipe


@dataclass(frozen=True)
class CrossValidation:
    """The result of a recipe."""

    recipe: Recipe
    protocol: Protocol
    correct: np.ndarray  # float64 (n,): the share of the seeds that were right on a photo; nan if its fold was not run
    folds: Sequence[dict[str, Any]]  # of ``folds.read_fold``, one per training

    @property
    def accuracy(self) -> statistics.Estimate:
        held_out = ~np.isnan(self.correct)
        return statistics.bootstrap(self.correct[held_out], self.protocol.scenes[held_out])

    def difference(self, base: "CrossValidation") -> statistics.Estimate:
        """Return how many more of the same photos this recipe gets right than ``base``."""
        both = ~np.isnan(self.correct) & ~np.isnan(base.correct)
        return statistics.bootstrap((self.correct - base.correct)[both], self.protocol.scenes[both])


def cross_validate(
    recipe: Recipe,
    protocol: Protocol,
    folder: Path,
    teacher: str = "",
    reuse: Path | None = None,
    log: Callable[[str], None] = print,
) -> CrossValidation:
    """Train and test the recipe on every fold with every seed, in ``folder/fold-<k>-seed-<s>``.

    Finished folds are read, not run again; a fold that another process is at is waited for.

    Args:
        teacher: folder of another recipe's folds, with models kept: each fold learns from the same fold's model, which
            has not seen the photos held out either.
        reuse: folder of the folds of a recipe that differs in ``INFERENCE_SETTINGS`` alone: the models kept there are
            evaluated, as another training would give the same. Where one is missing, it is trained.

    Raises:
        ParameterError: a class has fewer scenes than there are folds.
        DivergedError: a training diverged.
        RunError: the folder holds the folds of another recipe, or the teacher's model is missing.
    """
    correct = np.full((len(protocol.seeds), len(protocol.audit.photos)), np.nan)
    folds = []
    for job in plan(recipe, protocol, folder, teacher, reuse):
        if not run_fold(job, protocol):
            raise RunError(f"{job.folder} learns from {job.recipe.teacher}, which has no model: run that recipe first")
        facts = read_fold(job.folder, job, protocol.audit)
        correct[protocol.seeds.index(job.recipe.seed), list(job.split.val)] = facts["correct"]
        folds.append(facts)
        share = np.mean(facts["correct"])
        log(f"{job.folder.name}: {share:.2%} of {len(job.split.val)} photos, {facts['seconds']:.0f} s")
    return CrossValidation(recipe, protocol, correct.mean(0), folds)


def compare(
    recipes: dict[str, Recipe], protocol: Protocol, folder: Path, base: str = "published", cost: str = ""
) -> tuple[list[Row], dict[str, CrossValidation]]:
    """Cross-validate every recipe, and return a row of numbers for each and the cross-validations behind them.

    Rows are also written to ``folder/comparison.json`` and ``folder/photos.csv``, after each recipe. Several processes
    share the work. A recipe whose training diverges gets no row, but a line on stderr; so do its pupils.

    Args:
        base: the recipe that the others are compared with, where it comes before them.
        cost: image size and most epochs of the comparison; by default those of the first recipe.

    Raises DivergedError: a training of ``base`` diverged.
    """
    if missing := {recipe.teacher for recipe in recipes.values()} - {"", *recipes}:
        raise ParameterError(f"a recipe is taught by {missing.pop()!r}, which is not compared: add it to --rows")
    first = next(iter(recipes.values()))
    cost = cost or f"{first.image_size} px, {first.epochs} epochs"
    places, alike = {name: row_folder(folder, name, protocol.share) for name in recipes}, shares_training_with(recipes)
    links = {}
    for name, recipe in recipes.items():
        teacher = _from_root(places[recipe.teacher], protocol.root) if recipe.teacher else ""
        links[name] = {"teacher": teacher, "reuse": places.get(alike.get(name))}
    for name, recipe in recipes.items():  # first what no other process is at, so that several share the work
        needing = [other for other in recipes if recipes[other].teacher == name or alike.get(other) == name]
        for job in plan(recipe, protocol, places[name], **links[name]):
            print(f"{name}, {job.folder.name}", flush=True)
            keep_model = any(not is_finished(places[other] / job.folder.name) for other in needing)
            run_fold(job, protocol, patience=0, keep_model=keep_model)
    results, rows, lost = {}, [], set()
    for name, recipe in recipes.items():
        print(f"{name}: {_from_root(places[name], protocol.root)}", flush=True)
        try:
            if recipe.teacher in lost:
                raise DivergedError(f"its teacher {recipe.teacher!r} diverged")
            results[name] = cross_validate(recipe, protocol, places[name], **links[name])
        except DivergedError as error:
            if name == base:
                raise DivergedError(f"{name}, with which the others are compared, diverged: {error}") from error
            lost.add(name)
            print(f"{name} gets no row: {error}", file=sys.stderr, flush=True)
            continue
        rows.append(_row(name, results[name], results.get(base), cost))
        print(f"  {results[name].accuracy}", flush=True)
        merge_rows(folder / "comparison.json", rows)
        write_photos(folder / "photos.csv", photo_rows(results))
    return rows, results


def label_judge(results: dict[str, CrossValidation]) -> str:
    """Return the recipe whose predictions are to find label errors: the most accurate one trained on plain labels.

    Smoothed, mixed or distilled targets flatten the probabilities: confident learning then finds nothing.
    """
    softening = ("label_smoothing", "mixup", "cutmix", "teacher")
    plain = [n for n, found in results.items() if not any(getattr(found.recipe, name) for name in softening)]
    return max(plain or results, key=lambda name: results[name].accuracy.mean)


def row_folder(folder: Path, name: str, share: float = 1.0) -> Path:
    """Return the folder of a recipe's folds."""
    plain = name.replace(" + ", "_with_").replace(" - ", "_without_")
    plain = "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in plain)
    return folder / (plain + (f"-{share:g}" if share < 1 else ""))


def _from_root(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root) if folder.is_relative_to(root) else folder)


def _row(name: str, found: CrossValidation, base: CrossValidation | None, cost: str) -> Row:
    """Return a row of ``comparison.json``; its differences are None if ``base`` is not among the recipes."""
    recipe, protocol, plain = found.recipe, found.protocol, base.recipe if base else Recipe()
    gain = found.difference(base) if base else (None, None, None)
    values = {key: [fold[key] for fold in found.folds] for key in ("train_photos", "seconds", "commit", "machine")}
    return {
        "recipe": name,
        "backbone": recipe.backbone,
        "cost": cost,
        "folds": len(protocol.only) or protocol.folds,
        "seeds": len(protocol.seeds),
        "fold_rule": FOLD_RULE,
        "weights_sha256": found.folds[0].get("weights_sha256"),
        "photos": int((~np.isnan(found.correct)).sum()),
        "train_photos": round(np.mean(values["train_photos"])),
        **{f"accuracy_{end}": value for end, value in found.accuracy._asdict().items()},
        **{f"difference_{end}": value for end, value in zip(("mean", "low", "high"), gain, strict=True)},
        "seconds_per_run": float(np.mean(values["seconds"])),
        "image_size": recipe.image_size,
        "epochs": recipe.epochs,
        "settings": {n: v for n, v in recipe.to_dict().items() if v != getattr(plain, n) and n not in UNTOLD},
        "commit": ", ".join(dict.fromkeys(values["commit"])),
        "machine": "; ".join(dict.fromkeys(values["machine"])),
    }


def photo_rows(results: dict[str, CrossValidation]) -> list[Row]:
    """Return a row per photo: what it is, its fold, and each recipe's share of correct runs while it was held out."""
    protocol, rows = next(iter(results.values())).protocol, []
    photos = protocol.audit.photos
    for i, (name, label) in enumerate(zip(photos.names, photos.labels, strict=True)):
        facts = {"scene": int(protocol.scenes[i]), "fold": int(protocol.fold[i])}
        right = {recipe: float(found.correct[i]) for recipe, found in results.items()}
        rows.append({"name": name, "class": photos.classes[label]} | facts | right)
    return rows


def rows_text(rows: Sequence[Row], base: str = "published") -> str:
    """Format rows as aligned text, shares in per cent."""
    cells = [("recipe", "accuracy", "95 % interval", f"to {base}", "95 % interval", "s/run")]
    for row in rows:
        mean, low, high = (100 * row[f"accuracy_{end}"] for end in ("mean", "low", "high"))
        gain = ("", "")
        if row["difference_mean"] is not None:
            points, less, more = (100 * row[f"difference_{end}"] for end in ("mean", "low", "high"))
            gain = (f"{points:+.2f}", f"{less:+.2f} to {more:+.2f}")
        cells.append((row["recipe"], f"{mean:.2f}", f"{low:.1f} to {high:.1f}", *gain, f"{row['seconds_per_run']:.0f}"))
    return align(cells, right=(1, 2, 3, 4, 5))
