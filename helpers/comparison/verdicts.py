"""What paired differences allow us to say: verdicts, claims about a pair, a table, and the limits of all three."""

from collections.abc import Sequence
from statistics import median

import numpy as np

from helpers.common.text import listed
from helpers.comparison.results import Comparison, Row, correctness
from helpers.evaluation import statistics

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
LEVEL = 0.05
OFTEN = 1.43  # intervals: a true gain of so many half intervals is seen in 80 % of experiments, (1.96 + 0.84) / 1.96


def verdict(row: Row) -> str:
    """Say whether the 95 % interval of a row's difference lies above zero, below it, or includes it."""
    return BETTER if row["difference_low"] > 0 else WORSE if row["difference_high"] < 0 else UNDECIDED


def short_name(recipe: str) -> str:
    """Return the name of a single change without the recipe that it changes; of one undone, what is back."""
    name = recipe.removeprefix("best - ")
    if name == recipe:
        return recipe.removeprefix("published + ")
    first, _, rest = name.partition(" ")
    return {"no": f"with {rest}", "less": f"full {rest}"}.get(first, f"without {name}")


def by_verdict(rows: Sequence[Row], base: str = "published") -> dict[str, list[str]]:
    """Return the short names of all rows but ``base`` by their verdict, the largest gain first."""
    others = sorted((row for row in rows if row["recipe"] != base), key=lambda row: -row["difference_mean"])
    kinds = (BETTER, WORSE, UNDECIDED)
    return {kind: [short_name(row["recipe"]) for row in others if verdict(row) == kind] for kind in kinds}


def summary(rows: Sequence[Row], base: str = "published") -> str:
    """Say which recipes are better than ``base``, which are worse, and how many are undecided."""
    names = by_verdict(rows, base)
    better, worse = (f"**{kind}** {', '.join(names[kind]) or 'none'}" for kind in (BETTER, WORSE))
    undecided = f"**{UNDECIDED}** {len(names[UNDECIDED])} more"
    return f"Against `{base}`, by 95 % bootstrap intervals: {better}; {worse}; {undecided}."


def agreement(first: Comparison, second: Comparison) -> str:
    """Say which changes two backbones agree on, and on which they contradict each other."""
    ours, theirs = (by_verdict(each.single_changes) for each in (first, second))

    def names(*pairs: tuple[str, str]) -> str:
        found = [name for one, other in pairs for name in ours[one] if name in theirs[other]]
        return listed(found) if found else "none"

    return (
        f"- **Better with both backbones**: {names((BETTER, BETTER))}.\n"
        f"- **Worse with both**: {names((WORSE, WORSE))}.\n"
        f"- **Better with one, worse with the other**: {names((BETTER, WORSE), (WORSE, BETTER))}.\n\n"
        "Every other change is undecided with at least one of them."
    )


def table(rows: Sequence[Row], base: str = "published", second: Sequence[Row] = ()) -> str:
    """Format all rows as a Markdown table, the most accurate first, beside another backbone's differences if given."""
    others = {row["recipe"]: row for row in second}
    extra = f" {second[0]['backbone']}: points | verdict |" if second else ""
    lines = [
        f"| recipe | sets | accuracy (95 % interval) | points above {base} | verdict |{extra} s per training |",
        "|---" * (8 if second else 6) + "|",
    ]
    for row in sorted(rows, key=lambda row: -row["accuracy_mean"]):
        mean, low, high = (100 * row[f"accuracy_{end}"] for end in ("mean", "low", "high"))
        cells = [short_name(row["recipe"]), settings(row), f"{mean:.2f} % ({low:.1f} to {high:.1f})"]
        for each in (row, others.get(row["recipe"])) if second else (row,):
            if each is None or row["recipe"] == base:
                cells += ["–", "–"]
                continue
            mean, low, high = (100 * each[f"difference_{end}"] for end in ("mean", "low", "high"))
            cells += [f"{mean:+.2f} ({low:+.2f} to {high:+.2f})", verdict(each)]
        lines.append(f"| {' | '.join(cells)} | {row['seconds_per_run']:,.3g} |")
    return "\n".join(lines)


def settings(row: Row) -> str:
    """Return what a recipe sets otherwise than the published one, as stored; an ablation is named by its change."""
    stored = {} if row["recipe"].startswith("best - ") else row["settings"]
    return ", ".join(f"`{name}` {value}" for name, value in stored.items())


def photo_differences(photos: Sequence[Row], base: str, recipe: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how much more often each photo is classified correctly by ``recipe`` than by ``base``; scenes and folds.

    Each is ``(n,)``, for the photos that both were evaluated on.
    """
    gains = correctness(photos, recipe) - correctness(photos, base)
    both = ~np.isnan(gains)
    scenes, folds = (np.array([row[key] for row in photos])[both] for key in ("scene", "fold"))
    return gains[both], scenes, folds


def discordant(photos: Sequence[Row], base: str, recipe: str) -> tuple[int, int] | None:
    """Count the photos that ``recipe`` alone gets right, and ``base`` alone; None if these are means over seeds."""
    gains, *_ = photo_differences(photos, base, recipe)
    if not np.isin(gains, (-1, 0, 1)).all():
        return None
    return int((gains > 0).sum()), int((gains < 0).sum())


def decide(photos: Sequence[Row], base: str, recipe: str) -> tuple[str, statistics.Estimate, statistics.Estimate]:
    """Return the verdict on a single pair of recipes, with its two intervals: by bootstrap, and by t over folds.

    Better or worse is claimed only if both exclude zero: the bootstrap over scenes takes the trained models as given,
    Student's t over folds includes how much the trainings differ.
    """
    gains, scenes, folds = photo_differences(photos, base, recipe)
    by_scenes, by_folds = statistics.bootstrap(gains, scenes), statistics.fold_interval(gains, folds)
    decided = UNDECIDED
    if min(by_scenes.low, by_folds.low) > 0:
        decided = BETTER
    elif max(by_scenes.high, by_folds.high) < 0:
        decided = WORSE
    return decided, by_scenes, by_folds


def claim(photos: Sequence[Row], base: str, recipe: str) -> str:
    """Say what is decided about a pair of recipes, by which intervals, and how many photos tell them apart."""
    decided, gain, folds = decide(photos, base, recipe)
    by_scenes, by_folds = (f"{100 * each.low:+.2f} to {100 * each.high:+.2f}" for each in (gain, folds))
    text = (
        f"**{recipe}** against **{base}**: {decided}, {100 * gain.mean:+.2f} points; 95 % interval {by_scenes} "
        f"(bootstrap over scenes), {by_folds} (t over folds)."
    )
    if (counts := discordant(photos, base, recipe)) is not None:
        p = statistics.mcnemar(*counts)
        text += f" {recipe} alone is right on {counts[0]} photos, {base} alone on {counts[1]} (McNemar: p = {p:.2g})."
    return text


def ablations(comparison: Comparison) -> list[Row]:
    """Return ``best`` and the rows without one of its changes, compared with ``best``; empty if there are none."""
    known = comparison.with_photos
    mine = [name for name in known if name == "best" or name.startswith("best - ")]
    if "best" not in mine or len(mine) < 2:
        return []
    found = []
    for name in mine:
        gain = statistics.bootstrap(*photo_differences(comparison.photos, "best", name)[:2])
        found.append(known[name] | {f"difference_{end}": value for end, value in gain._asdict().items()})
    return found


def limits(comparison: Comparison) -> str:
    """Say what so many photos and so many comparisons cannot tell, as Markdown paragraphs."""
    known = comparison.with_photos
    rows = [known[row["recipe"]] for row in comparison.single_changes if row["recipe"] in known.keys() - {"published"}]
    if not rows:
        return ""
    parts = [_smallest_difference(rows), _multiple_comparisons(comparison, rows, "published")]
    if parts_of_best := [row for row in ablations(comparison) if row["recipe"] != "best"]:
        parts.append(_multiple_comparisons(comparison, parts_of_best, "best"))
    if comparison.conditions.seeds == 1:
        parts.append(
            "**One seed.** Each fold was trained once: the intervals cover the choice of photos, not that of the seed. "
            "And all recipes share one baseline: if its trainings were unlucky, every difference is too large."
        )
    return "\n\n".join(parts)


def _smallest_difference(rows: Sequence[Row]) -> str:
    halves = sorted((row["difference_high"] - row["difference_low"]) / 2 for row in rows)
    middle, photos = median(halves), rows[0]["photos"]
    needed = float(f"{photos * (OFTEN * middle / 0.005) ** 2:.2g}")
    return (
        f"**The smallest visible difference.** With {photos:,} photos, half an interval is {100 * middle:.2f} points "
        f"wide in the median ({100 * halves[0]:.2f} to {100 * halves[-1]:.2f}). A change that truly gains that much is "
        f"seen half the time; one that gains {100 * OFTEN * middle:.2f} points, four times in five. To see half a "
        f"point four times in five, about {needed:,.0f} photos are needed."
    )


def _multiple_comparisons(comparison: Comparison, rows: Sequence[Row], base: str) -> str:
    """Say how many intervals exclude zero by accident, and which McNemar tests survive Holm's correction."""
    clear, best = sum(verdict(row) != UNDECIDED for row in rows), base == "best"
    text = (
        f"**{'Taking best apart' if best else 'Many comparisons'}.** If no change did anything, "
        f"{LEVEL * len(rows):.1f} of {len(rows)} intervals would exclude zero by chance; {clear} do."
    )
    counts = [discordant(comparison.photos, base, row["recipe"]) for row in rows]
    if None in counts:
        return text
    adjusted = statistics.holm([statistics.mcnemar(*each) for each in counts])
    kept = [short_name(row["recipe"]) for row, p in zip(rows, adjusted, strict=True) if p < LEVEL]
    verb = "stays" if len(kept) == 1 else "stay"
    return (
        f"{text} With Holm's correction, which keeps the chance of any false positive among all {len(rows)} McNemar "
        f"tests at 5 %, {len(kept)} {verb} significant{': ' if kept else ''}{', '.join(kept)}."
    )
