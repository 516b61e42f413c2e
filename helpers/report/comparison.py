"""The report's comparison of recipes by cross-validation, from the rows of a ``comparison.json``."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from helpers.common.errors import ParameterError
from helpers.common.text import listed, spelled
from helpers.comparison.results import Results, Row, read_photos, read_rows
from helpers.comparison.verdicts import BETTER, UNDECIDED, WORSE, decide, verdict
from helpers.evaluation.published import written_name
from helpers.report.facts import Facts
from helpers.report.markup import Block, heading, literal, paragraph, tabular
from helpers.runs.finished import FinishedRun

SHOWN = 10  # recipes in the table
DIRECTIONS = (  # of further work, by the names of the comparison's changes
    *("AutoAugment", "TrivialAugment", "MixUp", "CutMix", "label smoothing", "distillation from fast"),
    *("cosine", "weight EMA", "first stages frozen"),
)
BACKBONES = ("resnet50", "densenet121")
ALWAYS = ("published", "fast", "best")  # shown if the comparison has them


def committed_comparison(run: FinishedRun, root: Path) -> Path | None:
    """Find the project's ``comparison.json``, if it is of the run's photos and started from the same weights.

    Its photos are those of the committed published run.
    """
    path = root / "report" / "results" / "comparison.json"
    environments = [json.loads(each.read_text()) for each in path.parent.glob("published-*/environment.json")]
    if run.environment.get("data_fingerprint") not in [e["data_fingerprint"] for e in environments]:
        return None
    weights, rows = run.environment.get("weights_sha256"), read_rows(path) if path.is_file() else []
    # Photos trained on, and one fold held out, are all photos, however many of the folds were run.
    sizes = [row["train_photos"] + row["photos"] / row["folds"] for row in rows if row["weights_sha256"] == weights]
    return path if any(abs(size - run.results["photos"]) < 2 for size in sizes) else None


def read_comparison(path: Path, run: FinishedRun) -> tuple[Row, ...]:
    """Read the rows of one comparison with the published recipe, itself included, the largest gain first.

    Of several, the run's own backbone decides, then the preset ``best``, then the cost, then the number of photos.

    Raises ParameterError: the run is a demo, the file is damaged, or it compares nothing with the published recipe.
    """
    if run.results["demo"]:
        raise ParameterError(f"--comparison {path} is of real photos, the run of drawn ones: leave it out")
    photos = [read_photos(each) for each in sorted(path.parent.glob("photos*.csv"))]
    chosen = Results(read_rows(path), photos).main_of(run.results["backbone"])
    ranked = sorted(chosen.rows, key=lambda row: (-row["difference_mean"], row["recipe"] != "published"))
    judged = {name: decide(chosen.photos, "published", name) for name in chosen.with_photos}  # by folds as well
    verdicts = [judged[row["recipe"]][0] if row["recipe"] in judged else verdict(row) for row in ranked]
    if not ranked:
        raise ParameterError(f"{path} compares nothing with the published recipe: run compare without --shares")
    folds = [list(judged[row["recipe"]][2][1:]) if row["recipe"] in judged else [] for row in ranked]
    rows = [row | {"verdict": v, "by_folds": ends} for row, v, ends in zip(ranked, verdicts, folds, strict=True)]
    return tuple(literal(rows))


def read_directions(path: Path, weights_sha256: str | None) -> dict[str, Row | None]:
    """Find what of further work was measured: the row of a single change, or of a backbone; None if it was not.

    Rows that started from other weights than the run count only where there are no others.
    """
    rows = read_rows(path)
    results = Results([row for row in rows if row["weights_sha256"] == weights_sha256] or rows)
    changes = {row["recipe"].removeprefix("published + "): row for row in results.largest.single_changes}
    backbones = {row["backbone"]: row for each in results.comparisons for row in each.rows}
    found = {name: changes.get(name) for name in DIRECTIONS}
    return literal(found | {written_name(name): backbones.get(name) for name in BACKBONES})


def further_work(facts: Facts) -> list[Block]:
    """Say what of the directions of further work was measured, and with which result; nothing without a comparison."""
    measured = [row for row in facts.directions.values() if row]
    if not facts.directions:
        return []
    rest = [name for name, row in facts.directions.items() if not row]
    missing = f"Not measured: {listed(rest)}." if rest else ""
    if not measured:
        return [heading("Further work"), paragraph(missing)]
    first = measured[0]
    caption = (
        f"Further work, measured as single changes of the published recipe: {written_name(first['backbone'])}, "
        f"{first['photos']:,} photos, {first['folds']} folds, {first['image_size']} px, at most {first['epochs']} "
        "epochs; difference in points with 95 % bootstrap intervals, not corrected for their number."
    )
    rows = [(name, _estimate(row, "difference", "+.2f"), verdict(row)) for name, row in facts.directions.items() if row]
    return [
        heading("Further work"),
        paragraph(f"<tab-further> lists what was measured at a fraction of the cost. {missing}"),
        tabular("tab-further", caption, ("change", "difference", "verdict"), rows),
    ]


def comparison(facts: Facts) -> list[Block]:
    """Write the subsection; nothing without a comparison."""
    if not facts.comparison:
        return []
    published, others = _published(facts.comparison), _others(facts)
    found = Counter(row["verdict"] for row in others)
    better, worse, undecided = (spelled(found[kind]) if found[kind] else "none" for kind in (BETTER, WORSE, UNDECIDED))
    intervals = "the interval of the difference"
    if published["by_folds"]:
        intervals = "both intervals of the difference, by bootstrap over scenes and by Student's t over folds,"
    return [
        heading("Comparison of recipes"),
        paragraph(
            "A single split cannot tell apart recipes that differ by less than its interval. We therefore compared "
            "recipes by cross-validation, photo by photo on the same folds (<tab-comparison>). The published recipe "
            f"(published) reaches {_estimate(published, 'accuracy', '.1f', '%')}. Of "
            f"{spelled(len(others))} others, {better} {'is' if found[BETTER] < 2 else 'are'} better, {worse} worse and "
            f"{undecided} undecided. A verdict requires {intervals} to exclude zero."
        ),
        _table(facts),
    ]


def in_brief(facts: Facts) -> str:
    """State the comparison's result in a sentence; empty without one."""
    if not (others := _others(facts)):
        return ""
    where, n = f"In cross-validation with {written_name(others[0]['backbone'])}", spelled(len(others))
    best = max(others, key=lambda row: (row["verdict"] == BETTER, row["difference_mean"]))
    if best["verdict"] != BETTER:
        return f"{where}, no other recipe (of {n}) is measurably better than the published one."
    gain = _estimate(best, "difference", ".2f", before=" points over the published one (95 % interval ")
    if best["by_folds"]:
        low, high = (100 * end for end in best["by_folds"])
        gain = gain.removesuffix(")") + f" by bootstrap over scenes, {low:.2f} to {high:.2f} by t over folds)"
    overestimated = f"; as it is the best of {n}, the gain is probably overestimated" if len(others) > 1 else ""
    return f"{where}, the recipe “{best['recipe']}” gains {gain}{overestimated}."


def _table(facts: Facts) -> Block:
    """List the recipes, the largest gain first; of many, the presets and the clearest differences."""
    rows, published, body = facts.comparison, _published(facts.comparison), []

    def rank(row: Row) -> tuple[bool, bool, float]:
        return row["recipe"] not in ALWAYS, row["verdict"] == UNDECIDED, -abs(row["difference_mean"])

    clearest = sorted(rows, key=rank)[:SHOWN]
    for row in [row for row in rows if row in clearest]:
        difference = "–" if row is published else _estimate(row, "difference", "+.2f")
        body.append((row["recipe"], _estimate(row, "accuracy", ".1f"), difference))
    seeds = f" with {published['seeds']} seeds per fold" if published["seeds"] > 1 else ""
    some = f" Of {len(rows)} recipes, the presets and the clearest differences." if len(rows) > SHOWN else ""
    caption = (
        f"Recipes compared by cross-validation, {published['folds']} folds held out{seeds}: "
        f"{written_name(published['backbone'])}, {published['photos']:,} photos, {published['image_size']} px, at most "
        f"{published['epochs']} epochs. Accuracy on held-out photos after the last epoch (per cent) and paired "
        f"difference to the published recipe (points), with 95 % bootstrap intervals [efron1979] over scenes.{some}"
    )
    wide = max(len(name) for name, *_ in body) > 12
    return tabular("tab-comparison", caption, ("recipe", "accuracy", "difference"), body, wide=wide)


def _published(rows: Sequence[Row]) -> Row:
    return next(row for row in rows if row["recipe"] == "published")


def _others(facts: Facts) -> list[Row]:
    return [row for row in facts.comparison if row["recipe"] != "published"]


def _estimate(row: Row, name: str, form: str, unit: str = "", before: str = " (") -> str:
    """Write ``accuracy`` or ``difference`` with its interval, such as ``93.15 (91.9 to 94.4)``."""
    mean, low, high = (100 * row[f"{name}_{part}"] for part in ("mean", "low", "high"))
    sign = "+" if form.startswith("+") else ""
    return f"{mean:{sign}.2f}{unit}{before}{low:{form}} to {high:{form}}{unit})".replace("-", "−")
