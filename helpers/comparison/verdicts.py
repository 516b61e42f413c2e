"""What paired differences allow us to say, in words: every sentence is chosen by the rows of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from helpers.comparison.recipes import COST
from helpers.comparison.results import Row, against, discordant
from helpers.evaluation import statistics
from helpers.recipe import PRESETS, Recipe

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"


LEVEL = 0.05


def verdict(row: Row) -> str:
    """What the interval of a row's difference says: it lies above zero, below, or on both sides."""
    return BETTER if row["difference_low"] > 0 else WORSE if row["difference_high"] < 0 else UNDECIDED


def table(rows: Sequence[Row], base: str = "seed") -> str:
    """All rows as a Markdown table, the best first: what did not help is listed too."""
    lines = [
        f"| recipe | accuracy (95 % interval) | points above {base} (95 % interval) | verdict | s per training |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row["accuracy_mean"]):
        share = f"{row['accuracy_mean']:.2%} ({100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f})"
        gain = "–" if row["recipe"] == base else points(row)
        said = "–" if row["recipe"] == base else verdict(row)
        lines.append(f"| {row['recipe']} | {share} | {gain} | {said} | {_seconds(row)} |")
    return "\n".join(lines)


def _seconds(row: Row) -> str:
    seconds = row["seconds_per_run"]
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"


def points(row: Row) -> str:
    """A difference in points with its interval."""
    mean, low, high = (100 * row[name] for name in ("difference_mean", "difference_low", "difference_high"))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def verdicts(rows: Sequence[Row], base: str = "seed") -> str:
    """Which recipes are better than ``base``, which are worse, and of which that cannot be said."""
    others = sorted((row for row in rows if row["recipe"] != base), key=lambda row: -row["difference_mean"])
    found = {kind: [row for row in others if verdict(row) == kind] for kind in (BETTER, WORSE, UNDECIDED)}
    lines = []
    for kind, words in (
        (BETTER, f"Better than {base}, by its interval"),
        (WORSE, f"Worse than {base}, by its interval"),
    ):
        names = "; ".join(f"{row['recipe']} {points(row)}" for row in found[kind])
        lines.append(f"- **{words}** ({len(found[kind])} of {len(others)}): {names or 'none'}.")
    names = ", ".join(row["recipe"] for row in found[UNDECIDED])
    tail = ". Their intervals hold zero: this says that nothing was seen, not that there is nothing" if names else ""
    lines.append(f"- **Undecided** ({len(found[UNDECIDED])} of {len(others)}): {names or 'none'}{tail}.")
    return "\n".join(lines)


def best_settings(row: Row) -> str:
    """What the preset ``best`` sets otherwise than the seed recipe, with the meaning of each setting."""
    meaning = {name: (value, words) for name, value, words in Recipe().table()}
    lines = ["| setting | seed | best | meaning |", "|---|---|---|---|"]
    for name, value in row["settings"].items():
        before, words = meaning.get(name, ("–", "a setting of another version"))
        lines.append(f"| `{name}` | {before} | {value} | {words} |")
    if changed := _changed_since(row):
        lines.append(f"\nThe preset has changed since this was run: {', '.join(f'`{name}`' for name in changed)}.")
    return "\n".join(lines)


def meanings(rows: Sequence[Row]) -> str:
    """What each single change of the seed recipe sets, and what that setting means, as a Markdown table."""
    known = {name: (value, words) for name, value, words in Recipe().table()}
    lines = ["| change | setting | seed | changed to | meaning |", "|---|---|---|---|---|"]
    for row in rows:
        if not row["recipe"].startswith("seed + "):
            continue
        change = row["recipe"].removeprefix("seed + ")
        for name, value in row["settings"].items():
            before, words = known.get(name, ("–", "a setting of another version"))
            lines.append(f"| {change} | `{name}` | {before or 'none'} | {value} | {words} |")
            change = ""  # of several settings, at the first
    return "\n".join(lines)


def _changed_since(row: Row) -> list[str]:
    """Settings that the preset ``best`` has otherwise now, but for those that follow the cost of a comparison."""
    if "best" not in PRESETS:
        return []
    plain = Recipe().to_dict()
    now, then = plain | PRESETS["best"], plain | row["settings"]
    return [name for name in plain if name not in COST and now[name] != then[name]]


def ablation(photos: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """The rows of ``best`` without one of its changes, compared with ``best`` itself; with that row, or empty."""
    mine = [row for row in rows if row["recipe"] == "best" or row["recipe"].startswith("best - ")]
    if len(mine) < 2 or not any(row["recipe"] == "best" for row in mine):
        return []
    gains = against(photos, "best", [row["recipe"] for row in mine])
    names = ("difference_mean", "difference_low", "difference_high")
    return [row | dict(zip(names, gains[row["recipe"]], strict=True)) for row in mine]


def needed(rows: Sequence[Row]) -> str:
    """Which of its changes the preset ``best`` needs, from the rows of ``ablation``."""
    others = [row for row in rows if row["recipe"] != "best"]
    groups = {kind: [row for row in others if verdict(row) == kind] for kind in (WORSE, UNDECIDED, BETTER)}
    words = {
        WORSE: "By their intervals it needs",
        UNDECIDED: "Undecided is whether it needs",
        BETTER: "By their intervals it is better without",
    }
    names = {kind: ", ".join(row["recipe"].removeprefix("best - ") for row in found) for kind, found in groups.items()}
    return " ".join(f"{words[kind]}: {names[kind]}." for kind in words if names[kind])


def pair(photos: Sequence[Row], base: str, recipe: str) -> str:
    """One recipe against another on the same photos: the photos that tell them apart, test and interval."""
    gain = against(photos, base, [recipe])[recipe]
    text = (
        f"**{recipe} against {base}**: {100 * gain.mean:+.2f} points ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})."
    )
    if (counts := discordant(photos, base, recipe)) is not None:
        p = statistics.sign_test(*counts)
        text += (
            f" {counts[0]} photos are right with {recipe} alone, {counts[1]} with {base} alone; "
            f"McNemar's p = {p:.2g}." + (" That could be chance." if p >= LEVEL else " Chance alone hardly does that.")
        )
    return text


def limits(photos: Sequence[Row], rows: Sequence[Row], base: str = "seed") -> str:
    """What so many photos and so many comparisons cannot tell, as Markdown paragraphs."""
    others = [row for row in rows if row["recipe"] != base]
    parts = [_smallest(others), _by_mcnemar(photos, others, base), _many(photos, others, base)]
    if all(row["seeds"] == 1 for row in others):
        parts.append(
            "**One seed.** Each fold was trained once. The intervals know that other photos would have given other "
            "numbers; they do not know that another seed would have, too. Differences of a few photos may be its "
            f"doing. And all recipes are compared with the same trainings of {base}: if chance made these poor, "
            "every recipe looks better than it is, and all of them together."
        )
    return "\n\n".join(part for part in parts if part)


def half_width(row: Row) -> float:
    """Half of the difference's interval: what must be seen, at least, for it to leave out zero."""
    return (row["difference_high"] - row["difference_low"]) / 2


def _smallest(others: Sequence[Row]) -> str:
    widths = sorted(others, key=half_width)
    middle, photos = median(half_width(row) for row in others), others[0]["photos"]
    if middle == 0:  # the recipes said the same of every photo
        return ""
    return (
        f"**The smallest difference.** {photos:,} photos were held out. A difference must be larger than half "
        f"its interval before that leaves out zero: {100 * middle:.2f} points in the median of these {len(others)} "
        f"comparisons, from {100 * half_width(widths[0]):.2f} ({widths[0]['recipe']}) to "
        f"{100 * half_width(widths[-1]):.2f} ({widths[-1]['recipe']}). A change that truly gains that much is found "
        f"every other time; to be found four times in five it has to gain {143 * middle:.2f} points. To see half a "
        f"point, about {_round(photos * (middle / 0.005) ** 2):,} photos would be needed."
    )


def _by_mcnemar(photos: Sequence[Row], others: Sequence[Row], base: str) -> str:
    known = {row["recipe"]: discordant(photos, base, row["recipe"]) for row in others}
    if not known or None in known.values():
        return ""
    name = "best" if "best" in known else others[0]["recipe"]
    n, asked = sum(known[name]), next(row["photos"] for row in others if row["recipe"] == name)
    lead = statistics.smallest_lead(n)
    text = f"**Counted in photos.** {name} and {base} disagree about {n} of {asked:,} photos; only these say anything. "
    if lead is None:
        return text + "So few cannot decide anything, however they are divided (McNemar's test needs six)."
    return text + (
        f"McNemar's test wants one of the two to be right about at least {lead} more of them than the other, "
        f"{100 * lead / asked:.2f} points, before it calls that no accident at 5 %."
    )


def _many(photos: Sequence[Row], others: Sequence[Row], base: str) -> str:
    """The price of many questions: intervals that leave out zero by accident, and what Holm's correction leaves."""
    telling = [row["recipe"] for row in others if verdict(row) != UNDECIDED]
    text = (
        f"**Many questions.** Of {len(others)} intervals at 95 %, {0.05 * len(others):.1f} would leave out zero if no "
        f"change did anything; {len(telling)} do. "
    )
    counts = [discordant(photos, base, row["recipe"]) for row in others]
    if None in counts:
        return text.strip()
    raised = statistics.holm([statistics.sign_test(*each) for each in counts])
    kept = [row["recipe"] for row, p in zip(others, raised, strict=True) if p < LEVEL]
    lost = [name for name in telling if name not in kept]
    text += f"Holm's correction of McNemar's tests for their number leaves {len(kept)}"
    return text + (f"; no longer among them: {', '.join(lost)}." if lost else ", all of these included.")


def _round(number: float) -> int:
    """Two digits of a large number: the rest would pretend to be known."""
    return int(float(f"{number:.2g}"))
