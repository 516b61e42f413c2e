"""The other sentences of ``beyond_the_baseline.ipynb``: chosen by results, or by their absence."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from helpers.common.text import as_markdown, listed, printable, written_count
from helpers.comparison.results import Comparison, Results, Row, finished_trials, groups, mistakes_by_class
from helpers.comparison.verdicts import BETTER, UNDECIDED, WORSE, by_verdict, claim, decide
from helpers.evaluation.label_errors import Suspect
from helpers.evaluation.published import PAPER_PHOTOS, written_name

RESULTS = "report/results"
COMPARE = f".venv/bin/python -m helpers compare --data photos --output {RESULTS}/comparison.json -p backbone"
CHEAP = "--image-size 128 --epochs 8 --only 0 1 2"  # all single changes, and best without each of its own
COMMANDS = {  # what makes each part
    "comparison": f"{COMPARE} mobilenet_v2 --rows fast best --seeds 3 --photos {RESULTS}/photos-mobilenet_v2.csv "
    f"--suspects {RESULTS}/suspects.csv",
    "changes": f"{COMPARE} mobilenet_v2 {CHEAP} --photos {RESULTS}/photos-mobilenet_v2-128px.csv",
    "second": f"{COMPARE} squeezenet1_1 {CHEAP} --rows 'published*' fast best "
    f"--photos {RESULTS}/photos-squeezenet1_1-128px.csv",
    "curves": f"{COMPARE} mobilenet_v2 --rows published fast best --shares 0.1 0.3 1",
    "backbones": f"{COMPARE} squeezenet1_1 --rows fast best",
    "search": ".venv/bin/python -m helpers search --data photos -p preset best -p backbone mobilenet_v2 --trials 40\n"
    f"cp work_dir/study/trials.json {RESULTS}/\n"
    f"{COMPARE} mobilenet_v2 --rows fast best --searched {RESULTS}/trials.json "
    f"--photos {RESULTS}/photos-mobilenet_v2-1-seed.csv",
}


def missing(part: str) -> str:
    """Say that a part of the results is missing, and which command makes it."""
    return f"*This part has not been run yet.* It is made by\n\n```sh\n{COMMANDS[part]}\n```"


def folded(title: str, text: str) -> str:
    """Return Markdown that is hidden until its title is clicked."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def commands() -> str:
    """Return the commands behind all parts."""
    lines = "\n".join(f"# {part}\n{command}" for part, command in COMMANDS.items())
    return folded("The commands", f"```sh\n{lines}\n```")


def provenance(results: Results) -> str:
    """List the comparisons with their folds, code and machine, and how they differ from the published result."""
    if not results.rows:
        return missing("comparison")
    lines = [
        "| backbone, cost | weights (SHA-256) | photos held out | folds × seeds | made by | recipes | code | machine |",
        "|---" * 8 + "|",
    ]
    for conditions, rows in groups(results.rows).items():
        machines = sorted({machine for row in rows for machine in row["machine"].split("; ")})
        lines.append(
            f"| {conditions} | {(conditions.weights_sha256 or 'random')[:8]} | {rows[0]['photos']:,} "
            f"| {conditions.folds} × {conditions.seeds} | {conditions.fold_rule} | {len(rows)} "
            f"| {', '.join(_commits(rows))} | {'; '.join(machines)} |"
        )
    most, backbones = max(row["photos"] for row in results.rows), sorted({row["backbone"] for row in results.rows})
    if (most, backbones) != (PAPER_PHOTOS, ["resnet18"]):
        names = listed([written_name(each) for each in backbones])
        lines.append(f"\nThe published result is ResNet-18's on {PAPER_PHOTOS:,} photos; these: {names}, {most:,}.")
    return "\n".join(lines)


def _commits(rows: Sequence[Row]) -> list[str]:
    """Return the short hashes of the code that ran the folds of these rows."""
    return sorted({each[:7] + each[40:] for row in rows for each in row["commit"].split(", ")})


def where_it_fails(comparison: Comparison, suspects: Sequence[Suspect]) -> str:
    """Say how many photos the published recipe gets wrong, in which class most, and how many no recipe gets right."""
    photos, recipes = comparison.photos, list(comparison.with_photos)
    if not photos:
        return missing("comparison")
    counts = mistakes_by_class(photos, "published")
    wrong, total = (sum(each[i] for each in counts.values()) for i in (0, 1))
    ranked = sorted(counts, key=lambda name: counts[name][0] / counts[name][1])
    ends = ranked[0], ranked[-1]
    least, most = (f"{as_markdown(name)} ({written_count(counts[name][0])} of {counts[name][1]})" for name in ends)
    never = {photo["name"] for photo in photos if not any(photo[name] for name in recipes)}
    in_doubt, seeds = never & {each.name for each in suspects}, comparison.conditions.seeds
    mean, every = (f", in the mean of {seeds} trainings", " in every training") if seeds > 1 else ("", "")
    return (
        f"`published` misclassifies {written_count(wrong)} of {total:,} photos ({wrong / total:.1%}){mean}, most often "
        f"{most}, least often {least}. All {len(recipes)} recipes get the same {len(never)} photos wrong{every}; the "
        f"labels of {len(in_doubt)} of these are in doubt (section 9)."
    )


def main_claims(comparison: Comparison) -> str:
    """Claim what ``best`` gains over the published recipe and over ``fast``, and ``fast`` over the published recipe."""
    pairs = [("published", "best"), ("fast", "best"), ("published", "fast")]
    known = [pair for pair in pairs if set(pair) <= set(comparison.with_photos)]
    return "\n".join(f"- {claim(comparison.photos, *pair)}" for pair in known) or missing("comparison")


def learning_curve(rows: Sequence[Row]) -> str:
    """Say what the last step to more photos adds to each recipe, and whether that exceeds chance."""
    if not rows:
        return missing("curves")
    lines = []
    for name in dict.fromkeys(row["recipe"] for row in rows):
        mine = sorted((row for row in rows if row["recipe"] == name), key=lambda row: row["train_photos"])
        before, last = mine[-2:]
        apart = last["accuracy_low"] > before["accuracy_high"] or last["accuracy_high"] < before["accuracy_low"]
        lines.append(
            f"- **{name}**: {last['accuracy_mean']:.1%} with {last['train_photos']:,} photos, "
            f"{100 * (last['accuracy_mean'] - before['accuracy_mean']):+.1f} points over {before['train_photos']:,}; "
            f"the (unpaired) intervals {'do not overlap' if apart else 'overlap: undecided'}."
        )
    codes = _commits(rows)
    return "\n".join(lines) + (f"\n\nThe points come from several versions: {', '.join(codes)}." if codes[1:] else "")


def search_summary(search: dict[str, Any]) -> str:
    """Say how the search went, what it found, and why that is optimistic."""
    if not search:
        return missing("search")
    states, finished = Counter(trial["state"] for trial in search["trials"]), finished_trials(search)
    text = (
        f"{len(finished)} of {len(search['trials'])} trials finished ({states['pruned']} pruned, {states['diverged']} "
        f"diverged), around `{search['preset']}` with {search['backbone']}, {search['cost']} (folds: "
        f"{search['fold_rule']})."
    )
    if not finished:
        return text
    start = "".join(f", `{search['preset']}` on {trial['accuracy']:.2%}" for trial in finished if trial.get("start"))
    names = listed([f"`{name}`" for name in search["importances"]][:3] or ["unknown"])
    values = finished[0]["settings"].items()
    values = ", ".join(f"`{name}` {f'{v:.3g}' if isinstance(v, float) else v}" for name, v in values)
    return (
        f"{text} The best, trial {finished[0]['trial']}, is right on {finished[0]['accuracy']:.2%} of the photos held "
        f"out{start}. Chosen from all {len(search['trials'])} on these same photos, that is optimistic. The "
        f"most important settings are {names}; from so few trials, that is only a hint.\n\n"
        + folded("Settings of the best trial", values)
    )


def suspect_table(suspects: Sequence[Suspect], most: int = 12) -> str:
    """List the clearest suspects."""
    if not suspects:
        return missing("comparison")
    (label, other), count = Counter((each.label, each.predicted) for each in suspects).most_common(1)[0]
    lines = ["| photo | label | predicted | probability | of the label |", "|---" * 5 + "|"]
    for name, folder, predicted, label_probability, probability in suspects[:most]:
        cells = [*map(as_markdown, (name, folder, predicted)), f"{probability:.1%}", f"{label_probability:.1%}"]
        lines.append(f"| {' | '.join(cells)} |")
    text = f"{len(suspects)} labels are in doubt, most often ({count}) a photo in "
    text += f"`{printable(label).replace('`', '´')}/` that resembles a {as_markdown(other)}."
    return f"{text}\n\n{folded('The clearest', chr(10).join(lines))}"


def conclusion(results: Results) -> str:
    """Say what is decided, and under which conditions."""
    main, wide = results.main, results.largest
    if not main.photos:
        return missing("comparison")
    published = main.with_photos["published"]
    lines = [
        f"With {main.conditions}, the published recipe is right on {published['accuracy_mean']:.1%} of "
        f"{published['photos']:,} photos held out."
    ]
    for name in [each for each in ("best", "fast") if each in main.with_photos]:
        decided, gain, _ = decide(main.photos, "published", name)
        lines.append(f"`{name}`, {100 * gain.mean:+.1f} points, is **{decided}**.")
    if changes := [row for row in wide.rows if row["recipe"].startswith("published + ")]:
        better, worse, undecided = (len(by_verdict(changes)[kind]) for kind in (BETTER, WORSE, UNDECIDED))
        lines.append(
            f"Of {len(changes)} single changes ({wide.conditions}), by their bootstrap intervals {better} are better, "
            f"{worse} worse and {undecided} undecided."
        )
    return " ".join(lines)
