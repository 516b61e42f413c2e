"""The same changes with another backbone: is it the change that helps, or the change with that one network?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from helpers.beyond import Committed, Comparison, Row, all_comparisons, single_changes
from helpers.verdicts import BETTER, UNDECIDED, WORSE, points, verdict


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
    return sorted(pairs, key=lambda pair: -pair.first["difference_to_seed"])


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
    """Where the two backbones agree, where they contradict each other, and where one of them says nothing."""
    said = {pair.change: (verdict(pair.first), verdict(pair.second)) for pair in pairs}
    names = [row["backbone"] for row in pairs[0][1:]]

    def those(*wanted: tuple[str, str]) -> str:
        return ", ".join(change for change, verdicts in said.items() if verdicts in wanted) or "none"

    alike = sum(pair.first["difference_to_seed"] * pair.second["difference_to_seed"] > 0 for pair in pairs)
    lines = [
        f"- **Better with both**: {those((BETTER, BETTER))}.",
        f"- **Worse with both**: {those((WORSE, WORSE))}.",
        f"- **Better with one, worse with the other**: {those((BETTER, WORSE), (WORSE, BETTER))}.",
        f"- **Decided with {names[0]} alone**: {those((BETTER, UNDECIDED), (WORSE, UNDECIDED))}.",
        f"- **Decided with {names[1]} alone**: {those((UNDECIDED, BETTER), (UNDECIDED, WORSE))}.",
    ]
    lines.append(
        f"\nDecided or not, {alike} of {len(pairs)} differences point the same way with both; "
        f"chance alone would give about {len(pairs) / 2:g}."
    )
    return "\n".join(lines)
