"""The report's tables: settings, photos per class, scores per class, recipes compared."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from helpers.backbones import written_name
from helpers.discussion import PAPER
from helpers.errors import ParameterError
from helpers.evaluate import wilson_interval
from helpers.finished import Called
from helpers.recipe import Recipe
from helpers.report_blocks import Block, duration, in_words, listed, table, written
from helpers.report_facts import Facts

ROWS = 20  # classes in a table; of more, the first or the worst so many are shown
MISTAKES = 6  # single photos in a table
COMPARED = 10  # recipes in the comparison
LONGEST = 22  # letters of a class name; the rest is cut
ALWAYS = ("seed", "fast", "best")  # recipes that the comparison shows if it has them
GROUP = ("backbone", "cost", "folds", "seeds", "train_photos")

SETTINGS = (
    # (name in the table, settings of the recipe, how they are written)
    ("network", "backbone", "{backbone}"),
    ("backbone trained", "frozen_backbone", "{trained}"),
    ("augmentation", "augmentation", "{augmented}"),
    ("picture", "image_size", "{image_size} px"),
    ("dropout", "dropout", "{dropout:g}"),
    ("optimizer", "optimizer nesterov", "{step}"),
    ("learning rate", "lr", "{lr:g}"),
    ("momentum", "momentum", "{momentum:g}"),
    ("weight decay", "weight_decay", "{weight_decay:g}"),
    ("batch", "batch_size", "{batch_size}"),
    ("schedule", "schedule lr_step lr_gamma lr_milestones", "{falls}"),
    ("epochs", "epochs", "{epochs}"),
)
# What the recipe can do besides; a row each only if this run does it.
EXTRAS = ("crop", "auto_augment", "random_erasing", "mixup", "cutmix", "frozen_stages", "frozen_norms", "head_first")
EXTRAS += ("head_lr", "layer_decay", "l2_sp", "norm_decay", "label_smoothing", "ema", "warmup_epochs", "teacher_weight")
EXTRAS += ("test_size", "test_flip", "test_scales")


def recipe_table(facts: Facts) -> Block:
    """The settings that matter, beside the published recipe's."""
    ours, published = _settings(facts.recipe), _settings(Recipe())
    rows = [(name, how.format(**ours), how.format(**published)) for name, _, how in SETTINGS]
    for name in EXTRAS:
        default = getattr(Recipe(), name)
        if (value := getattr(facts.recipe, name)) != default and (name != "teacher_weight" or facts.recipe.teacher):
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
    words = {
        "step": {"sgd": "SGD, Nesterov" if r.nesterov else "SGD"}.get(r.optimizer, r.optimizer),
        "trained": "no" if r.frozen_backbone else "yes",
        "augmented": "five methods" if r.augmentation else "none",
        "falls": {"step": step, "multistep": f"×{r.lr_gamma:g} at {r.lr_milestones}"}.get(r.schedule, r.schedule),
    }
    return r.to_dict() | words | {"backbone": written_name(r.backbone)}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


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
    """Precision, recall and F1 of each class; of many classes those that are found least reliably."""
    scores = facts.results["class_scores"]
    caption = written("Validation photos by class, best epoch.")
    if len(scores) > ROWS:
        scores = sorted(scores, key=lambda score: 2 if score["recall"] is None else score["recall"])[:ROWS]
        caption = written("The {n} classes that are found least reliably, best epoch.", n=ROWS)
    rows = [
        (short(score["name"]), f"{score['photos']:,}", *(_share(score[name]) for name in ("precision", "recall", "f1")))
        for score in scores
    ]
    return table("tab-scores", caption, ("class", "photos", "precision", "recall", "F1"), rows)


def published_table(facts: Facts) -> Block:
    """The run beside the published one, which was measured under other conditions if anything of them differs."""
    others = [
        words
        for name, words in (("backbone", "another network"), ("photos", "other photos"))
        if facts.results[name] != PAPER[name]
    ]
    caption = "This run beside the published one" + (f" ({listed(others)})." if others else ".")
    low, high = wilson_interval(PAPER["best_val_correct"], PAPER["val_photos"])
    ours = facts.results
    theirs = PAPER | {"interval_low": low, "interval_high": high}
    shown = (
        ("photos", "{photos:,}"),
        ("validation photos", "{val_photos:,}"),
        ("epochs", "{epochs}"),
        ("right in best epoch", "{best_val_correct:,}"),
        ("accuracy, best epoch", "{best_val_accuracy:.2%}"),
        ("its 95 % interval", "{interval_low:.1%} to {interval_high:.1%}"),
        ("last epoch: training", "{last_train_accuracy:.2%}"),
        ("validation", "{last_val_accuracy:.2%}"),
        ("validation loss", "{last_val_loss:.4f}"),
    )
    rows = [("network", facts.backbone, written_name(PAPER["backbone"]))]
    rows += [(name, how.format(**ours), how.format(**theirs)) for name, how in shown]
    rows.append(("mean of last five", f"{ours['last_five_mean']:.2%}", "not given"))
    rows.append(("training time", duration(ours["training_seconds"]), duration(PAPER["training_seconds"])))
    return table("tab-published", written(caption), ("", "this run", "published"), rows)


def mistakes_table(facts: Facts) -> Block | None:
    """The mistakes that the network was surest of; None if there are none, or nothing is known of single photos."""
    called = facts.run.called
    wrong = [] if called is None else surest_mistakes(called)
    rows = [
        (
            short(PurePosixPath(called.names[i]).stem, 28),
            short(called.classes[called.labels[i]]),
            short(called.classes[called.probabilities[i].argmax()]),
            f"{100 * called.probabilities[i].max():.1f}",
        )
        for i in wrong[:MISTAKES]
    ]
    if not rows:
        return None
    caption = written("The mistakes that the network is surest of; probability in per cent.")
    return table("tab-mistakes", caption, ("photo", "true", "called", "probability"), rows, left=3)


def surest_mistakes(called: Called) -> list[int]:
    """Positions of the photos that were classified wrongly, the surest mistake first."""
    sure, answers = called.probabilities.max(1)
    wrong = (answers != called.labels).nonzero().flatten().tolist()
    return sorted(wrong, key=lambda i: (-float(sure[i]), called.names[i]))


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
        "points, with 95 % intervals from the bootstrap [efron1979] over scenes. Seconds are those of one "
        "training.",
        name=written_name(seed["backbone"]),
        folds=seed["folds"],
        seeds=f", {seed['seeds']} seeds each," if seed["seeds"] > 1 else "",
        photos=seed["photos"],
        cost=seed["cost"],
    )
    header = ("recipe", "accuracy", "interval", "difference", "interval", "seconds")
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


def rows_by_name(rows) -> dict[str, dict[str, Any]]:
    return {row["recipe"]: row for row in rows}


def short(name: str, longest: int = LONGEST) -> str:
    """A name, cut if it is very long."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def signed(points: float) -> str:
    """Points with their sign, a real minus."""
    return f"{points:+.2f}".replace("-", "−")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
