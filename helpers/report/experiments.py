"""The report's experiments: data, setup, result, and recipes compared."""

from statistics import median

from helpers.common.text import counted, duration, spelled
from helpers.evaluation.discussion import paragraphs
from helpers.evaluation.mistakes import confident_mistakes
from helpers.report.comparison import comparison
from helpers.report.facts import Facts, file_name
from helpers.report.markup import Block, figure, heading, paragraph
from helpers.report.tables import mistakes_table, photos_table, published_table, scores_table

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
    confident = (
        f"Of the network's {counted(len(mistakes), 'mistake')}, {sure or 'none'} {'has' if sure == 1 else 'have'} a "
        f"probability above {CONFIDENT:.0%}; <tab-mistakes> lists the most confident."
    )
    return [
        heading("Data"),
        _data(facts),
        photos_table(facts),
        heading("Setup"),
        _setup(facts),
        heading("Result"),
        _course(facts),
        figure("fig-curves", curves, ["curves.svg", "rates.svg"], curves_alt, wide=True),
        paragraph(paragraphs(facts.results)["Accuracy."], {"<tab-published> compares the two.": published}),
        *published,
        paragraph("<tab-scores> and <fig-confusion> show the classes.", {confident: mistakes}),
        scores_table(facts),
        figure("fig-confusion", confusion, ["confusion.svg"], confusion_alt),
        *([mistakes_table(mistakes)] if mistakes else []),
        *comparison(facts),
    ]


def _data(facts: Facts) -> Block:
    r = facts.results
    source = "The photos are drawn by the project" if facts.demo else f"The photos come from {file_name(r['dataset'])}"
    crossing = r["cross_class_duplicate_groups"]
    groups = counted(r["duplicate_groups"] + crossing, "group")
    return paragraph(
        f"{source}: {counted(r['photos'], 'readable photo')} in {spelled(len(r['classes']))} classes, "
        f"{facts.train_photos:,} for training and {r['val_photos']:,} for validation (<tab-photos>). The audit found "
        f"{counted(r['unreadable_files'], 'unreadable file')} and {groups} of identical photos, {crossing or 'none'} "
        "of them in more than one class."
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
        f"<fig-curves> shows the course of training. The training loss goes from {first.train_loss:.3f} in the first "
        f"epoch (0) to {last.train_loss:.3f} in the last ({len(h) - 1}), the validation loss from "
        f"{first.val_loss:.3f} to {last.val_loss:.3f}.",
        {rise: last.val_loss > (1 + OVERFITTING) * lowest.val_loss},
        f"Validation accuracy starts at {first.val_accuracy:.2%} and peaks in epoch {h.best.epoch} at "
        f"{h.best.val_accuracy:.2%}.",
    )
