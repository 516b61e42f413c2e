"""The report's tables: settings, photos per class, scores per class, recipes compared."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from helpers.backbones import written_name
from helpers.discussion import PAPER
from helpers.evaluate import wilson_interval
from helpers.finished import Called
from helpers.recipe import Recipe
from helpers.report_blocks import Block, duration, in_words, listed, table, written
from helpers.report_facts import Facts

ROWS = 20  # classes in a table; of more, the first or the worst so many are shown
MISTAKES = 6  # single photos in a table
LONGEST = 22  # letters of a class name; the rest is cut

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
EXTRAS = ("crop", "auto_augment", "random_erasing", "mixup", "cutmix", "frozen_share", "frozen_norms", "head_first")
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


def short(name: str, longest: int = LONGEST) -> str:
    """A name, cut if it is very long."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
