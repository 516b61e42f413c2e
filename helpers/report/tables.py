"""The report's tables: settings, photos per class, scores per class, recipes compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from helpers.common.text import duration, in_words, listed
from helpers.evaluation.answers import confident_mistakes
from helpers.evaluation.published import PAPER, written_name
from helpers.evaluation.statistics import wilson_interval
from helpers.recipe import DEFAULTS, Recipe
from helpers.report.facts import Facts, methods_at_work
from helpers.report.markup import Block, table, written

ROWS = 20  # classes in a table; of more, the first or the worst so many are shown


MISTAKES = 6  # single photos in a table


LONGEST = 22  # letters of a class name; the rest is cut


BESIDE_TWO = 14  # letters of a class name that leave room for two intervals


SETTINGS = (
    # (name in the table, settings of the recipe, how they are written)
    ("network", "backbone", "{backbone}"),
    ("backbone trained", "frozen_backbone freeze_fraction", "{trained}"),
    ("augmentation", "augmentation", "{augmented}"),
    ("picture", "image_size", "{image_size} px"),
    ("dropout", "dropout", "{dropout:g}"),
    ("optimizer", "optimizer nesterov", "{step}"),
    ("learning rate", "lr", "{lr:g}"),
    ("momentum", "momentum", "{momentum:g}"),
    ("weight decay", "weight_decay", "{weight_decay:g}"),
    ("batch", "batch_size", "{batch_size}"),
    ("schedule", "schedule lr_step lr_gamma", "{falls}"),
    ("epochs", "epochs", "{epochs}"),
)


def recipe_table(facts: Facts) -> Block:
    """The settings that matter, beside the published recipe's."""
    ours, published = _settings(facts.recipe), _settings(Recipe())
    rows = [(name, how.format(**ours), how.format(**published)) for name, _, how in SETTINGS]
    told = {name for _, names, _ in SETTINGS for name in names.split()}
    for name in Recipe.names("training", "inference"):  # what else this run does
        value, default = getattr(facts.recipe, name), DEFAULTS[name]
        if value != default and name not in told:
            rows.append((name.replace("_", " "), _plain(value), _plain(default)))
    changed = sum(row[1] != row[2] for row in rows)
    differ = "one row differs" if changed == 1 else f"{in_words(changed)} rows differ"
    caption = written(
        "The recipe: {differ} from the published one (*)." if changed else "The recipe: the published one.",
        differ=differ,
    )
    rows = [(name + " *" * (ours != published), ours, published) for name, ours, published in rows]
    return table("tab-recipe", caption, ("setting", "this run", "published"), rows)


def _settings(r: Recipe) -> dict[str, Any]:
    step = f"×{r.lr_gamma:g} every {r.lr_step}"
    part = f"all but its first {r.freeze_fraction:.0%} of stages" if r.freeze_fraction else "yes"
    methods = sum(methods_at_work(r).values())
    words = {
        "step": {"sgd": "SGD, Nesterov" if r.nesterov else "SGD"}.get(r.optimizer, r.optimizer),
        "trained": "no" if r.frozen_backbone else part,
        "augmented": f"{in_words(methods)} method{'' if methods == 1 else 's'}" if r.augmentation else "none",
        "falls": step if r.schedule == "step" else r.schedule,
    }
    return r.to_dict() | words | {"backbone": written_name(r.backbone)}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else PurePosixPath(str(value)).name.replace("_", " ") or "none"


def photos_table(facts: Facts) -> Block | None:
    """Photos of each class for training and validation; None if the run's split is not there."""
    if facts.split is None:
        return None
    train, val = facts.split["train"], facts.split["val"]
    names = facts.results["classes"]
    rows = [
        (short(name), f"{train[name]:,}", f"{val[name]:,}", f"{train[name] + val[name]:,}") for name in names[:ROWS]
    ]
    if len(names) > ROWS:
        rest = [sum(side[name] for name in names[ROWS:]) for side in (train, val)]
        rows.append((f"{len(names) - ROWS} more", *(f"{n:,}" for n in (*rest, sum(rest)))))
    totals = train.total(), val.total(), train.total() + val.total()
    rows.append(("together", *(f"{n:,}" for n in totals)))
    kind = "Drawn photos" if facts.demo else "Photos"
    caption = written(f"{kind} of each class.")
    return table("tab-photos", caption, ("class", "training", "validation", "together"), rows, last=True)


def scores_table(facts: Facts) -> Block:
    """Precision, recall and F1 of each class, with what intervals there are and fit; of many classes the worst found.

    Results of earlier versions have no intervals. Beside long names those of precision are left out.
    """
    scores = facts.results["class_scores"]
    intervals = facts.results.get("class_intervals", [{}] * len(scores))
    pairs = list(zip(scores, intervals, strict=True))
    what = "Validation photos by class, best epoch"
    if len(pairs) > ROWS:
        pairs = sorted(pairs, key=lambda pair: 2 if pair[0]["recall"] is None else pair[0]["recall"])[:ROWS]
        what = f"The {ROWS} classes that are found least reliably, best epoch"
    fitting = {"recall"}
    if max(len(short(score["name"])) for score, _ in pairs) <= BESIDE_TWO:
        fitting.add("precision")
    rows = [
        (
            short(score["name"]),
            f"{score['photos']:,}",
            *(
                _share(score[name], interval.get(name) if name in fitting else None)
                for name in ("precision", "recall", "f1")
            ),
        )
        for score, interval in pairs
    ]
    told = "; per cent, with 95 % intervals" if "class_intervals" in facts.results else "; per cent"
    return table("tab-scores", written(what + told + "."), ("class", "photos", "precision", "recall", "F1"), rows)


def published_table(facts: Facts) -> Block:
    """The run beside the published one, which was measured under other conditions if anything of them differs."""
    others = [
        words
        for name, words in (("backbone", "another network"), ("photos", "other photos"))
        if facts.results[name] != PAPER[name]
    ]
    caption = "This run beside the published one" + (f" ({listed(others)})." if others else ".")
    low, high = wilson_interval(PAPER["best_val_correct"], PAPER["val_photos"])
    ours = facts.results | {"smoothed": " (smoothed)" if facts.recipe.label_smoothing else ""}
    theirs = PAPER | {"interval_low": low, "interval_high": high, "smoothed": ""}
    shown = (
        ("photos", "{photos:,}"),
        ("validation photos", "{val_photos:,}"),
        ("epochs", "{epochs}"),
        ("right in best epoch", "{best_val_correct:,}"),
        ("accuracy, best epoch", "{best_val_accuracy:.2%}"),
        ("its 95 % interval", "{interval_low:.1%} to {interval_high:.1%}"),
        ("last epoch: training", "{last_train_accuracy:.2%}"),
        ("validation", "{last_val_accuracy:.2%}"),
        ("validation loss", "{last_val_loss:.4f}{smoothed}"),
    )
    rows = [("network", facts.backbone, written_name(PAPER["backbone"]))]
    rows += [(name, how.format(**ours), how.format(**theirs)) for name, how in shown]
    rows.append(("mean of last five", f"{ours['last_five_mean']:.2%}", "not given"))
    rows.append(("training time", duration(ours["training_seconds"]), duration(PAPER["training_seconds"])))
    return table("tab-published", written(caption), ("", "this run", "published"), rows)


def mistakes_table(facts: Facts) -> Block | None:
    """The mistakes that the network was surest of; None if there are none, or nothing is known of single photos."""
    called = facts.run.predictions
    rows = [
        (
            short(PurePosixPath(wrong.name).stem, 28),
            short(wrong.truth),
            short(wrong.said),
            f"{100 * wrong.probability:.1f}",
        )
        for wrong in (confident_mistakes(called, MISTAKES) if called else [])
    ]
    if not rows:
        return None
    caption = written("The mistakes that the network is surest of; probability in per cent.")
    return table("tab-mistakes", caption, ("photo", "true", "called", "probability"), rows, left=3)


def short(name: str, longest: int = LONGEST) -> str:
    """A name, cut if it is very long."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def _share(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}" + (f" ({100 * interval[0]:.1f}–{100 * interval[1]:.1f})" if interval else "")
