"""The report's comparison of recipes, from ``comparison.json``: which rows to show, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from helpers.backbones import written_name
from helpers.errors import ParameterError
from helpers.report_blocks import Block, Pieces, counted, table, written
from helpers.report_facts import Facts

COMPARED = 10  # recipes in the comparison
ALWAYS = ("seed", "fast", "best")  # recipes that the comparison shows if it has them
GROUP = ("backbone", "cost", "folds", "seeds", "train_photos")


def comparison_table(rows: tuple[dict[str, Any], ...]) -> Block:
    """Recipes compared by cross-validation, the largest gain first."""
    seed = rows_by_name(rows)["seed"]
    body = [
        (
            row["recipe"],
            f"{100 * row['accuracy_mean']:.2f}",
            f"{100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f}",
            *_difference(row, row is seed),
            f"{row['seconds_per_run']:,.0f}",
        )
        for row in rows
    ]
    caption = written(
        "Beyond the baseline: {name}, {folds}-fold cross-validation{seeds} on {photos:,} photos ({cost}). Accuracy in "
        "the last epoch on photos that the run has not seen, and paired difference to the seed recipe; per cent and "
        "points, with 95 % intervals from the bootstrap [efron1979] over scenes.",
        name=written_name(seed["backbone"]),
        folds=seed["folds"],
        seeds=f", {seed['seeds']} seeds each," if seed["seeds"] > 1 else "",
        photos=seed["photos"],
        cost=seed["cost"],
    )
    header = ("recipe", "accuracy", "interval", "difference", "interval", "s per training")
    return table("tab-comparison", caption, header, body) | {"wide": True}


def _difference(row: dict[str, Any], is_seed: bool) -> tuple[str, str]:
    if is_seed:
        return "–", "–"
    mean, low, high = (100 * row[name] for name in ("difference_to_seed", "difference_low", "difference_high"))
    return signed(mean), f"{signed(low)} to {signed(high)}"


def most_telling(rows: list[dict[str, Any]], backbone: str, path: str) -> tuple[dict[str, Any], ...]:
    """Of ``comparison.json`` the rows to show: one backbone, one cost, the seed recipe and the clearest differences.

    The run's own backbone is preferred, then the comparison of most photos, then the one of most recipes.

    Args:
        path: of the file, for messages.

    Raises:
        ParameterError: there is no seed recipe with others beside it, or a row lacks a number.
    """
    try:
        groups: dict[tuple, list[dict[str, Any]]] = {}
        for row in rows:
            groups.setdefault(tuple(row[name] for name in GROUP), []).append(row)
        complete = [group for group in groups.values() if "seed" in rows_by_name(group) and len(group) > 1]
        if not complete:
            raise ParameterError(
                f"{path} compares nothing with the seed recipe: run helpers.comparison without --shares"
            )
        chosen = max(complete, key=lambda g: (g[0]["backbone"] == backbone, g[0]["photos"], len(g), g[0]["epochs"]))
        others = [row for row in chosen if row["recipe"] != "seed" and row["difference_to_seed"] is not None]
        others.sort(key=lambda row: (row["recipe"] not in ALWAYS, not clear(row), -abs(row["difference_to_seed"])))
        shown = [rows_by_name(chosen)["seed"], *others[: COMPARED - 1]]
        return tuple(sorted(shown, key=lambda row: -(row["difference_to_seed"] or 0)))
    except (KeyError, TypeError) as error:
        raise ParameterError(
            f"{path} is damaged or of another version ({error!r}): run helpers.comparison anew"
        ) from error


def clear(row: dict[str, Any]) -> bool:
    """Whether the interval of the difference leaves zero out."""
    return row["difference_low"] > 0 or row["difference_high"] < 0


def rows_by_name(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["recipe"]: row for row in rows}


def comparison_in_short(facts: Facts) -> Pieces:
    """The comparison in one sentence; nothing if there is none."""
    rows = [row for row in facts.comparison if row["recipe"] != "seed"]
    if not rows:
        return []
    top = max(rows, key=lambda row: row["difference_to_seed"])
    if top["difference_low"] <= 0:
        return written(
            "In cross-validation, none of {n} can be told to be better than the seed recipe.",
            n=counted(len(rows), "other recipe"),
        )
    return written(
        "In cross-validation with {backbone}, the recipe {recipe} gains {gain} points on the seed recipe (95 % "
        "interval {low} to {high}).",
        backbone=written_name(top["backbone"]),
        recipe=f"“{top['recipe']}”",
        gain=signed(100 * top["difference_to_seed"]),
        low=signed(100 * top["difference_low"]),
        high=signed(100 * top["difference_high"]),
    )


def compared(facts: Facts) -> list[Pieces | str]:
    rows = [row for row in facts.comparison if row["recipe"] != "seed"]
    seed = rows_by_name(facts.comparison)["seed"]
    better = [row for row in rows if clear(row) and row["difference_to_seed"] > 0]
    worse = [row for row in rows if clear(row) and row["difference_to_seed"] < 0]
    said: list[Pieces | str] = [
        written(
            "One split cannot tell recipes apart whose difference is smaller than its interval. So they were compared "
            "by cross-validation, on the same folds, photo by photo (<tab-comparison>); the seed recipe, the published "
            "one, reaches {mean:.2%}.",
            mean=seed["accuracy_mean"],
        ),
        written(
            "Of {n} shown, {better} better than it and {worse} worse, by intervals that leave zero out.",
            n=counted(len(rows), "other"),
            better=f"{len(better)} {'is' if len(better) == 1 else 'are'}",
            worse=len(worse),
        ),
        comparison_in_short(facts),
    ]
    if len(rows) > 1 and better:
        said.append("The best of several was chosen by its result, so part of its lead is luck.")
    if seed["backbone"] != facts.results["backbone"]:
        said.append(f"These recipes were run with {written_name(seed['backbone'])}, not with this run's network.")
    return said


def signed(points: float) -> str:
    """Points with their sign, a real minus."""
    return f"{points:+.2f}".replace("-", "−")
