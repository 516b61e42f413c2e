"""The rows of ``comparison.json`` and the photos behind them: put together, read, printed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from helpers.common import files
from helpers.common.errors import ParameterError
from helpers.comparison.folds import FOLD_RULE

PHOTO = ("name", "class", "scene", "fold")  # columns of photos.csv that are not recipes
KEY = ("recipe", "backbone", "cost", "folds", "seeds", "train_photos")


def merge(path: Path, numbers: list[dict[str, Any]]) -> None:
    """Put rows into a file of rows, in place of earlier rows of the same recipe, backbone, cost and number of photos.

    Raises:
        ParameterError: the file is damaged, or its rows have other folds.
    """

    def key(row: dict[str, Any]) -> tuple:
        return tuple(row.get(name) for name in KEY)

    new = {key(row) for row in numbers}
    old = [row for row in read(path) if key(row) not in new] if path.exists() else []
    refuse_other_folds(path)
    files.write_json(path, old + numbers)


def refuse_other_folds(path: Path) -> None:
    """Check that rows of today's folds may join the rows in a file.

    Raises:
        ParameterError: the file holds rows whose folds were made by another rule.
    """
    rules = {row.get("fold_rule", "not recorded") for row in read(path)} if path.exists() else set()
    if others := sorted(rules - {FOLD_RULE}):
        raise ParameterError(
            f"{path} holds rows of other folds ({others[0]!r}, now {FOLD_RULE!r}), which cannot be compared with new "
            "ones: name another file, or delete this one"
        )


def read(path: Path) -> list[dict[str, Any]]:
    """Rows that ``compare`` wrote.

    Raises:
        ParameterError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} cannot be read ({error}): python -m helpers compare writes it") from error


def read_photos(path: Path) -> list[dict[str, Any]]:
    """A row per photo: ``name``, ``class``, ``scene``, ``fold``, and a share of runs that were right for each recipe.

    Raises:
        ParameterError: the file is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                row | {key: float(value) for key, value in row.items() if key not in PHOTO and value}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError) as error:
        raise ParameterError(
            f"{path} cannot be read ({error}): python -m helpers compare --photos writes it"
        ) from error


def mistakes_of(photos: list[dict[str, Any]], recipe: str) -> dict[str, tuple[float, int]]:
    """For every class how many photos the recipe got wrong while they were held out, and of how many."""
    found: dict[str, tuple[float, int]] = {}
    for row in photos:
        wrong, asked = found.get(row["class"], (0.0, 0))
        if row[recipe] != "":
            found[row["class"]] = (wrong + 1 - row[recipe], asked + 1)
    return found


def as_text(numbers: list[dict[str, Any]], base: str = "seed") -> str:
    """The rows as aligned text, shares in per cent; ``base`` is the recipe that the others were compared with."""
    width = max(len("recipe"), *(len(row["recipe"]) for row in numbers))
    beside = max(8, len(f"to {base}"))
    lines = [
        f"{'recipe':<{width}} {'accuracy':>8} {'95 % interval':>15} {f'to {base}':>{beside}} {'95 % interval':>16} "
        f"{'s/run':>7}"
    ]
    for row in numbers:
        low, high, mean = (100 * row[f"accuracy_{end}"] for end in ("low", "high", "mean"))
        gain = between = ""
        if row["difference_mean"] is not None:
            less, more = (100 * row[f"difference_{end}"] for end in ("low", "high"))
            gain, between = f"{100 * row['difference_mean']:+.2f}", f"{less:+.2f} to {more:+.2f}"
        lines.append(
            f"{row['recipe']:<{width}} {mean:>8.2f} {f'{low:.1f} to {high:.1f}':>15} {gain:>{beside}} {between:>16} "
            f"{row['seconds_per_run']:>7.0f}"
        )
    return "\n".join(lines)
