"""Results of comparisons and searches: their files, and what the second notebook selects from them.

Rows of ``comparison.json`` are compared only under the same ``Conditions``. What has not been run stays empty.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers.common import files
from helpers.common.errors import ParameterError
from helpers.evaluation.label_errors import Suspect, read_suspects

Row = dict[str, Any]  # of comparison.json, or of photos.csv
FOLD_RULE = "StratifiedGroupKFold"  # how data.split makes folds; stored with every row
KEY = ("recipe", "backbone", "cost", "folds", "seeds", "train_photos", "weights_sha256")
PHOTO = ("name", "class", "scene", "fold")  # columns of photos.csv that are not recipes
NUMBER = int | float
ROW = {  # what a row of comparison.json holds
    **dict.fromkeys(("recipe", "backbone", "cost", "fold_rule", "commit", "machine"), str),
    **dict.fromkeys(("folds", "seeds", "photos", "train_photos", "image_size", "epochs"), int),
    **dict.fromkeys(("accuracy_mean", "accuracy_low", "accuracy_high", "seconds_per_run"), NUMBER),
    **dict.fromkeys(("difference_mean", "difference_low", "difference_high"), NUMBER | None),
    **{"settings": dict, "weights_sha256": str | None},
}
SEARCH = {  # what trials.json holds, and each of its trials
    **dict.fromkeys(("preset", "backbone", "cost", "fold_rule", "commit", "machine"), str),
    **{"changed": dict, "importances": dict, "trials": list},
}
TRIAL = {"trial": int, "state": str, "accuracy": NUMBER | None, "settings": dict}


class Conditions(NamedTuple):
    """What has to be the same for two rows to be compared."""

    backbone: str
    cost: str  # image size and the most epochs; a recipe of fewer epochs keeps its own
    folds: int  # that were held out
    seeds: int
    fold_rule: str
    weights_sha256: str | None  # of the file that the trainings start from; None: random weights

    def __str__(self) -> str:
        return f"{self.backbone}, {self.cost.replace(' px, ', ' px, at most ')}"


@dataclass(frozen=True)
class Comparison:
    """Recipes compared with the published recipe on the same photos, under the same conditions; perhaps empty."""

    conditions: Conditions | None = None
    rows: Sequence[Row] = ()  # the published recipe among them
    photos: Sequence[Row] = ()  # which photos each recipe got right; empty if that is not known

    @property
    def with_photos(self) -> dict[str, Row]:
        """The rows whose accuracy is that of a column of the photos, by recipe."""
        return {row["recipe"]: row for row in matching(self.photos, self.rows)}

    @property
    def single_changes(self) -> list[Row]:
        """The published recipe, that with one change each, and the presets; not the ablations of ``best``."""
        return [row for row in self.rows if not row["recipe"].startswith("best - ")]


@dataclass(frozen=True)
class Results:
    """All results in a folder: the committed ones, or those of a comparison in ``work_dir``."""

    rows: Sequence[Row] = ()
    photos: Sequence[list[Row]] = ()  # a table per comparison
    suspects: Sequence[Suspect] = ()
    search: dict[str, Any] = field(default_factory=dict)  # of trials.json

    @property
    def comparisons(self) -> list[Comparison]:
        """Every comparison with the published recipe, with the photos that its numbers come from if these are there."""
        found = []
        for conditions, rows in compared(self.rows).items():
            published = [row for row in rows if row["recipe"] == "published"]
            found.append(
                Comparison(conditions, rows, next((each for each in self.photos if matching(each, published)), ()))
            )
        return found

    @property
    def main(self) -> Comparison:
        """The costliest comparison, if possible with the preset ``best``; of two, that of more trainings per fold."""
        return self.main_of("")

    def main_of(self, backbone: str) -> Comparison:
        """Return the main comparison with this backbone, or with another if there is none with it."""

        def weight(comparison: Comparison) -> tuple:
            named = {row["recipe"]: row for row in comparison.rows}
            published, most = named["published"], max(row["accuracy_mean"] for row in comparison.rows)
            cost = published["epochs"] * published["image_size"] ** 2
            size = published["photos"], published["seeds"]
            return published["backbone"] == backbone, "best" in named, cost, *size, most

        return max(self.comparisons, key=weight, default=Comparison())

    @property
    def largest(self) -> Comparison:
        """The comparison of most recipes, which may run at a fraction of the cost."""
        return _largest(self.comparisons)

    @property
    def second_backbone(self) -> Comparison:
        """The comparison of most recipes with another backbone than ``largest``, at the same cost."""
        first, each = self.largest.conditions, self.comparisons
        alike = [c for c in each if c.conditions.cost == first.cost and c.conditions.backbone != first.backbone]
        return _largest(alike)

    @property
    def learning_curves(self) -> list[Row]:
        """The largest set of recipes that were trained on several numbers of photos under the same conditions."""

        def sizes(row: Row) -> set[int]:
            alike = [other for other in self.rows if other["recipe"] == row["recipe"]]
            return {other["train_photos"] for other in alike if conditions_of(other) == conditions_of(row)}

        curves = [row for row in self.rows if len(sizes(row)) > 1]
        most = Counter(conditions_of(row) for row in curves).most_common(1)
        return [row for row in curves if conditions_of(row) == most[0][0]]


def _largest(comparisons: Sequence[Comparison]) -> Comparison:
    return max(comparisons, key=lambda each: len(each.rows), default=Comparison())


def conditions_of(row: Row) -> Conditions:
    """Return the conditions that a row was measured under."""
    return Conditions(*(row[name] for name in Conditions._fields))


def groups(rows: Sequence[Row]) -> dict[Conditions, list[Row]]:
    """Group rows that can be compared, those trained on all training photos alone; the largest group first."""
    found: dict[Conditions, list[Row]] = {}
    for row in rows:
        found.setdefault(conditions_of(row), []).append(row)
    most = {key: max(row["train_photos"] for row in each) for key, each in found.items()}
    whole = {key: [row for row in each if row["train_photos"] > 0.99 * most[key]] for key, each in found.items()}
    return dict(sorted(whole.items(), key=lambda item: -len(item[1])))


def compared(rows: Sequence[Row]) -> dict[Conditions, list[Row]]:
    """Group the rows that were compared with the published recipe, itself included; groups of one row are left out."""
    found = {key: [row for row in each if row["difference_mean"] is not None] for key, each in groups(rows).items()}
    return {
        key: each for key, each in found.items() if len(each) > 1 and "published" in [row["recipe"] for row in each]
    }


def matching(photos: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose accuracy is that of a column of the photos."""
    found = []
    for row in rows:
        shares = correctness(photos, row["recipe"])
        shares = shares[~np.isnan(shares)]
        if len(shares) == row["photos"] and np.isclose(shares.mean(), row["accuracy_mean"], rtol=0, atol=1e-9):
            found.append(row)
    return found


def correctness(photos: Sequence[Row], recipe: str) -> np.ndarray:
    """Return for every photo the share of the runs that were right, float64 ``(n,)``; nan where it was not held out."""
    return np.array([row.get(recipe, np.nan) for row in photos])


def mistakes_by_class(photos: Sequence[Row], recipe: str) -> dict[str, tuple[float, int]]:
    """Count for every class the photos that the recipe got wrong while they were held out, and all that were."""
    found: dict[str, tuple[float, int]] = {}
    for row in photos:
        if not np.isnan(row[recipe]):
            wrong, total = found.get(row["class"], (0.0, 0))
            found[row["class"]] = (wrong + 1 - row[recipe], total + 1)
    return found


def read_results(folder: Path) -> Results:
    """Read all results in ``folder``. Raises UserError: a file is damaged."""
    rows, suspects, trials = (folder / name for name in ("comparison.json", "suspects.csv", "trials.json"))
    return Results(
        read_rows(rows) if rows.exists() else [],
        [read_photos(path) for path in sorted(folder.glob("photos*.csv"))],
        read_suspects(suspects) if suspects.exists() else [],
        read_trials(trials) if trials.exists() else {},
    )


def read_rows(path: Path) -> list[Row]:
    """Read the rows that ``compare`` wrote; a ParameterError names a missing or damaged file."""
    with _naming(path, "python -m helpers compare writes it"):
        rows = [_checked(row, ROW) for row in files.load_json(path)]
        for row in rows:
            if row["difference_mean"] is not None:
                _checked(row, dict.fromkeys(("difference_low", "difference_high"), NUMBER))
        return rows


def merge_rows(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to a file, in place of earlier rows of the same recipe, backbone, cost and number of photos.

    Raises ParameterError: the file is damaged, or its rows have other folds.
    """
    check_fold_rule(path)
    new = {tuple(row[name] for name in KEY) for row in rows}
    old = [row for row in read_rows(path) if tuple(row[name] for name in KEY) not in new] if path.exists() else []
    files.write_json(path, [*old, *rows])


def check_fold_rule(path: Path) -> None:
    """Check that rows of today's folds may join those in a file.

    Raises ParameterError: the file is damaged, or its rows have other folds.
    """
    rules = {row["fold_rule"] for row in read_rows(path)} if path.exists() else set()
    if others := sorted(rules - {FOLD_RULE}):
        raise ParameterError(
            f"{path} holds rows of other folds ({others[0]!r}, now {FOLD_RULE!r}), which cannot be compared with new "
            "ones: name another file, or delete this one"
        )


def write_photos(path: Path, rows: Sequence[Row]) -> None:
    """Write a row per photo: ``name``, ``class``, ``scene``, ``fold``, and each recipe's share of correct runs."""
    cells = [[v if k in PHOTO else "" if np.isnan(v) else f"{v:.12g}" for k, v in row.items()] for row in rows]
    files.write_atomically(path, files.csv_text([list(rows[0]), *cells]).encode())


def read_photos(path: Path) -> list[Row]:
    """Read what ``write_photos`` wrote; the share is nan where a photo was not held out."""
    with _naming(path, "python -m helpers compare --photos writes it"):
        header, *lines = files.read_csv(path)
        return [
            {"name": row.pop("name"), "class": row.pop("class")}
            | {key: int(row.pop(key)) for key in ("scene", "fold")}
            | {recipe: float(share or "nan") for recipe, share in row.items()}
            for row in (dict(zip(header, line, strict=True)) for line in lines)
        ]


def read_trials(path: Path) -> dict[str, Any]:
    """Read what a search wrote, the trials under ``trials``; a ParameterError names a missing or damaged file."""
    with _naming(path, "the command of the search with --trials 0 writes it again"):
        found = _checked(files.load_json(path), SEARCH)
        for trial in found["trials"]:
            if _checked(trial, TRIAL)["state"] == "complete":
                _checked(trial, {"accuracy": NUMBER})
        _checked(found["importances"], dict.fromkeys(found["importances"], NUMBER))
        return {name: found[name] for name in SEARCH}


def finished_trials(search: dict[str, Any]) -> list[Row]:
    """Return the trials that were not pruned, the most accurate first."""
    return sorted((t for t in search["trials"] if t["state"] == "complete"), key=lambda t: -t["accuracy"])


def _checked(values: dict[str, Any], kinds: dict[str, Any]) -> Row:
    """Return the values; a ValueError or KeyError names one that is missing or of another kind."""
    for name, kind in kinds.items():
        value = values[name]
        if not isinstance(value, kind) or (isinstance(value, NUMBER) and not abs(value) < 1e12):  # nor NaN
            raise ValueError(f"{name} = {str(value)[:40]!r}")
    return values


@contextmanager
def _naming(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise ParameterError(f"{path} is missing, damaged or of another version ({error}): {remedy}") from error
