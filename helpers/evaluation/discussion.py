"""The discussion of a run: sentences chosen and filled by the numbers in its ``results.json``."""

from typing import Any, NamedTuple

from helpers.common.text import as_markdown
from helpers.evaluation.published import PAPER, PAPER_ACCURACY, PAPER_PHOTOS, are_the_flowers, species, written_name
from helpers.evaluation.statistics import wilson_interval


class Paragraph(NamedTuple):
    """A title and sentences, plain text: the notebook shows it as Markdown, the report sets it in typst."""

    title: str
    text: str


def discuss(results: dict[str, Any]) -> str:
    """Write Markdown paragraphs about one run, from its ``results.json``."""
    return "\n\n".join(f"**{title}** {as_markdown(text)}" for title, text in paragraphs(results).values())


def paragraphs(results: dict[str, Any]) -> dict[str, Paragraph]:
    """Write the discussion by subject, in order."""
    return {
        "accuracy": Paragraph("Accuracy.", _accuracy(results)),
        "optimism": Paragraph("Optimism of the best epoch.", _optimism(results)),
        "stability": Paragraph("Stability.", _stability(results)),
        "gap": Paragraph("Generalization gap.", _gap(results)),
        "confusion": Paragraph("Confusions.", _confusion(results)),
        "classes": Paragraph("Harder and easier classes.", _classes(results)),
        "calibration": Paragraph("Calibration.", _calibration(results)),
        "limits": Paragraph("Limits.", _limits(results)),
    }


def poor_result(r: dict[str, Any]) -> str:
    """Say in a sentence that accuracy is poor; empty from 80 % on, if it is better than guessing."""
    guessing = max(score["photos"] for score in r["class_scores"]) / r["val_photos"]
    if r["interval_low"] <= guessing:
        return (
            f"Always predicting the largest class would be right on {guessing:.1%} of the photos: nothing shows that "
            "the network does better."
        )
    if r["best_val_accuracy"] < 0.8:
        return (
            f"This is better than always predicting the largest class ({guessing:.1%}), but a poor result: "
            f"{1 - r['best_val_accuracy']:.1%} of the photos are misclassified."
        )
    return ""


def _accuracy(r: dict[str, Any]) -> str:
    sentences = [
        f"The best epoch ({r['best_epoch']}) classifies {r['best_val_correct']} of {r['val_photos']} validation photos "
        f"correctly: {r['best_val_accuracy']:.2%}, with a 95 % interval of {r['interval_low']:.1%} to "
        f"{r['interval_high']:.1%}.",
        poor_result(r),
    ]
    if r["demo"]:
        sentences.append("The photos are drawings: this shows that the code works, and nothing about real flowers.")
    elif are_the_flowers(r["classes"]):
        sentences += [_conditions(r), _against_the_paper(r)]
    return " ".join(filter(None, sentences))


def _conditions(r: dict[str, Any]) -> str:
    if r["backbone"] == PAPER["backbone"] and r["photos"] == PAPER_PHOTOS:
        return ""
    return (
        f"The published result is {written_name(PAPER['backbone'])}'s on {PAPER_PHOTOS:,} photos, this one "
        f"{written_name(r['backbone'])}'s on {r['photos']:,}, so they are not directly comparable."
    )


def _against_the_paper(r: dict[str, Any]) -> str:
    if r["interval_low"] <= PAPER_ACCURACY <= r["interval_high"]:
        return f"The published {PAPER_ACCURACY:.2%} lies inside this interval: one such split cannot separate the two."
    side = "above" if r["interval_low"] > PAPER_ACCURACY else "below"
    return f"The whole interval lies {side} the published {PAPER_ACCURACY:.2%}."


def _last_epochs(r: dict[str, Any]) -> str:
    return f"the last {'five' if r['epochs'] >= 5 else r['epochs']} epochs"


def _optimism(r: dict[str, Any]) -> str:
    if r["epochs"] == 1:
        return "With a single epoch nothing was chosen, so the choice adds no optimism."
    lead = r["best_flatters_by"]
    return (
        "The best epoch was chosen on the validation photos themselves, so its accuracy is optimistic. The mean over "
        f"{_last_epochs(r)} is {r['last_five_mean']:.2%}, which is {100 * lead:.2f} points "
        f"({lead * r['val_photos']:.1f} photos) lower, and the better number to compare with others."
    )


def _stability(r: dict[str, Any]) -> str:
    if r["epochs"] == 1:
        return "A single epoch does not show it."
    photos = round(r["last_five_spread"] * r["val_photos"])
    judgement = ""
    if photos > 10:
        judgement = ": training has not converged, and more epochs or a lower final learning rate may help"
    elif photos <= 3:
        judgement = ": training has converged"
    return (
        f"Between the best and the worst of {_last_epochs(r)} lie {100 * r['last_five_spread']:.2f} points "
        f"({photos} of {r['val_photos']} photos){judgement}."
    )


def _gap(r: dict[str, Any]) -> str:
    gap = r["generalization_gap"]
    numbers = (
        f"In the last epoch accuracy is {r['last_train_accuracy']:.2%} on the training photos, with augmentation and "
        f"dropout as the recipe has them, and {r['last_val_accuracy']:.2%} on the validation photos. "
    )
    if max(r["last_train_accuracy"], r["last_val_accuracy"]) < 0.8 and gap < 0.03:
        return numbers + (
            "The network underfits: it fails on its own training photos. Longer training or another learning rate is "
            "more promising than more photos."
        )
    if gap < 0:
        return (
            numbers
            + "Validation has neither augmentation nor dropout, which makes it easier; nothing shows overfitting."
        )
    return numbers + f"The gap of {100 * gap:.1f} points {'is small' if gap < 0.03 else 'shows overfitting'}."


def _confusion(r: dict[str, Any]) -> str:
    classes, matrix = r["classes"], r["confusion"]
    pairs = [(matrix[i][j], i, j) for i in range(len(classes)) for j in range(len(classes)) if i != j]
    count, label, predicted = max(pairs, key=lambda pair: pair[0])
    if count == 0:
        return "None: every validation photo is classified correctly."
    most = "One of the most frequent" if sum(pair[0] == count for pair in pairs) > 1 else "The most frequent one"
    return (
        f"{most} is {classes[label]} predicted as {classes[predicted]} "
        f"({count} {'photo' if count == 1 else 'photos'} of {sum(matrix[label])})."
    )


def _classes(r: dict[str, Any]) -> str:
    """Whether recall differs between classes by more than their intervals allow."""
    pairs = zip(r["class_scores"], r["class_intervals"], strict=True)
    known = sorted(
        (score["recall"], score["name"], score["photos"], row["recall"]) for score, row in pairs if row["recall"]
    )
    if len(known) < 2:
        return "Too few classes have validation photos for a comparison."
    worst, best = known[0], known[-1]
    if worst[0] == best[0]:
        return f"Recall is {worst[0]:.1%} for every class."
    ends = " to ".join(
        f"{recall:.1%} ({name}; {low:.1%} to {high:.1%})" for recall, name, _, (low, high) in (worst, best)
    )
    text = f"Recall ranges from {ends}, with 95 % intervals. "
    if worst[3][1] >= best[3][0]:
        return text + "The intervals overlap: these photos do not show which class is harder."
    # Of many classes chance alone drives two apart. Intervals for 1 - 0.05 / k confidence hold all k at once with 95 %
    # (Bonferroni), so whichever two are picked.
    k = len(known)
    low, high = (wilson_interval(round(recall * n), n, 1 - 0.05 / k) for recall, _, n, _ in (worst, best))
    widened = f"when widened because these are the extremes of {k} classes (Bonferroni)"
    if low.high < high.low:
        return text + f"They are disjoint, even {widened}: the difference is significant."
    return text + f"They are disjoint, but overlap {widened}: the difference may be chance."


def _calibration(r: dict[str, Any]) -> str:
    c = r["calibration"]
    surplus = c["mean_confidence"] - r["best_val_correct"] / r["val_photos"]
    text = (
        f"The predicted classes have a mean probability of {c['mean_confidence']:.1%}, {100 * abs(surplus):.1f} points "
        f"{'above' if surplus > 0 else 'below'} the accuracy. The expected calibration error is {c['ece']:.1%}; on so "
        f"few photos a perfectly calibrated model would score {c['ece_by_chance_low']:.1%} to "
        f"{c['ece_by_chance_high']:.1%}, so "
    )
    if c["ece"] <= c["ece_by_chance_high"]:
        text += "nothing shows that it is miscalibrated. "
    else:
        text += f"it is miscalibrated ({'over' if surplus > 0 else 'under'}confident on average). "
    if c["temperature_is_bounded"] and c["temperature"] < 1:
        return text + "There are too few mistakes to fit a temperature."
    if c["temperature_is_bounded"]:
        return text + "No temperature helps: correct predictions hardly have higher probabilities than mistakes."
    before, after = round(c["loss"], 3), round(c["loss_after"], 3)
    effect = "lowers" if after < before else "does not lower"
    return text + (
        f"The temperature that fits best is {c['temperature']:.2f}. Fitted to one half of the photos and applied to "
        f"the other, temperature scaling {effect} the loss ({before:.3f} before, {after:.3f} after)."
    )


def _limits(r: dict[str, Any]) -> str:
    if r["demo"]:
        return "The network knows these drawings only. For real photos, set the parameter dataset to a folder of them."
    text = "Accuracy on a split of one collection holds for that collection. "
    if {"dandelion", "sunflower"} <= species(r["classes"]):
        text += (
            "In the course's photos every dandelion is a white seed head: a network trained on them tends to take "
            "yellow dandelions for sunflowers. "
        )
    return text + "Before relying on a model, test it on photos from other sources."
