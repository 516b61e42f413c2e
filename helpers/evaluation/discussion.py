"""The discussion of a run: sentences chosen by its results, every number computed from them."""

from __future__ import annotations

from typing import Any, NamedTuple

from helpers.evaluation.published import PAPER, PAPER_ACCURACY, PAPER_PHOTOS, are_the_flowers, species, written_name


class Paragraph(NamedTuple):
    """A title and sentences, plain text: the notebook shows it as Markdown, the report sets it in typst."""

    title: str
    text: str


def discuss(results: dict[str, Any]) -> str:
    """Markdown paragraphs about one run, from its ``results.json``."""
    return "\n\n".join(f"**{title}** {text}" for title, text in paragraphs(results).values())


def paragraphs(results: dict[str, Any]) -> dict[str, Paragraph]:
    """The discussion by subject, in order.

    Accuracy, flattery, stability, gap, confusion; classes and calibration if the results have them; limits.
    """
    said = {
        "accuracy": Paragraph("How accurate.", _accuracy(results)),
        "flattery": Paragraph("How much the best epoch flatters.", _flattery(results)),
        "stability": Paragraph("How stable.", _stability(results)),
        "gap": Paragraph("Generalization gap.", _gap(results)),
        "confusion": Paragraph("What it confuses.", _confusion(results)),
    }
    if "class_intervals" in results:  # not in results of earlier versions
        said["classes"] = Paragraph("Which class is hard.", _classes(results))
    if "calibration" in results:
        said["calibration"] = Paragraph("How far its probabilities can be believed.", _calibration(results))
    return said | {"limits": Paragraph("What it does not say.", _limits(results))}


def guessing(r: dict[str, Any]) -> float:
    """The share of the photos that are right if the largest class is always named."""
    return max(score["photos"] for score in r["class_scores"]) / r["val_photos"]


def verdict(r: dict[str, Any]) -> str:
    """What a poor accuracy means, in a sentence; nothing if there is nothing to complain of."""
    if r["interval_low"] <= guessing(r):
        return (
            f"Always naming the largest class would be right on {guessing(r):.1%}: this cannot be told from it, the "
            "network has learned nothing that could be used."
        )
    if r["best_val_accuracy"] < 0.8:
        return (
            f"That is more than the {guessing(r):.1%} of always naming the largest class, but "
            f"{1 - r['best_val_accuracy']:.1%} of the photos are classified wrongly: a poor result."
        )
    return ""


def _accuracy(r: dict[str, Any]) -> str:
    text = (
        f"The best epoch ({r['best_epoch']}) classifies {r['best_val_correct']} of "
        f"{r['val_photos']} validation photos correctly: {r['best_val_accuracy']:.2%}, with a 95 % interval of "
        f"{r['interval_low']:.1%} to {r['interval_high']:.1%}. "
    )
    text += verdict(r) and verdict(r) + " "
    if r["demo"]:
        return text + "These photos are drawings: the number says that the code works, nothing about real flowers."
    if not are_the_flowers(r["classes"]):
        return text.strip()
    text += _comparability(r)
    if r["interval_low"] <= PAPER_ACCURACY <= r["interval_high"]:
        return text + (
            f"The published {PAPER_ACCURACY:.2%} lies inside this interval: one split of this size "
            "cannot tell the two apart."
        )
    side = "above" if r["interval_low"] > PAPER_ACCURACY else "below"
    return text + f"The whole interval lies {side} the published {PAPER_ACCURACY:.2%}."


def _comparability(r: dict[str, Any]) -> str:
    """What stands between this run and the published one, if anything does."""
    if r["backbone"] == PAPER["backbone"] and r["photos"] == PAPER_PHOTOS:
        return ""
    return (
        f"(The published result is {written_name(PAPER['backbone'])}'s on {PAPER_PHOTOS:,} photos; this is "
        f"{written_name(r['backbone'])}'s on {r['photos']:,}: other conditions, so read the comparison with care.) "
    )


def _flattery(r: dict[str, Any]) -> str:
    epochs = r.get("epochs", 5)
    if epochs == 1:
        return "There is one epoch only: nothing was chosen, and nothing flatters."
    photos, last = r["best_flatters_by"] * r["val_photos"], "five" if epochs >= 5 else epochs
    return (
        "It was chosen by looking at the validation photos, so part of its "
        f"lead is luck. The last {last} epochs average {r['last_five_mean']:.2%}, which is "
        f"{100 * r['best_flatters_by']:.2f} points ({photos:.1f} photos) less. "
        "Compare with others by that mean."
    )


def _stability(r: dict[str, Any]) -> str:
    epochs = r.get("epochs", 5)
    if epochs == 1:
        return "One epoch does not say."
    last = "five" if epochs >= 5 else epochs
    spread, one_photo = r["last_five_spread"], 1 / r["val_photos"]
    said = (
        "training has come to rest"
        if spread <= 3 * one_photo
        else "training has not come to rest: more epochs or a lower last learning rate would help"
        if spread > 10 * one_photo
        else "the rest of the noise is a handful of photos near the boundary"
    )
    return (
        f"Between the best and the worst of the last {last} epochs lie {100 * spread:.2f} points, "
        f"where one photo is {100 * one_photo:.2f} points: {said}."
    )


def _gap(r: dict[str, Any]) -> str:
    gap = r["generalization_gap"]
    text = (
        f"In the last epoch the network is right on {r['last_train_accuracy']:.2%} of the "
        f"training photos (as training sees them, with dropout) and on {r['last_val_accuracy']:.2%} of the validation "
        "photos. "
    )
    if max(r["last_train_accuracy"], r["last_val_accuracy"]) < 0.8 and gap < 0.03:
        return text + (
            f"The gap of {100 * gap:.1f} points says nothing about overfitting: the network fails on its own training "
            "photos. Longer training or another learning rate would help, more photos would not."
        )
    if gap < 0:
        return text + (
            "Validation is the easier exam here: its photos are not changed at random, and dropout is off. "
            "Nothing points to overfitting."
        )
    if gap < 0.03:
        return text + f"The gap of {100 * gap:.1f} points is small for a network of this size."
    return text + f"The gap of {100 * gap:.1f} points says that it has begun to learn its photos by heart."


def _confusion(r: dict[str, Any]) -> str:
    classes, matrix = r["classes"], r["confusion"]
    one = [name.removesuffix("s") for name in classes] if are_the_flowers(classes) else classes
    pairs = [(matrix[i][j], i, j) for i in range(len(classes)) for j in range(len(classes)) if i != j]
    count, true, called = max(pairs, key=lambda pair: pair[0])
    if count == 0:
        return "Nothing: every validation photo is classified correctly."
    worst = min(r["class_scores"], key=lambda score: score["recall"] if score["recall"] is not None else 2)
    photos = "photo" if count == 1 else "photos"
    return (
        f"Most often a {one[true]} is called a {one[called]} ({count} {photos}). "
        f"The class found least reliably is {worst['name']}: {worst['recall']:.1%} of its {worst['photos']} photos."
    )


def _classes(r: dict[str, Any]) -> str:
    """Whether the photos suffice to call one class harder than another, by recall."""
    pairs = zip(r["class_scores"], r["class_intervals"], strict=True)
    known = sorted(
        ((score["recall"], *row["recall"], row["name"], score["photos"]) for score, row in pairs if row["recall"]),
        key=lambda each: each[0],
    )
    if len(known) < 2:
        return "Too few classes have validation photos to say."
    worst, best = known[0], known[-1]
    if worst[0] == best[0]:
        return f"None by these photos: {worst[0]:.1%} of every class are found."
    text = (
        f"Recall reaches from {worst[0]:.1%} ({worst[3]}; 95 % interval {worst[1]:.1%} to "
        f"{worst[2]:.1%}) to {best[0]:.1%} ({best[3]}; {best[1]:.1%} to {best[2]:.1%}). "
    )
    if worst[2] >= best[1]:
        return text + "The two intervals overlap: these photos do not settle which class is the harder one."
    return text + _extremes(*((round(recall * photos), photos) for recall, *_, photos in (worst, best)), len(known))


def _extremes(worst: tuple[int, int], best: tuple[int, int], classes: int) -> str:
    """Whether two classes differ that were picked because they differ most: right ones and photos of each.

    Of many classes chance alone drives two apart. Intervals for 1 - 0.05 / k confidence hold all k at once with 95 %
    (Bonferroni), so whichever two are picked.
    """
    from helpers.evaluation.statistics import wilson_interval  # here: it needs torch, whose import takes seconds

    widened = f"widened for being the extremes of {classes} classes (Bonferroni)"
    low, high = (wilson_interval(*each, confidence=1 - 0.05 / classes) for each in (worst, best))
    if low.high < high.low:
        return f"The two intervals do not meet, not even {widened}: the difference is more than chance."
    return (
        f"The two intervals do not meet, but they do when {widened}: these photos do not settle which class is the "
        "harder one."
    )


def _calibration(r: dict[str, Any]) -> str:
    c = r["calibration"]
    surplus = c["mean_confidence"] - r["best_val_correct"] / r["val_photos"]
    text = (
        f"On average it is {c['mean_confidence']:.1%} sure of its "
        f"answers, {100 * abs(surplus):.1f} points {'more' if surplus > 0 else 'less'} than it is right. The expected "
        f"calibration error is {c['ece']:.1%}; probabilities without fault would show {c['ece_by_chance_low']:.1%} to "
        f"{c['ece_by_chance_high']:.1%} on so few photos, "
    )
    if c["ece"] <= c["ece_by_chance_high"]:
        text += "so these photos give no reason to distrust them. "
    else:
        text += f"so they are too {'high' if surplus > 0 else 'low'} on the whole, or uneven. "
    if c["temperature_is_bounded"]:
        if c["temperature"] < 1:
            return text + "There are too few mistakes to fit a temperature to."
        return text + "No temperature mends them: how sure it is hardly depends on what is right."
    effect = "lower" if c["loss_after"] < c["loss"] else "do not lower"
    return text + (
        f"The temperature that fits these photos best is {c['temperature']:.2f} "
        f"({'softer' if c['temperature'] > 1 else 'sharper'} than the network); fitted to one half and tried on the "
        f"other, temperatures {effect} the loss ({c['loss']:.3f} before, {c['loss_after']:.3f} after)."
    )


def _limits(r: dict[str, Any]) -> str:
    if r["demo"]:
        return (
            "A network trained on these drawings knows these drawings. For real photos, "
            "give the notebook a folder of them (the parameter dataset)."
        )
    text = "Accuracy on a split of one collection measures that collection. "
    if {"dandelion", "sunflower"} <= species(r["classes"]):
        text += (
            "In the course's photos every dandelion is a white seed head: a network that is right on most of them "
            "calls yellow dandelions sunflowers. "
        )
    return text + "Before you rely on a model, try it on photos from somewhere else."
