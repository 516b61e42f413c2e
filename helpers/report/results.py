"""The report's experiments and discussion: what the run was, what came out, and what a comparison adds."""

from __future__ import annotations

import re
from statistics import median

from helpers.common.text import counted, duration
from helpers.evaluation.answers import confident_mistakes
from helpers.evaluation.discussion import paragraphs
from helpers.report.comparison import compared, comparison_table
from helpers.report.facts import Facts
from helpers.report.markup import Block, Pieces, figure, heading, paragraph, written
from helpers.report.tables import mistakes_table, photos_table, published_table, scores_table

SURE = 0.9  # a probability that a reader would rely on


OVERFITTING = 0.1  # a validation loss that ends by so much of its minimum above it has turned


def experiments(facts: Facts) -> list[Block]:
    """The section, block by block."""
    blocks = [
        heading("Photos"),
        paragraph(*_photos(facts)),
        *filter(None, [photos_table(facts)]),
        heading("Machine"),
        paragraph(*_environment(facts)),
        heading("Result"),
        paragraph(*_course(facts)),
        _curves(facts),
        paragraph(
            paragraphs(facts.results)["accuracy"].text,
            written("<tab-published> has both.") if facts.flowers and not facts.demo else "",
        ),
        *([published_table(facts)] if facts.flowers and not facts.demo else []),
        paragraph(_classes(facts)),
        scores_table(facts),
        _confusion(facts),
        *_confidence(facts),
    ]
    if facts.comparison:
        blocks += [heading("Beyond the baseline"), paragraph(*compared(facts)), comparison_table(facts.comparison)]
    return blocks


def discussion(facts: Facts) -> list[Block]:
    """The paragraphs that the notebook shows too, but the first, which stands among the results."""
    said = paragraphs(facts.results)
    return [paragraph(text, title=title) for name, (title, text) in said.items() if name != "accuracy"]


def machine(facts: Facts) -> str:
    """The device in words; what is not known is not made up."""
    name = facts.run.environment.get("device_name") or "a machine that the run does not name"
    return re.sub(r"\b1 threads$", "1 thread", name)


def _photos(facts: Facts) -> list[Pieces]:
    r = facts.results
    where = "drawn by the project itself" if facts.demo else "from {dataset}"
    said = [
        written(
            "There are {photos} in {classes} classes, " + where + "; {train} to train on and {val} to validate.",
            photos=counted(r["photos"], "readable photo"),
            classes=len(r["classes"]),
            dataset=facts.dataset,
            train=f"{facts.train_photos:,}",
            val=f"{r['val_photos']:,}",
        )
    ]
    if facts.split:
        said.append(written("<tab-photos> gives them by class."))
    audited = [r.get(name) for name in ("unreadable_files", "duplicate_groups", "cross_class_duplicate_groups")]
    if all(isinstance(number, int) for number in audited):  # runs of earlier versions do not say
        said.append(
            written(
                "The audit found {unreadable}, {twice} of a photo that lies in its class more than once and {several} "
                "of one that lies in several classes.",
                unreadable=counted(audited[0], "unreadable file"),
                twice=counted(audited[1], "case"),
                several=counted(audited[2], "case"),
            )
        )
    return said


def _environment(facts: Facts) -> list[Pieces]:
    e = facts.run.environment
    if not e:
        return [written("The run does not say on what machine it was made.")]
    packages = e.get("packages", {})
    threads = "" if "thread" in machine(facts) or e.get("device") != "cpu" else f", {e.get('threads')} threads"
    return [
        written(
            "The run was made on {device}{threads}, in {precision}, with Python {python}, PyTorch {torch} [paszke2019] "
            "and torchvision {torchvision}; seed {seed}, {deterministic} algorithms.",
            device=machine(facts),
            threads=threads,
            precision=e.get("precision", "unknown precision"),
            python=e.get("python", "(version unknown)"),
            torch=packages.get("torch", "(version unknown)"),
            torchvision=packages.get("torchvision", "(version unknown)"),
            seed=e.get("seed", facts.recipe.seed),
            deterministic="deterministic" if e.get("deterministic") else "not only deterministic",
        ),
        _time(facts),
    ]


def _time(facts: Facts) -> Pieces:
    r, seconds = facts.results, facts.results["epoch_seconds"]
    total = written("Training took {time}", time=duration(r["training_seconds"]))
    if len(seconds) < 2:
        return [*total, "."]
    once = facts.recipe.frozen_backbone and not facts.recipe.augmentation
    template = (
        ": {first} for the first epoch, in which the backbone sees every photo, and {rest} for each of the others."
    )
    if not once:
        template = ", {rest} an epoch (median)."
    rest = duration(median(seconds[1:] if once else seconds))
    return [*total, *written(template, first=duration(seconds[0]), rest=rest)]


def _course(facts: Facts) -> list[Pieces]:
    """How training went, from the history."""
    h = facts.run.history
    first, last = h[0], h[-1]
    lowest = min(h, key=lambda row: row.val_loss)
    values = {"first": first, "last": last, "best": h.best, "lowest": lowest, "n": len(h) - 1}
    verb = "falls" if last.train_loss < first.train_loss else "does not fall"
    said = [
        written(
            "<fig-curves> shows the course of training. The training loss "
            + verb
            + ": it is {first.train_loss:.3f} in "
            "the first epoch (0) and {last.train_loss:.3f} in the last ({n}); the validation loss is "
            "{first.val_loss:.3f} and {last.val_loss:.3f}.",
            **values,
        )
    ]
    if last.val_loss > (1 + OVERFITTING) * lowest.val_loss:
        # The loss punishes what is wrong, and more so what is surely wrong: only if no more is wrong, it is the latter.
        held = last.val_accuracy >= facts.results["interval_low"]
        said.append(
            written(
                "It was lowest in epoch {lowest.epoch} with {lowest.val_loss:.3f}, and is {share:.0%} above that at "
                "the end" + (", though accuracy holds: the network grows too sure of itself." if held else "."),
                share=last.val_loss / lowest.val_loss - 1,
                **values,
            )
        )
    said.append(
        written(
            "Validation accuracy begins at {first.val_accuracy:.2%} and is highest in epoch {best.epoch}, with "
            "{best.val_accuracy:.2%}.",
            **values,
        )
    )
    return said


def _curves(facts: Facts) -> Block:
    caption = written(
        "Loss and accuracy of training{how} and validation in each epoch, the best one marked; right: the learning "
        "rate.",
        how=" (on augmented photos)" if facts.recipe.augmentation else "",
    )
    alt = "Three plots over the epochs: loss, accuracy, learning rate. Their ends are given in the text."
    return figure("fig-curves", caption, ["curves.svg", "rates.svg"], alt, wide=True)


def _confusion(facts: Facts) -> Block:
    caption = written("Confusion matrix of the validation photos, best epoch; coloured by the share of the true class.")
    return figure("fig-confusion", caption, ["confusion.svg"], "The confusion matrix: counts of photos by true class.")


def _classes(facts: Facts) -> Pieces:
    scores = [score for score in facts.results["class_scores"] if score["recall"] is not None]
    best, worst = max(scores, key=lambda s: s["recall"]), min(scores, key=lambda s: s["recall"])
    if best["recall"] == worst["recall"]:
        return written("<tab-scores> and <fig-confusion> show the classes; every one is found equally often.")
    return written(
        "By class (<tab-scores>, <fig-confusion>), recall lies between {low:.1%} ({worst}) and {high:.1%} ({best}).",
        low=worst["recall"],
        high=best["recall"],
        worst=worst["name"],
        best=best["name"],
    )


def _confidence(facts: Facts) -> list[Block]:
    """How sure the network was of its mistakes, if the predictions of single photos are there and any is wrong."""
    called = facts.run.predictions
    wrong = confident_mistakes(called, len(called.labels)) if called else []
    if not wrong:
        return []
    sure_of = sum(mistake.probability > SURE for mistake in wrong)
    said = written(
        "Of the network's {mistakes}, {n} a probability above {limit:.0%}; <tab-mistakes> names the surest.",
        mistakes=counted(len(wrong), "mistake"),
        n=f"{sure_of} {'has' if sure_of == 1 else 'have'}",
        limit=SURE,
    )
    return [paragraph(said), *filter(None, [mistakes_table(facts)])]
