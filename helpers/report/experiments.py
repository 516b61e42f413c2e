"""The report's experiments: data, setup, result, and recipes compared."""

import itertools
import math
from collections.abc import Sequence
from statistics import mean, median

from helpers.common.text import counted, duration, listed, scientific, spelled
from helpers.evaluation.discussion import paragraphs
from helpers.evaluation.mistakes import ClassifiedPhoto, confident_mistakes
from helpers.evaluation.published import PAPER, PAPER_RIPPLES
from helpers.report.comparison import comparison, further_work
from helpers.report.facts import Facts, file_name
from helpers.report.markup import Block, figure, heading, listing, literal, paragraph, tabular
from helpers.report.tables import photos_table, published_table, scores_table, short
from helpers.runs.history import Epoch, History

NAMED = 3  # mistakes
CONFIDENT = 0.9  # a probability that a reader would rely on
OVERFITTING = 0.1  # a validation loss that ends this share above its minimum has turned


def experiments(facts: Facts) -> list[Block]:
    """Write the section, block by block."""
    curves = "Loss and accuracy of training and validation by epoch, with the best epoch marked; right: learning rate."
    curves_alt = "Loss, accuracy and learning rate over the epochs. The text gives their first and last values."
    confusion = "Confusion matrix of the validation photos in the best epoch, shaded by the share of the true class."
    confusion_alt = "Number of validation photos by true class (rows) and predicted class (columns)."
    published = [published_table(facts)] if facts.flowers and not facts.demo else []
    mistakes = confident_mistakes(facts.run.predictions, len(facts.run.predictions.labels))
    sure = sum(mistake.probability > CONFIDENT for mistake in mistakes)
    confident = mistakes and (
        f"Of the network's {counted(len(mistakes), 'mistake')}, {sure or 'none'} {'has' if sure == 1 else 'have'} a "
        f"probability above {CONFIDENT:.0%}. Most confident: {_most_confident(mistakes)}."
    )
    return [
        heading("Data"),
        _data(facts),
        photos_table(facts),
        heading("Setup"),
        _setup(facts),
        heading("Result"),
        _course(facts),
        *_drops(facts),
        _log(facts),
        figure("fig-curves", curves, ["curves.svg", "rates.svg"], curves_alt, wide=True),
        paragraph(paragraphs(facts.results)["Accuracy."], {_beside_the_paper(facts): published}),
        *published,
        paragraph("<tab-scores> and <fig-confusion> show the classes.", confident or ""),
        scores_table(facts),
        figure("fig-confusion", confusion, ["confusion.svg"], confusion_alt),
        *comparison(facts),
        *further_work(facts),
    ]


def _data(facts: Facts) -> Block:
    r = facts.results
    source = "The photos are drawn by the project" if facts.demo else f"The photos come from {file_name(r['dataset'])}"
    crossing = r["cross_class_duplicate_groups"]
    groups = counted(r["duplicate_groups"] + crossing, "group") + " of identical photos"
    if r["duplicate_groups"] or crossing:
        groups += f", {crossing or 'none'} of them in more than one class"
    unreadable = counted(r["unreadable_files"], "unreadable file") if r["unreadable_files"] else "no unreadable file"
    found = (
        f"{unreadable} and {groups}" if r["duplicate_groups"] + crossing else f"{unreadable} and no identical photos"
    )
    test = f", {facts.split['test'].total():,} for the test" if facts.split["test"] else ""
    return paragraph(
        f"{source}: {counted(r['photos'], 'readable photo')} in {spelled(len(r['classes']))} classes, "
        f"{facts.train_photos:,} for training and {r['val_photos']:,} for validation{test} (<tab-photos>).",
        facts.origin,
        f"The audit found {found}.",
    )


def _setup(facts: Facts) -> Block:
    e, seconds = facts.environment, facts.results["epoch_seconds"]
    algorithms = "only deterministic algorithms" if e["deterministic"] else "some nondeterministic algorithms"
    versions, further = e["packages"], ""
    if len(seconds) > 1:
        further = f", and {duration(median(seconds[1:]))} for each further one (median)"
    return paragraph(
        f"The network was trained on {e['device_name']}, in {e['precision']} arithmetic, with Python {e['python']}, "
        f"PyTorch {versions['torch']} [paszke2019] and torchvision {versions['torchvision']}, using seed {e['seed']} "
        f"and {algorithms}. Training took {duration(facts.results['training_seconds'])}: {duration(seconds[0])} for "
        f"the first epoch{further}."
    )


def _course(facts: Facts) -> Block:
    """Describe how loss and accuracy developed over the epochs."""
    h = facts.run.history
    first, last, lowest = h[0], h[-1], min(h, key=lambda epoch: epoch.val_loss)
    if len(h) == 1:
        return paragraph(
            f"The only epoch has losses of {first.train_loss:.3f} (training) and {first.val_loss:.3f} (validation)."
        )
    # The loss also grows if the same mistakes are made with more confidence: only then does accuracy hold.
    holds = last.val_accuracy >= facts.results["interval_low"]
    rise = (
        f"The validation loss is lowest in epoch {lowest.epoch} ({lowest.val_loss:.3f}) and ends "
        f"{last.val_loss / lowest.val_loss - 1:.0%} above that"
        + (", while accuracy holds: the network becomes overconfident." if holds else ".")
    )
    return paragraph(
        f"<fig-curves> shows the course of training, <lst-log> its log. The training loss goes from "
        f"{first.train_loss:.3f} in the first epoch (0) to {last.train_loss:.3f} in the last ({len(h) - 1}), the "
        f"validation loss from {first.val_loss:.3f} to {last.val_loss:.3f}.",
        {rise: last.val_loss > (1 + OVERFITTING) * lowest.val_loss},
        f"Validation accuracy starts at {first.val_accuracy:.2%} and peaks in epoch {h.best.epoch} at "
        f"{h.best.val_accuracy:.2%}.",
    )


def phases(history: History) -> list[list[Epoch]]:
    """Cut the history where the learning rate changes."""
    found = [[history[0]]]
    for epoch in history[1:]:
        if math.isclose(epoch.learning_rate, found[-1][-1].learning_rate, rel_tol=1e-6):
            found[-1].append(epoch)
        else:
            found.append([epoch])
    return found


def ripple(epochs: Sequence[Epoch]) -> float:
    """Return the mean change of the validation loss from one epoch to the next, up or down; nan for a single epoch."""
    steps = [abs(b.val_loss - a.val_loss) for a, b in itertools.pairwise(epochs)]
    return mean(steps) if steps else math.nan


def _drops(facts: Facts) -> list[Block]:
    """Say what each drop of the learning rate did, and how much the validation loss ripples."""
    parts, history = phases(facts.run.history), list(facts.run.history)
    first, last = PAPER_RIPPLES
    paper = ""
    if facts.flowers and not facts.demo and len(history) > last:
        paper = (
            f"In epochs {first} to {last}, where the published report discusses ripples, ours is "
            f"{ripple(history[first : last + 1]):.3f}."
        )
    if not 1 < len(parts) <= len(history) / 2:
        whole = f"From one epoch to the next the validation loss changes by {ripple(history):.3f} on average."
        return [paragraph(whole, paper)] if len(history) > 1 else []
    said, clear = [], []
    for before, after in itertools.pairwise(parts):
        a, b = before[-1], after[0]
        said.append(
            f"{a.val_loss:.3f} to {b.val_loss:.3f} and {a.val_accuracy:.2%} to {b.val_accuracy:.2%} before epoch "
            f"{b.epoch}"
        )
        if abs(b.val_loss - a.val_loss) > ripple(before):
            clear.append(f"epoch {b.epoch}")
    which = (
        f"Only the {'drop' if len(clear) == 1 else 'drops'} before {listed(clear)}" if clear else "None of the drops"
    )
    verb = "change" if len(clear) > 1 else "changes"
    rows = [
        (
            scientific(part[0].learning_rate),
            f"{part[0].epoch}–{part[-1].epoch}",
            f"{mean(each.train_loss for each in part):.3f}",
            f"{mean(each.val_loss for each in part):.3f}",
            "–" if len(part) == 1 else f"{ripple(part):.3f}",
            f"{100 * mean(each.val_accuracy for each in part):.2f}",
        )
        for part in parts
    ]
    caption = (
        "Epochs by learning rate: mean losses, mean change of the validation loss from one epoch to the next (ripple), "
        "and mean validation accuracy (per cent)."
    )
    header = ("rate", "epochs", "train. loss", "val. loss", "ripple", "val. acc.")
    return [
        paragraph(
            "<tab-phases> shows what the drops of the learning rate did. Validation loss and accuracy went from "
            f"{'; from '.join(said)}. {which} {verb} the loss by more than the ripple before it.",
            paper,
        ),
        tabular("tab-phases", caption, header, rows),
    ]


def log_lines(history: History, seconds: float) -> list[str]:
    """Write the first and the last epoch as the training logs them, which is as the published log does, and its end."""
    lines, (minutes, rest) = [], divmod(round(seconds), 60)
    for each in {0: history[0], len(history) - 1: history[-1]}.values():
        lines += [f"Epoch {each.epoch}/{len(history) - 1}", "-----", f"Learning Rate: {each.learning_rate:.6f}"]
        lines.append(f"train Loss: {each.train_loss:.4f} Acc: {each.train_accuracy:.4f}")
        lines += [f"val Loss: {each.val_loss:.4f} Acc: {each.val_accuracy:.4f}", ""]
    end = [f"Training complete in {minutes}m {rest}s", f"Best val Acc: {history.best.val_accuracy:.6f}"]
    return [*lines, *end]


def _log(facts: Facts) -> Block:
    lines = log_lines(facts.run.history, facts.results["training_seconds"])
    return listing("lst-log", "The training log: its first and last epoch, and its end.", lines)


def _beside_the_paper(facts: Facts) -> str:
    """Compare what the published report says of its course: first epoch, best epoch, time."""
    r, first = facts.results, facts.run.history[0]
    return (
        "<tab-published> compares this run with the published report [course2025]. There the first epoch reaches "
        f"{PAPER['first_val_accuracy']:.2%}, here {first.val_accuracy:.2%}; the best epoch is {PAPER['best_epoch']} "
        f"there, {r['best_epoch']} here; {PAPER['epochs']} epochs took {duration(PAPER['training_seconds'])} on a "
        f"machine that is not named, {r['epochs']} here {duration(r['training_seconds'])}."
    )


def _most_confident(mistakes: Sequence[ClassifiedPhoto]) -> str:
    """Name the most confident mistakes by their classes; there is at least one."""
    return listed(
        [
            f"{short(label)} predicted as {short(predicted)} ({100 * probability:.1f} %)"
            for _, _, label, predicted, probability, *_ in literal(mistakes[:NAMED])
        ]
    )
