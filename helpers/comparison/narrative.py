"""The words of ``beyond_the_baseline.ipynb``, but for differences: chosen by results, or by their absence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from helpers.comparison import results
from helpers.comparison.results import Committed, Comparison, Conditions, Row
from helpers.comparison.search_space import finished
from helpers.comparison.table import mistakes_of
from helpers.comparison.verdicts import BETTER, UNDECIDED, WORSE, verdict
from helpers.evaluation.label_errors import Suspect
from helpers.evaluation.published import PAPER_PHOTOS
from helpers.evaluation.statistics import wilson_interval

COMPARE = ".venv/bin/python -m helpers compare --data photos -p backbone"


RESULTS = "report/results"


OUTPUT = f"--output {RESULTS}/comparison.json"


COMMANDS = {  # what makes each part, for the reader in front of an empty section
    "comparison": f"{COMPARE} mobilenet_v2 --rows fast best {OUTPUT} "
    f"--photos {RESULTS}/photos-mobilenet_v2.csv --suspects {RESULTS}/suspects.csv",
    "changes": f"{COMPARE} mobilenet_v2 --image-size 128 --epochs 8 {OUTPUT} "
    f"--photos {RESULTS}/photos-mobilenet_v2-128px.csv",
    "opinions": f"{COMPARE} squeezenet1_1 --image-size 128 --epochs 8 {OUTPUT} "
    f"--photos {RESULTS}/photos-squeezenet1_1-128px.csv",
    "curves": f"{COMPARE} mobilenet_v2 --rows seed fast best --shares 0.1 0.3 {OUTPUT}",
    "backbones": f"{COMPARE} squeezenet1_1 --rows fast best {OUTPUT}",
    "search": ".venv/bin/python -m helpers search --data photos -p preset best -p backbone mobilenet_v2 --trials 20\n"
    f"cp work_dir/study/trials.json {RESULTS}/\n"
    f"{COMPARE} mobilenet_v2 --rows fast best --searched {RESULTS}/trials.json {OUTPUT} "
    f"--photos {RESULTS}/photos-mobilenet_v2.csv",
}


def missing(part: str) -> str:
    """That a part of the results is not there, and the command that makes it."""
    return f"*This part has not been run yet.* It is made by\n\n```sh\n{COMMANDS[part]}\n```"


def commands() -> str:
    """The commands behind all parts, as plain text."""
    return "\n".join(f"# {part}\n{command}" for part, command in COMMANDS.items())


def provenance(found: Committed) -> str:
    """Which comparisons there are, and what they were made with, as a Markdown table."""
    if not found.rows:
        return missing("comparison")
    lines = [
        "| backbone, cost | photos held out | folds × seeds | rule of the folds | recipes | code | machine |",
        "|---|---|---|---|---|---|---|",
    ]
    for conditions, rows in results.groups(found.rows).items():
        commits = _codes(rows)
        machines = sorted({row.get("machine", "not recorded") for row in rows})
        lines.append(
            f"| {conditions} | {rows[0]['photos']:,} | {conditions.folds} × {conditions.seeds} "
            f"| {conditions.fold_rule} | {len(rows)} "
            f"| {', '.join(commits)} | {'; '.join(machines)} |"
        )
    return "\n".join(lines) + "\n\n" + _other_conditions(found.rows)


def _codes(rows: Sequence[Row]) -> list[str]:
    """The versions of the code that ran the folds of these rows, short."""
    return sorted({each[:7] + each[40:] for row in rows for each in row["commit"].split(", ")})


def _other_conditions(rows: Sequence[Row]) -> str:
    """What stands between these comparisons and the published result, if anything does."""
    most, backbones = max(row["photos"] for row in rows), {row["backbone"] for row in rows}
    parts = []
    if most != PAPER_PHOTOS:
        parts.append(f"The published result is of {PAPER_PHOTOS:,} photos; here, at most {most:,} were held out.")
    if "resnet18" not in backbones:
        parts.append(
            f"It is ResNet-18's; none of these are, but {' and '.join(sorted(backbones))}'s. Read the differences as "
            "lessons about recipes, not as ResNet-18's numbers."
        )
    return " ".join(parts)


def where_it_fails(
    photos: Sequence[Row], recipes: Sequence[str], suspects: Sequence[Suspect], base: str = "seed"
) -> str:
    """How many photos the baseline gets wrong, in which class most, and how many of them nobody gets right."""
    if not photos:
        return missing("comparison")
    wrong = mistakes_of(list(photos), base)
    number, asked = (sum(each[i] for each in wrong.values()) for i in (0, 1))
    shares = {name: count / n for name, (count, n) in wrong.items()}
    worst, easiest = max(shares, key=shares.get), min(shares, key=shares.get)
    # The two were chosen as the extremes of several classes: so much surer has each interval to be.
    sure = 1 - 0.05 / len(wrong)
    low, high = (wilson_interval(round(wrong[name][0]), wrong[name][1], sure) for name in (worst, easiest))
    text = (
        f"The recipe `{base}` is wrong about {number:g} of {asked:,} photos ({number / asked:.1%}), most often about "
        f"{worst} ({wrong[worst][0]:g} of {wrong[worst][1]}, {shares[worst]:.1%}) and least often about {easiest} "
        f"({wrong[easiest][0]:g} of {wrong[easiest][1]}, {shares[easiest]:.1%}). "
    )
    words = "lie apart: chance alone hardly does that" if low.low > high.high else "overlap: that may be chance"
    return (
        text
        + f"Wilson's intervals of the two, widened for {len(wrong)} classes, {words}. "
        + _nobody(photos, recipes, suspects)
    )


def _nobody(photos: Sequence[Row], recipes: Sequence[str], suspects: Sequence[Suspect]) -> str:
    if len(recipes) < 3:  # the baseline and one more are not "every recipe"
        return ""
    never = results.never_right(photos, recipes)
    text = (
        f"{len(never)} photos are wrong with every one of the {len(recipes)} recipes: nothing that was changed here "
        "reaches them"
    )
    also = len({each.name for each in suspects} & set(never))
    return text + (f". {also} of them are among the photos whose label is in doubt (below)." if also else ".")


def curve(rows: Sequence[Row]) -> str:
    """What more photos brought, recipe by recipe, and whether the last step is more than chance."""
    if not rows:
        return missing("curves")
    lines = []
    for name in dict.fromkeys(row["recipe"] for row in rows):
        mine = sorted((row for row in rows if row["recipe"] == name), key=lambda row: row["train_photos"])
        first, before, last = mine[0], mine[-2], mine[-1]
        step = 100 * (last["accuracy_mean"] - before["accuracy_mean"])
        apart = last["accuracy_low"] > before["accuracy_high"] or last["accuracy_high"] < before["accuracy_low"]
        lines.append(
            f"- **{name}**: {first['accuracy_mean']:.1%} with {first['train_photos']:,} photos, "
            f"{last['accuracy_mean']:.1%} with {last['train_photos']:,}. The last step, from "
            f"{before['train_photos']:,}, brought {step:+.1f} points; "
            + ("the intervals lie apart." if apart else "the intervals overlap: by them alone, nothing is decided.")
        )
    codes = _codes(rows)
    text = "\n".join(lines)
    return text + (f"\n\nThe points are of different versions of the code: {', '.join(codes)}." if codes[1:] else "")


def cost(rows: Sequence[Row]) -> str:
    """The most accurate recipe, and the cheapest whose interval overlaps with its."""
    if not rows:
        return missing("backbones")
    top = max(rows, key=lambda row: row["accuracy_mean"])
    alike = [row for row in rows if row["accuracy_high"] >= top["accuracy_low"]]
    cheap = min(alike, key=lambda row: row["seconds_per_run"])
    text = f"Most accurate is {_bought(top)}. "
    if cheap is top:
        text += "No cheaper one of these has an interval that reaches into its own."
    else:
        share = cheap["seconds_per_run"] / top["seconds_per_run"]
        text += (
            f"The cheapest whose interval overlaps with its is {_bought(cheap)}, {share:.0%} of that. (These intervals "
            "are not paired: section 1 says what that costs. Where both recipes were asked about the same photos, "
            "section 5 has their difference.)"
        )
    if len({row["backbone"] for row in rows}) < 2:
        text += " With one backbone alone, nothing can be said about backbones.\n\n" + missing("backbones")
    return text


def _bought(row: Row) -> str:
    seconds = row["seconds_per_run"]
    time = f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    at = f"{row['backbone']}, {row['image_size']} px, {row['epochs']} epochs"
    return f"**{row['recipe']}** ({at}): {row['accuracy_mean']:.2%} for {time} of training"


def searched(search: dict[str, Any]) -> str:
    """How the search went, what it found, and why that flatters."""
    if not search:
        return missing("search")
    states = Counter(row["state"] for row in search["trials"])
    whole = finished(search)
    text = (
        f"{len(search['trials'])} trials around `{search['preset']}`, {search['backbone']} at {search['cost']}: "
        f"{states['complete']} finished, "
        f"{states['pruned']} given up after their first folds"
        + (f", {states['diverged']} of which a training ran away." if states["diverged"] else ".")
    )
    if not whole:
        return text + " None is finished, so there is nothing to say."
    top = whole[0]
    values = ", ".join(
        f"`{name}` {value:.3g}" if isinstance(value, float) else f"`{name}` {value}"
        for name, value in top["settings"].items()
    )
    text += (
        f" The best, trial {top['trial']}, is right about {top['accuracy']:.2%} of the photos held out: {values}. "
        f"It was chosen among {len(whole)} on these same photos, so part of that is luck: a number to go on with, not "
        "to publish."
    )
    if start := next((row for row in whole if row.get("start")), None):
        text += (
            f" `{search['preset']}` itself, with which the search began, is right about {start['accuracy']:.2%} here."
        )
    if search["importances"]:
        first = list(search["importances"])[:3]
        text += f" Most of the difference between trials goes with {', '.join(f'`{name}`' for name in first)}."
        if len(whole) < 10 * len(search["importances"]):
            text += f" From {len(whole)} trials of {len(search['importances'])} settings that is a hint, no more."
    return text


def suspect_table(found: Sequence[Suspect], most: int = 12) -> str:
    """The clearest suspects as a Markdown table."""
    if not found:
        return missing("comparison")
    pairs = Counter((each.label, each.predicted) for each in found)
    (label, looks), count = pairs.most_common(1)[0]
    lines = [
        f"{len(found)} photos look more like another class than that class's own photos do on average; most often "
        f"({count}) one in `{label}/` looks like a {looks}. The clearest:\n",
        "| photo | its folder says | it looks like a | certainty | left for the label |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.name} | {each.label} | {each.predicted} | {each.predicted_probability:.1%} "
        f"| {each.label_probability:.1%} |"
        for each in found[:most]
    ]
    return "\n".join(lines)


def conclusion(comparison: Comparison, wide: Comparison) -> str:
    """What may be said in the end, under which conditions, and what has not been tried.

    Args:
        wide: the comparison of most recipes, which may be another one.
    """
    named = {row["recipe"]: row for row in comparison.rows}
    if len(named) < 2:
        return missing("comparison")
    seed = named["seed"]
    parts = [
        f"With {comparison.conditions}, the published recipe is right about {seed['accuracy_mean']:.1%} of "
        f"{seed['photos']:,} photos that it had not seen."
    ]
    parts += [_against_seed(named[name]) for name in ("best", "fast") if name in named]
    changes = [row for row in wide.rows if row["recipe"].startswith("seed + ")]
    if changes:
        counts = Counter(verdict(row) for row in changes)
        parts.append(
            f"Of {len(changes)} single changes ({wide.conditions}), {counts[BETTER]} made it better by their "
            f"intervals and {counts[WORSE]} worse; {counts[UNDECIDED]} cannot be told from it."
        )
    return " ".join(parts) + "\n\n" + _not_tried(comparison.conditions)


def _not_tried(conditions: Conditions) -> str:
    parts = ["photos from elsewhere, above all yellow dandelions"]
    if conditions.seeds == 1:
        parts.insert(0, "several seeds per fold (`--seeds 3`)")
    if conditions.backbone != "resnet18":
        parts.insert(0, "the same with ResNet-18 and its ImageNet weights (`-p backbone resnet18`)")
    return f"Not tried here: {'; '.join(parts)}."


def _against_seed(row: Row) -> str:
    gain, low, high = (100 * row[name] for name in ("difference_mean", "difference_low", "difference_high"))
    text = f"`{row['recipe']}` is right about {row['accuracy_mean']:.1%}: "
    if low > 0:
        return text + f"{gain:.1f} points more, between {low:.1f} and {high:.1f}. That is a difference."
    if high < 0:
        return (
            text + f"{-gain:.1f} points less, between {-high:.1f} and {-low:.1f}. That is a difference, the wrong way."
        )
    return text + f"{gain:+.1f} points, but anything from {low:+.1f} to {high:+.1f} fits: nothing is decided."
