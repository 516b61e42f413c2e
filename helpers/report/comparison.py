"""The report's comparison of recipes, from ``comparison.json``: which rows to show, and what they say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from helpers.common.errors import ParameterError
from helpers.comparison import results
from helpers.comparison.verdicts import BETTER, UNDECIDED, WORSE, verdict
from helpers.evaluation.published import written_name
from helpers.report.facts import Facts
from helpers.report.markup import Block, Pieces, table, written

COMPARED = 10  # recipes in the table


ALWAYS = ("fast", "best")  # recipes that the table shows if the comparison has them


def comparison_table(rows: tuple[dict[str, Any], ...]) -> Block:
    """Recipes compared by cross-validation, the largest gain first; of many the presets and the clearest."""
    seed = rows_by_name(rows)["seed"]
    body = [
        (
            row["recipe"],
            f"{100 * row['accuracy_mean']:.2f}",
            f"{100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f}",
            *_difference(row, row is seed),
            f"{row['seconds_per_run']:,.0f}",
        )
        for row in clearest(rows)
    ]
    caption = written(
        "Beyond the baseline: {name}, {folds}-fold cross-validation{seeds} on {photos:,} photos ({cost}). Accuracy in "
        "the last epoch on photos that the run has not seen, and paired difference to the seed recipe; per cent and "
        "points, with 95 % intervals from the bootstrap [efron1979] over scenes.",
        name=written_name(seed["backbone"]),
        folds=seed["folds"],
        seeds=f", {seed['seeds']} seeds each," if seed["seeds"] > 1 else "",
        photos=seed["photos"],
        cost=results.conditions_of(seed).cost,
    )
    header = ("recipe", "accuracy", "interval", "difference", "interval", "s per training")
    return table("tab-comparison", caption, header, body) | {"wide": True}


def _difference(row: dict[str, Any], is_seed: bool) -> tuple[str, str]:
    if is_seed:
        return "–", "–"
    mean, low, high = (100 * row[name] for name in ("difference_mean", "difference_low", "difference_high"))
    return signed(mean), f"{signed(low)} to {signed(high)}"


def most_telling(rows: list[dict[str, Any]], backbone: str, path: str) -> tuple[dict[str, Any], ...]:
    """Of ``comparison.json`` the rows of one comparison with the seed recipe, that one too, the largest gain first.

    The run's own backbone is preferred, then a comparison of the preset ``best``, then the costliest, then the one of
    most photos. Learning curves, of fewer training photos, are none.

    Args:
        path: of the file, for messages.

    Raises:
        ParameterError: there is no seed recipe with others beside it, or a row lacks a number.
    """
    try:
        found = [results.compared(group) for group in results.groups(rows).values()]
        complete = [group for group in found if len(group) > 1]
        if not complete:
            raise ParameterError(
                f"{path} compares nothing with the seed recipe: run helpers.comparison without --shares"
            )
        chosen = max(complete, key=lambda group: _weight(group, backbone))
        for row in chosen:
            verdict(row)  # here, where a row that lacks its numbers is still refused by the file's name
        return tuple(sorted(chosen, key=lambda row: (-row["difference_mean"], row["recipe"] != "seed")))
    except (AttributeError, KeyError, TypeError) as error:
        raise ParameterError(
            f"{path} is damaged or of another version ({error!r}): run helpers.comparison anew"
        ) from error


def _weight(group: list[dict[str, Any]], backbone: str) -> tuple[bool, bool, int, int]:
    named = rows_by_name(group)
    seed = named["seed"]
    return seed["backbone"] == backbone, "best" in named, seed["epochs"] * seed["image_size"] ** 2, seed["photos"]


def clearest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the same order, the rows that the table has room for: seed, presets, and the clearest differences."""
    others = [row for row in rows if row["recipe"] != "seed"]
    others.sort(key=lambda row: (row["recipe"] not in ALWAYS, verdict(row) == UNDECIDED, -abs(row["difference_mean"])))
    shown = {row["recipe"] for row in others[: COMPARED - 1]} | {"seed"}
    return [row for row in rows if row["recipe"] in shown]


def rows_by_name(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["recipe"]: row for row in rows}


def comparison_in_short(facts: Facts) -> Pieces:
    """The comparison in a sentence or two; nothing if there is none."""
    rows = [row for row in facts.comparison if row["recipe"] != "seed"]
    better = [row for row in rows if verdict(row) == BETTER]
    if not better:
        return _none_better(rows)
    top = max(better, key=lambda row: row["difference_mean"])
    said = written(
        "In cross-validation with {backbone}, the recipe {recipe} gains {gain} points on the seed recipe (95 % "
        "interval {low} to {high}).",
        backbone=written_name(top["backbone"]),
        recipe=f"“{top['recipe']}”",
        gain=signed(100 * top["difference_mean"]),
        low=signed(100 * top["difference_low"]),
        high=signed(100 * top["difference_high"]),
    )
    luck = written(
        " As the best of {n} compared, it was chosen by its result on these same photos: part of its lead is luck.",
        n=len(rows),
    )
    return said + (luck if len(rows) > 1 else [])


def _none_better(rows: list[dict[str, Any]]) -> Pieces:
    if len(rows) > 1:
        return written(
            "In cross-validation, none of the {n} recipes compared can be told to be better than the seed recipe.",
            n=len(rows),
        )
    return [
        f"In cross-validation, the recipe “{row['recipe']}” cannot be told to be better than the seed recipe."
        for row in rows
    ]


def compared(facts: Facts) -> list[Pieces | str]:
    rows = [row for row in facts.comparison if row["recipe"] != "seed"]
    seed = rows_by_name(facts.comparison)["seed"]
    number = Counter(verdict(row) for row in rows)
    some = len(clearest(facts.comparison)) < len(facts.comparison)
    said: list[Pieces | str] = [
        written(
            "One split cannot tell recipes apart whose difference is smaller than its interval. So they were compared "
            "by cross-validation, on the same folds, photo by photo (<tab-comparison>); the seed recipe, the published "
            "one, reaches {mean:.2%}.",
            mean=seed["accuracy_mean"],
        ),
        written(
            "Of {n} compared, {better} better than it, {worse} worse and {undecided} undecided, by whether the "
            "interval leaves zero out{some}.",
            n=len(rows),
            better=f"{number[BETTER]} {'is' if number[BETTER] == 1 else 'are'}",
            worse=number[WORSE],
            undecided=number[UNDECIDED],
            some="; the presets and the clearest are shown" if some else "",
        ),
        comparison_in_short(facts),
    ]
    if seed["backbone"] != facts.results["backbone"]:
        said.append(f"These recipes were run with {written_name(seed['backbone'])}, not with this run's network.")
    return said


def signed(points: float) -> str:
    """Points with their sign, a real minus."""
    return f"{points:+.2f}".replace("-", "−")
