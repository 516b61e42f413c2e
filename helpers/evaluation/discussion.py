"""The discussion of a run: sentences chosen and filled by the numbers in its ``results.json``."""

from typing import Any

from helpers.common.text import as_markdown, counted, spelled
from helpers.evaluation.published import PAPER, PAPER_ACCURACY, PAPER_PHOTOS, are_the_flowers, species, written_name
from helpers.evaluation.statistics import wilson_interval


def discuss(results: dict[str, Any]) -> str:
    """Write Markdown paragraphs about one run, from its ``results.json``."""
    return "\n\n".join(f"**{title}** {as_markdown(text)}" for title, text in paragraphs(results).items())


def paragraphs(results: dict[str, Any]) -> dict[str, str]:
    """Write the discussion by title, in order, in plain text. A single epoch shows neither optimism nor stability."""
    several = {"Optimism of the best epoch.": _optimism(results), "Stability.": _stability(results)}
    return {
        "Accuracy.": _accuracy(results),
        **(several if results["epochs"] > 1 else {}),
        "Generalization gap.": _gap(results),
        "Confusions.": _confusion(results),
        "Harder and easier classes.": _classes(results),
        "Calibration.": _calibration(results),
        "Limits.": _limits(results),
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
        sentences.append(_against_the_paper(r))
    return " ".join(filter(None, sentences))


def _against_the_paper(r: dict[str, Any]) -> str:
    side = "above" if r["interval_low"] > PAPER_ACCURACY else "below"
    text = f"The whole interval lies {side} the published {PAPER_ACCURACY:.2%}."
    if r["interval_low"] <= PAPER_ACCURACY <= r["interval_high"]:
        text = f"The published {PAPER_ACCURACY:.2%} lies inside this interval: one such split cannot separate the two."
    if r["backbone"] == PAPER["backbone"] and r["photos"] == PAPER_PHOTOS:
        return text
    return (
        f"{text} The published result is {written_name(PAPER['backbone'])}'s on {PAPER_PHOTOS:,} photos, this one "
        f"{written_name(r['backbone'])}'s on {r['photos']:,}, so they are not directly comparable."
    )


def last_epochs(r: dict[str, Any]) -> str:
    """Say what ``last_five_mean`` averages over."""
    return f"the last {spelled(min(5, r['epochs']))} epochs" if r["epochs"] > 1 else "the only epoch"


def _optimism(r: dict[str, Any]) -> str:
    lead = r["best_flatters_by"]
    return (
        "The best epoch was chosen on the validation photos themselves, so its accuracy is optimistic. The mean over "
        f"{last_epochs(r)} is {r['last_five_mean']:.2%}, which is {100 * lead:.2f} points "
        f"({lead * r['val_photos']:.1f} photos) lower, and the better number to compare with others.{_test(r)}"
    )


def _test(r: dict[str, Any]) -> str:
    if not (t := r.get("test")):
        return ""
    times = "once" if t["evaluations_of_all_runs"] == 1 else f"{t['evaluations_of_all_runs']} times"
    return (
        f" The test photos were kept out of every choice until the end, and evaluated {times}: {t['correct']} of "
        f"{t['photos']} are classified correctly, {t['accuracy']:.2%} (95 % interval {t['interval_low']:.1%} to "
        f"{t['interval_high']:.1%})."
    )


def _stability(r: dict[str, Any]) -> str:
    """Compare the spread of the last epochs with what the number of photos allows: no claim about convergence."""
    spread, half = r["last_five_spread"], (r["interval_high"] - r["interval_low"]) / 2
    return (
        f"Between the best and the worst of {last_epochs(r)} lie {100 * spread:.2f} points "
        f"({round(spread * r['val_photos'])} of {r['val_photos']} photos), {'less' if spread < half else 'more'} than "
        f"half the width of one epoch's 95 % interval ({100 * half:.1f} points)."
    )


def _gap(r: dict[str, Any]) -> str:
    """Judge the difference of training and validation accuracy by the interval of the latter."""
    train, n = r["last_train_accuracy"], r["val_photos"]
    low, high = wilson_interval(round(r["last_val_accuracy"] * n), n)
    judgement = "The former lies inside the interval: these photos show no gap."
    if train > high:
        judgement = "The former lies above the interval: the network fits its training photos better than new ones."
    elif train < low:
        judgement = "The former lies below the interval, as augmentation and dropout in training can make it."
    return (
        f"In the last epoch accuracy is {train:.2%} on the training photos, with augmentation and dropout as used "
        f"in training, and {r['last_val_accuracy']:.2%} on the validation photos, with a 95 % interval of "
        f"{low:.1%} to {high:.1%}. {judgement}"
    )


def _confusion(r: dict[str, Any]) -> str:
    classes, matrix = r["classes"], r["confusion"]
    pairs = [(matrix[i][j], i, j) for i in range(len(classes)) for j in range(len(classes)) if i != j]
    count, label, predicted = max(pairs, key=lambda pair: pair[0])
    if count == 0:
        return "None: every validation photo is classified correctly."
    most = "One of the most frequent" if sum(pair[0] == count for pair in pairs) > 1 else "The most frequent one"
    return (
        f"{most} is {classes[label]} predicted as {classes[predicted]} ({counted(count, 'photo')} of "
        f"{sum(matrix[label])})."
    )


def _classes(r: dict[str, Any]) -> str:
    """Say whether recall differs between classes by more than their intervals allow."""
    pairs = zip(r["class_scores"], r["class_intervals"], strict=True)
    known = sorted((s["recall"], s["name"], s["photos"], *row["recall"]) for s, row in pairs if row["recall"])
    if len(known) < 2:
        return "Too few classes have validation photos for a comparison."
    worst, best = known[0], known[-1]
    ends = " to ".join(f"{share:.1%} ({name}; {low:.1%} to {high:.1%})" for share, name, _, low, high in (worst, best))
    text = f"Recall ranges from {ends}, with 95 % intervals. "
    if worst[-1] >= best[-2]:
        return text + "The intervals overlap: these photos do not show which class is harder."
    # Of many classes chance alone drives two apart. Intervals for 1 - 0.05 / k confidence hold all k at once with 95 %
    # (Bonferroni), so whichever two are picked.
    k = len(known)
    low, high = (wilson_interval(round(recall * n), n, 1 - 0.05 / k) for recall, _, n, *_ in (worst, best))
    verdict = "still do not: the difference is significant" if low.high < high.low else "do: it may be due to chance"
    widened = f"widened, because these are the extremes of {k} classes (Bonferroni), they {verdict}."
    return f"{text}They do not overlap; {widened}"


def _calibration(r: dict[str, Any]) -> str:
    c = r["calibration"]
    surplus = c["mean_confidence"] - r["best_val_correct"] / r["val_photos"]
    verdict = f"it is miscalibrated ({'over' if surplus > 0 else 'under'}confident on average)"
    if c["ece"] <= c["ece_by_chance_high"]:
        verdict = "nothing shows that it is miscalibrated"
    if surplus < 0 and r.get("label_smoothing") and c["ece"] > c["ece_by_chance_high"]:
        verdict += ", as label smoothing makes it: no label it was trained on is certain"
    scaling = (
        f"The temperature that fits best is {c['temperature']:.2f}. Fitted to one half of the photos and applied to "
        f"the other, it changes the loss from {c['loss']:.3f} to {c['loss_after']:.3f} and the calibration error from "
        f"{c['ece']:.1%} to {c['ece_after']:.1%}."
    )
    if c["temperature_is_bounded"]:
        scaling = "No temperature can be fitted: these photos do not determine one."
    return (
        f"The predicted classes have a mean probability of {c['mean_confidence']:.1%}, {100 * abs(surplus):.1f} points "
        f"{'above' if surplus > 0 else 'below'} the accuracy. The expected calibration error is {c['ece']:.1%}; on so "
        f"few photos a perfectly calibrated model would score {c['ece_by_chance_low']:.1%} to "
        f"{c['ece_by_chance_high']:.1%}, so {verdict}. {scaling}"
    )


def _limits(r: dict[str, Any]) -> str:
    if r["demo"]:
        return "The network knows these drawings only. For real photos, set the parameter dataset to a folder of them."
    text = "Accuracy on a split of one collection holds for that collection. "
    if {"dandelion", "sunflower"} <= species(r["classes"]):
        text += (
            "In the course's photos every dandelion is a white seed head: the accuracy says nothing about yellow "
            "dandelions. "
        )
    return text + "Before relying on a model, test it on photos from other sources."
