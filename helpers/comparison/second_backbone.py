"""The same changes with another backbone: is it the change that helps, or the change with that one network?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from helpers.comparison.results import Committed, Comparison, Row, all_comparisons, single_changes
from helpers.comparison.verdicts import BETTER, UNDECIDED, WORSE, points, verdict


class Opinions(NamedTuple):
    """What two backbones say about the same change."""

    change: str
    first: Row
    second: Row


def another(found: Committed, first: Comparison) -> Comparison:
    """Of the comparisons with another backbone, at the same cost, that of most recipes; empty if there is none."""
    fitting = [
        each
        for each in all_comparisons(found)
        if first.conditions
        and each.conditions.cost == first.conditions.cost
        and each.conditions.backbone != first.conditions.backbone
    ]
    return max(fitting, key=lambda each: len(each.rows), default=Comparison(None, [], []))


def both(first: Comparison, second: Comparison) -> list[Opinions]:
    """The recipes that both comparisons tried, but for the seed recipe; the first one's greatest gain first."""
    known = {row["recipe"]: row for row in single_changes(second.rows)}
    pairs = [
        Opinions(row["recipe"].removeprefix("seed + "), row, known[row["recipe"]])
        for row in single_changes(first.rows)
        if row["recipe"] in known and row["recipe"] != "seed"
    ]
    return sorted(pairs, key=lambda pair: -pair.first["difference_mean"])


def table(pairs: Sequence[Opinions]) -> str:
    """Both opinions as a Markdown table, in points above each backbone's own seed recipe."""
    names = [row["backbone"] for row in pairs[0][1:]]
    lines = [f"| recipe | {names[0]}: points (95 % interval) | {names[1]} | verdicts |", "|---|---|---|---|"]
    for pair in pairs:
        said = [verdict(pair.first), verdict(pair.second)]
        words = said[0] if said[0] == said[1] else ", ".join(said)
        lines.append(f"| {pair.change} | {points(pair.first)} | {points(pair.second)} | {words} |")
    return "\n".join(lines)


def words(pairs: Sequence[Opinions]) -> str:
    """Where the two backbones agree, where they contradict each other, and where one of them or both say nothing."""
    said = {pair.change: (verdict(pair.first), verdict(pair.second)) for pair in pairs}
    first, second = pairs[0][1:]

    def those(*wanted: tuple[str, str]) -> str:
        return ", ".join(change for change, verdicts in said.items() if verdicts in wanted) or "none"

    asked = " ".join(f"{row['backbone']}: {row['photos']:,} photos held out." for row in (first, second))
    lines = [
        f"- **Better with both**: {those((BETTER, BETTER))}.",
        f"- **Worse with both**: {those((WORSE, WORSE))}.",
        f"- **Better with one, worse with the other**: {those((BETTER, WORSE), (WORSE, BETTER))}.",
        f"- **Decided with {first['backbone']} alone**: {those((BETTER, UNDECIDED), (WORSE, UNDECIDED))}.",
        f"- **Decided with {second['backbone']} alone**: {those((UNDECIDED, BETTER), (UNDECIDED, WORSE))}.",
        f"- **Undecided with both**: {those((UNDECIDED, UNDECIDED))}.",
    ]
    caution = (
        "All differences of a backbone are taken to one and the same seed recipe: if that was lucky or unlucky, all of "
        "them are lower or higher together. That many point the same way is therefore no proof by itself."
    )
    return "\n\n".join([asked, "\n".join(lines), caution])
