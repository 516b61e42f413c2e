"""What ``beyond_the_baseline.ipynb`` reads: results of comparisons, put together so that they can be discussed.

Nothing here trains. What is missing stays empty; ``helpers.beyond_words`` then says which command makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers.common.errors import ParameterError
from helpers.comparison import search_space, table
from helpers.comparison.recipes import scaled_down
from helpers.evaluation import label_errors, statistics
from helpers.evaluation.label_errors import Suspect
from helpers.recipe import PRESETS, Recipe

Row = dict[str, Any]  # of comparison.json


OWN = ("results", "photos", "folds", "image_size")  # the notebook's parameters that are no settings of a recipe


class Parameters(NamedTuple):
    """What the notebook's parameters cell asks for."""

    recipe: Recipe  # of the live comparison
    folds: int  # likewise
    results: Path  # folder of finished comparisons
    photos: Path | None  # folder of the photos that these were about, to show some


class Conditions(NamedTuple):
    """What has to be the same for two rows to be compared."""

    backbone: str
    cost: str
    folds: int  # that were held out
    seeds: int
    fold_rule: str  # of how the photos were divided

    def __str__(self) -> str:
        """``cost`` is a cap: a recipe of fewer epochs keeps its own."""
        return f"{self.backbone}, {self.cost.replace(' px, ', ' px, at most ')}"


class Comparison(NamedTuple):
    """Recipes on the same photos, under the same conditions."""

    conditions: Conditions | None
    rows: list[Row]  # the seed recipe among them; or none
    photos: list[Row]  # what the recipes said of each; empty if that is not known


@dataclass(frozen=True)
class Committed:
    """The results in a folder; empty is what is not there."""

    folder: Path
    rows: list[Row]
    photos: list[list[Row]]  # of comparison_table.read_photos, a list per comparison
    suspects: list[Suspect]
    search: dict[str, Any]  # of trials.json


def read_parameters(namespace: dict[str, Any], root: Path) -> Parameters:
    """The parameters of the notebook whose ``globals()`` these are; validation pictures shrink with the others.

    Raises:
        ParameterError: a name is unknown, or a value cannot be used.
    """
    given = {name: value for name, value in namespace.items() if name not in OWN}
    recipe, folds, size = Recipe.from_notebook(given), namespace["folds"], namespace["image_size"]
    for name, value, least in (("folds", folds, 2), ("image_size", size, 16)):
        if not isinstance(value, int) or value < least:
            raise ParameterError(f"{name} = {value!r}: a whole number of at least {least} is needed")
    recipe = scaled_down(recipe, size / recipe.image_size, recipe.epochs)
    results = root / (namespace["results"] or "report/results")
    photos = root / namespace["photos"] if namespace["photos"] else None
    for name, place in (("results", results), ("photos", photos)):
        if place is not None and not place.is_dir():
            raise ParameterError(f"{name} = {namespace[name]!r}: {place} is not a folder")
    return Parameters(recipe, folds, results, photos)


def read(folder: Path) -> Committed:
    """The results in ``folder``: the committed ones, or those of a comparison in ``work_dir``.

    Raises:
        UserError: a file is damaged.
    """
    rows, names, trials = (folder / name for name in ("comparison.json", "suspects.csv", "trials.json"))
    photos = sorted(folder.glob("photos*.csv"))
    return Committed(
        folder,
        table.read(rows) if rows.exists() else [],
        [table.read_photos(path) for path in photos],
        label_errors.read_suspects(names) if names.exists() else [],
        search_space.read(trials) if trials.exists() else {},
    )


def conditions_of(row: Row) -> Conditions:
    cost = row.get("cost") or f"{row['image_size']} px, {row['epochs']} epochs"
    return Conditions(row["backbone"], cost, row["folds"], row["seeds"], row["fold_rule"])


def groups(rows: Sequence[Row]) -> dict[Conditions, list[Row]]:
    """Rows that can be compared, those on all training photos alone; the largest group first."""
    found: dict[Conditions, list[Row]] = {}
    for row in rows:
        found.setdefault(conditions_of(row), []).append(row)
    most = {key: max(row["train_photos"] for row in each) for key, each in found.items()}
    whole = {key: [row for row in each if row["train_photos"] > 0.99 * most[key]] for key, each in found.items()}
    return dict(sorted(whole.items(), key=lambda item: -len(item[1])))


def compared(rows: Sequence[Row]) -> list[Row]:
    """Of one group the rows that were compared with the seed recipe, and that one; empty if it is not among them."""
    known = [row for row in rows if row["difference_mean"] is not None]
    return known if any(row["recipe"] == "seed" for row in known) else []


def presets(rows: Sequence[Row]) -> list[Row]:
    """The rows of whole presets, of every backbone and cost: what one would choose between."""
    return [row for each in groups(rows).values() for row in each if row["recipe"] in PRESETS]


def curves(rows: Sequence[Row]) -> list[Row]:
    """The rows of the largest set of learning curves: recipes that were trained on several numbers of photos."""
    found: dict[tuple[Conditions, str], list[Row]] = {}
    for row in rows:
        found.setdefault((conditions_of(row), row["recipe"]), []).append(row)
    sets: dict[Conditions, list[Row]] = {}
    for (conditions, _), each in found.items():
        if len({row["train_photos"] for row in each}) > 1:
            sets.setdefault(conditions, []).extend(each)
    return max(sets.values(), key=len, default=[])


def main_comparison(found: Committed) -> Comparison:
    """Of the comparisons with the preset ``best`` the costliest, else of all; empty if there is none.

    Of several backbones at the same cost, the most accurate.
    """

    def weight(comparison: Comparison) -> tuple[bool, int, float]:
        seed = next(row for row in comparison.rows if row["recipe"] == "seed")
        cost = seed["photos"] * seed["epochs"] * seed["image_size"] ** 2
        has_best = any(row["recipe"] == "best" for row in comparison.rows)
        return has_best, cost, max(row["accuracy_mean"] for row in comparison.rows)

    return max(all_comparisons(found), key=weight, default=Comparison(None, [], []))


def widest(found: Committed) -> Comparison:
    """The comparison of most recipes, which may run at a fraction of the cost; empty without one."""
    return max(all_comparisons(found), key=lambda comparison: len(comparison.rows), default=Comparison(None, [], []))


def all_comparisons(found: Committed) -> list[Comparison]:
    """Every comparison with the seed recipe, with the photos whose answers give its numbers, if these are there."""
    known = {key: compared(rows) for key, rows in groups(found.rows).items()}
    comparisons = []
    for conditions, rows in known.items():
        if len(rows) > 1:
            fitting = (each for each in found.photos if any(row["recipe"] == "seed" for row in asked(each, rows)))
            comparisons.append(Comparison(conditions, rows, next(fitting, [])))
    return comparisons


def asked(photos: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """The rows whose accuracy is that of a column of the photos: what each photo was called is known of these."""
    found = []
    for row in rows:
        answers = right(photos, row["recipe"])
        answers = answers[~np.isnan(answers)]
        if len(answers) == row["photos"] and np.isclose(answers.mean(), row["accuracy_mean"], rtol=0, atol=1e-9):
            found.append(row)
    return found


def single_changes(rows: Sequence[Row]) -> list[Row]:
    """The seed recipe, that with one change each, and the presets; not what was taken away from ``best``."""
    return [row for row in rows if not row["recipe"].startswith("best - ")]


def right(photos: Sequence[Row], recipe: str) -> np.ndarray:
    """float64 ``(n,)``: for every photo the share of the runs that were right about it; nan if it was not asked."""
    return np.array([np.nan if row.get(recipe, "") == "" else row[recipe] for row in photos])


def against(photos: Sequence[Row], base: str, names: Sequence[str]) -> dict[str, statistics.Estimate]:
    """How many more of the same photos each of these recipes gets right than ``base``."""
    scenes = np.array([int(row["scene"]) for row in photos])
    found = {}
    for name in names:
        ours, theirs = right(photos, name), right(photos, base)
        both = ~np.isnan(ours) & ~np.isnan(theirs)
        found[name] = statistics.difference(ours[both], theirs[both], scenes[both])
    return found


def discordant(photos: Sequence[Row], base: str, recipe: str) -> tuple[int, int] | None:
    """How many photos ``recipe`` alone gets right, and how many ``base`` alone; None if these are means over seeds."""
    ours, theirs = right(photos, recipe), right(photos, base)
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    if not np.isin([ours[both], theirs[both]], (0, 1)).all():
        return None
    return int(((ours == 1) & (theirs == 0)).sum()), int(((ours == 0) & (theirs == 1)).sum())


def never_right(photos: Sequence[Row], recipes: Sequence[str]) -> list[str]:
    """Names of the photos that every one of these recipes gets wrong in every run."""
    answers = np.array([right(photos, name) for name in recipes])
    return [row["name"] for row, wrong in zip(photos, (answers == 0).all(0), strict=True) if wrong]
