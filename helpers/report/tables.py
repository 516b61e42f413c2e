"""The report's tables: settings, photos per class, scores per class, and the published result."""

from collections.abc import Sequence

from helpers.common.text import listed, spelled
from helpers.evaluation.published import PAPER, result_rows
from helpers.recipe import Recipe
from helpers.report.facts import Facts, file_name
from helpers.report.markup import Block, tabular

ROWS = 20  # classes in a table; of more, the rest is summed or left out
LONGEST = 22  # letters of a class name; the rest is cut
BESIDE_TWO = 14  # letters of a class name that leave room for two intervals
ASSUMED = ("dropout", "batch_size")  # the paper gives neither
TOLD = ("seed", "precision", "deterministic")  # by the text
USUAL = ("backbone", "weights", "frozen_backbone", "augmentation", "image_size", "dropout", "epochs", "batch_size")
USUAL += ("optimizer", "lr", "momentum", "weight_decay", "schedule")
SET_BY = {  # by the part of the training that a cell of the notebook can change
    "head": ("dropout",),
    "freezing": ("frozen_backbone", "freeze_fraction", "frozen_norms"),
    "batch_size": ("batch_size",),
    "loss": ("label_smoothing", "class_weights"),
    "optimizer": ("optimizer", "lr", "head_lr", "momentum", "nesterov", "weight_decay"),
    "schedule": ("schedule", "lr_step", "lr_gamma", "warmup_epochs"),
    "train_transform": ("augmentation", "image_size", *Recipe.names("augmentation")),
    "val_transform": ("val_resize", "eval_image_size"),
}


def augmentation_methods(r: Recipe) -> dict[str, str]:
    """Put the assignment's five methods into words, in order; empty is what the recipe does not use."""
    crop = {"CenterCrop": f"`CenterCrop` to {r.crop_size} px"}
    if r.crop != "center":
        crop = {"RandomResizedCrop": f"`RandomResizedCrop` to at least {r.crop_scale:.0%} of the photo"}
    jitter = {name: getattr(r, name) for name in ("brightness", "contrast", "saturation", "hue")}
    strengths = [f"{name} {strength:g}" for name, strength in jitter.items() if strength]
    flips = {"RandomHorizontalFlip": r.horizontal_flip, "RandomVerticalFlip": r.vertical_flip}
    return {
        "RandomRotation": f"`RandomRotation` by up to ±{r.rotation:g}°" if r.rotation else "",
        **crop,
        **{name: f"`{name}` with probability {share:g}" if share else "" for name, share in flips.items()},
        "ColorJitter": f"`ColorJitter` with {listed(strengths)}" if strengths else "",
    }


def recipe_table(facts: Facts) -> Block:
    """Compare the usual settings with the published recipe's, and all others that differ."""
    rows, changed, by_hand = [], 0, {name for part in facts.changes for name in SET_BY.get(part, ())}
    for name in Recipe.names("network", "training", "augmentation", "inference"):
        ours, published = (_plain(getattr(recipe, name)) for recipe in (facts.recipe, Recipe()))
        if name == "weights" and facts.imagenet:  # in a file, perhaps
            ours = published
        if name in by_hand:
            ours = "changed by hand"
        if name in USUAL or (ours != published and name not in TOLD):
            changed += ours != published
            label = name.replace("_", " ") + " *" * (ours != published)
            if published in ("none", "no") and name not in USUAL:
                published = "–"  # the paper does not mention it
            rows.append((label, ours, published + " (assumed)" * (name in ASSUMED)))
    caption = f"The recipe. Settings that differ from the published one (*): {spelled(changed)}."
    if facts.changes:
        caption += f" Changed by hand: {listed([part.replace('_', ' ') for part in facts.changes])}."
    return tabular("tab-recipe", caption, ("setting", "this run", "published"), rows)


def _plain(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return file_name(value).replace("_", " ") or "none"
    return f"{value:g}" if value else "none"


def photos_table(facts: Facts) -> Block:
    """Count the photos of each class for training, validation and test, if there is one."""
    sides = {side: counts for side, counts in facts.split.items() if counts or side != "test"}
    names = facts.results["classes"]
    counts = [(short(name), *(side[name] for side in sides.values())) for name in names[:ROWS]]
    if rest := names[ROWS:]:
        counts.append((f"{len(rest)} more", *(sum(side[name] for name in rest) for side in sides.values())))
    counts.append(("total", *(side.total() for side in sides.values())))
    rows = [(name, *(f"{n:,}" for n in numbers), f"{sum(numbers):,}") for name, *numbers in counts]
    caption = f"Number of {'drawn ' if facts.demo else ''}photos per class."
    heads = {"train": "training", "val": "validation", "test": "test"}
    return tabular("tab-photos", caption, ("class", *(heads[side] for side in sides), "total"), rows, total=True)


def scores_table(facts: Facts) -> Block:
    """List precision, recall and F1 of each class; of many classes, those with the lowest recall.

    Long names leave room for the intervals of recall only.
    """
    pairs = list(zip(facts.results["class_scores"], facts.results["class_intervals"], strict=True))
    caption = "Validation scores by class in the best epoch, in per cent, with 95 % intervals."
    if len(pairs) > ROWS:
        pairs = sorted(pairs, key=lambda pair: 2 if pair[0]["recall"] is None else pair[0]["recall"])[:ROWS]
        caption = f"The {ROWS} classes with the lowest recall in the best epoch, in per cent, with 95 % intervals."
    room = max(len(score["name"]) for score, _ in pairs) <= BESIDE_TWO
    rows = [
        (
            short(score["name"]),
            f"{score['photos']:,}",
            _score(score["precision"], interval["precision"] if room else None),
            _score(score["recall"], interval["recall"]),
            _score(score["f1"]),
        )
        for score, interval in pairs
    ]
    return tabular("tab-scores", caption, ("class", "photos", "precision", "recall", "F1"), rows)


def published_table(facts: Facts) -> Block:
    """Compare the run with the published result."""
    first = {f"first_{name}": value for name, value in facts.run.history[0]._asdict().items()}
    ours, theirs = result_rows(facts.results | first), result_rows(PAPER)
    if facts.recipe.label_smoothing or "loss" in facts.changes:
        ours["last epoch: val. loss"] += " (another loss)" if "loss" in facts.changes else " (smoothed)"
    rows = [(name, ours[name], theirs[name]) for name in ours]
    caption = "This run and the published one [course2025]; the 95 % intervals of both are computed here."
    return tabular("tab-published", caption, ("", "this run", "published"), rows)


def _score(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}" + (f" ({100 * interval[0]:.1f}–{100 * interval[1]:.1f})" if interval else "")


def short(name: str, longest: int = LONGEST) -> str:
    """Shorten a name to ``longest`` characters."""
    return name if len(name) <= longest else name[: longest - 1] + "…"
