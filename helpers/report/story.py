"""The report's story: title, abstract, introduction, related work, conclusion, and the order of all.

Sentences that depend on results are chosen by them. Numbers come from the run; what is written out is only what is
known of AlexNet.
"""

from __future__ import annotations

from typing import Any

from helpers.common.text import counted, duration, in_words, listed
from helpers.evaluation.discussion import verdict
from helpers.recipe import Recipe
from helpers.report.comparison import comparison_in_short
from helpers.report.facts import Facts
from helpers.report.markup import Block, Pieces, paragraph, points, written
from helpers.report.method import method
from helpers.report.results import discussion, experiments, machine
from helpers.report.tables import recipe_table

LISTED = 60  # letters: the abstract lists the classes while their names are no longer together


HERE = {
    "sandler2018": "MobileNetV2 [sandler2018], used here, puts such shortcuts around narrow layers and filters each "
    "channel by itself, for a fraction of the arithmetic.",
    "he2016": "{name} is the network of this report.",
    "simonyan2014": "{name} is the network of this report.",
    "krizhevsky2012": "{name} is the network of this report.",
}


def story(facts: Facts) -> dict[str, Any]:
    """Everything that the report says, in order."""
    sections = {
        "Introduction": introduction(facts),
        "Related work": related_work(facts),
        "Method": [*method(facts), recipe_table(facts)],
        "Experiments": experiments(facts),
        "Discussion": discussion(facts),
        "Conclusion": [conclusion(facts)],
    }
    return {
        "title": title(facts),
        "abstract": abstract(facts),
        "keywords": keywords(facts),
        "sections": [{"title": name, "blocks": blocks} for name, blocks in sections.items()],
    }


def title(facts: Facts) -> str:
    kinds = "Classes of Photos"
    if facts.flowers:
        kinds = "Kinds of Drawn Flowers" if facts.demo else "Kinds of Flowers"
    what = f"{in_words(len(facts.results['classes'])).capitalize()} {kinds} Apart"
    if not facts.pretrained:
        return f"Training {facts.backbone} from Random Weights to Tell {what}"
    if facts.recipe.frozen_backbone:
        return f"Telling {what} with a Frozen {facts.backbone}"
    return f"Fine-Tuning {facts.backbone} to Tell {what}"


def keywords(facts: Facts) -> list[str]:
    way = "training from random weights"
    if facts.pretrained:
        way = "linear probing" if facts.recipe.frozen_backbone else "fine-tuning"
    words = ["image classification", "convolutional neural network"]
    words += ["transfer learning"] if facts.pretrained else []
    return [*words, way, *(["data augmentation"] if facts.recipe.augmentation else []), "confidence interval"]


def abstract(facts: Facts) -> Pieces:
    r = facts.results
    result = written(
        "The network of the best epoch classifies {best_val_correct} of {val_photos} validation photos correctly: "
        "{best_val_accuracy:.2%}, with a 95 % interval of {interval_low:.1%} to {interval_high:.1%}"
        + ("; the epoch was chosen on these photos." if r["epochs"] > 1 else "."),
        **r,
    )
    mean = written(
        "The mean of the last five epochs, which no choice of an epoch has flattered, is {last_five_mean:.2%}.", **r
    )
    drawn = (
        "The photos are drawn by the project itself: the numbers say that the code works, nothing about real flowers."
    )
    return paragraph(
        _task(facts),
        _training(facts),
        result,
        mean if r["epochs"] > 5 else [],
        verdict(r),
        drawn if facts.demo else "",
        comparison_in_short(facts),
    )["pieces"]


def _task(facts: Facts) -> Pieces:
    classes = facts.results["classes"]
    if not facts.pretrained:
        start = "We train {name} from random weights to tell"
    else:
        source = "pretrained on ImageNet" if facts.imagenet else "pretrained on other photos"
        start = f"We {'use a frozen' if facts.recipe.frozen_backbone else 'fine-tune'} {{name}}, {source}, to tell"
    what = " classes of photos"
    if facts.flowers:
        what = " kinds of drawn flowers" if facts.demo else " kinds of flowers"
    return written(
        start + " {n}" + what + " apart{names}.",
        name=facts.backbone,
        n=in_words(len(classes)),
        names=f": {listed(classes)}" if sum(map(len, classes)) <= LISTED else "",
    )


def _training(facts: Facts) -> Pieces:
    total, trained, *_ = facts.network
    frozen = "Only a new last layer ({trained:,} of {total:,} parameters) is trained"
    everything = "The last layer is replaced, and all {total:,} parameters are trained"
    some = "The last layer is replaced, and {trained:,} of {total:,} parameters are trained"
    template = frozen if facts.recipe.frozen_backbone else everything if trained == total else some
    return written(
        template + ", for {epochs} on {photos}; that took {time} on {device}.",
        trained=trained,
        total=total,
        epochs=counted(facts.results["epochs"], "epoch"),
        photos=counted(facts.train_photos, "photo"),
        time=duration(facts.results["training_seconds"]),
        device=machine(facts),
    )


def introduction(facts: Facts) -> list[Block]:
    photos = counted(facts.train_photos, "photo")
    need = written(
        "A deep network finds its own features, but it needs examples to find them in: AlexNet had 1.2 million "
        "labelled photos [krizhevsky2012]. Here there are {photos} to train on.",
        photos=photos,
    )
    if facts.pretrained:
        source = " on ImageNet [deng2009]" if facts.imagenet else " on other photos"
        answer = written(
            f"Transfer learning bridges the gap: a network that has learned to see{source} keeps its features, and "
            "only its last layer, which names the classes, has to be learned anew."
        )
        way = _rest(facts.recipe)
    else:
        answer = written("This run does without features learned elsewhere: it starts from random weights.")
        way = written("It shows the whole procedure at work, not what transfer learning would reach.")
    asked = written(
        "The assignment asks for five augmentation methods, a new last layer, a loss, an optimizer, a training loop "
        "and a saved best model. This report describes them as they ran, and contributes:"
    )
    return [paragraph(need, answer, way), paragraph(asked), points(*_contributions(facts))]


def _rest(r: Recipe) -> Pieces:
    """What becomes of the pretrained network's other layers."""
    if r.frozen_backbone:
        return written("The rest stays as it is here.")
    when = "is then fine-tuned" if r.linear_probe_first else "is fine-tuned along with it"
    if r.freeze_fraction:
        return written(
            f"Here the first {{share:.0%}} of the stages stay as they are, and the rest {when} on the new photos.",
            share=r.freeze_fraction,
        )
    return written(f"The rest {when} on the new photos.")


def _contributions(facts: Facts) -> list[Pieces]:
    said = [
        written(
            "a run that can be repeated: one seed drives every random choice, and this report is computed from the "
            "run's files;"
        ),
        written(
            "an accuracy with its interval and, beside the best epoch, the mean of the last ones, which shows how much "
            "choosing an epoch flatters;"
        ),
    ]
    if facts.comparison:
        others = counted(len(facts.comparison) - 1, "other recipe")
        said.append(written("a cross-validated comparison with {others} (<tab-comparison>);", others=others))
    said.append(written("a discussion that says what the result does not show."))
    return said


def related_work(facts: Facts) -> list[Block]:
    here = HERE.get(facts.paper, f"{{name}} [{facts.paper}] is the network of this report.")
    convolutions = (
        "LeNet [lecun1998] read digits with convolutions, whose weights are the same all over the picture. AlexNet "
        "[krizhevsky2012] [krizhevsky2017] did it at scale, with rectifiers, dropout and GPUs"
    )
    initialized = "which pretrained ones are" if facts.pretrained else "as random weights of the right size are"
    return [
        paragraph(
            written(convolutions + (", and won the ImageNet challenge." if facts.imagenet else ".")),
            written("VGG [simonyan2014] showed that depth pays if the filters are small."),
            written(
                "ResNet [he2016] made a hundred layers and more trainable: shortcuts let each block learn only the "
                "difference to its input."
            ),
            written(here, name=facts.backbone),
            title="Networks.",
        ),
        paragraph(*_transfer(facts), title="Transfer."),
        paragraph(
            written("Dropout [srivastava2014] hides features at random, so that none is relied on."),
            written(
                "Momentum, best in Nesterov's form [nesterov1983], trains deep networks well if they are well "
                f"initialized [sutskever2013], {initialized}."
            ),
            title="Training.",
        ),
    ]


def _transfer(facts: Facts) -> list[Pieces]:
    general = written(
        "The features of early layers are general, those of late ones belong to their task [yosinski2014]; so the "
        "early ones are the safest to keep."
    )
    if not facts.pretrained:
        return [general, written("This run has nothing to transfer: its weights are random at the start.")]
    better = written("Networks that are better on ImageNet also transfer better [kornblith2019].")
    probe = written(
        "While the new head is random, its gradients can distort good features: fitting the head first and fine-tuning "
        "then (LP-FT) keeps them [kumar2022]."
    )
    ours = ""
    if facts.recipe.frozen_backbone:
        ours = "This run stops after the first half, the linear probe."
    elif facts.recipe.linear_probe_first:
        ours = "This run does so."
    return [general, better if facts.imagenet else [], probe, ours]


def conclusion(facts: Facts) -> Block:
    r = facts.results
    how = "trained from random weights"
    if facts.pretrained:
        how = "frozen, with a new head trained" if facts.recipe.frozen_backbone else "fine-tuned"
        how += " but for its first stages" if facts.recipe.freeze_fraction else ""
    said = written(
        "{name}, {how} on {photos}, reaches {accuracy:.2%} of {val} validation photos in its best epoch and "
        "{mean:.2%} on average over the last {last}.",
        name=facts.backbone,
        how=how,
        photos=counted(facts.train_photos, "photo"),
        accuracy=r["best_val_accuracy"],
        val=r["val_photos"],
        mean=r["last_five_mean"],
        last="five" if r["epochs"] >= 5 else counted(r["epochs"], "epoch"),
    )
    return paragraph(said, verdict(r), _next(facts), comparison_in_short(facts))


def _next(facts: Facts) -> str:
    r = facts.results
    if facts.demo:
        return "The photos are drawings, so the next step is to run the same notebook on real ones."
    if verdict(r):
        return "Before anything else is tried, the learning rate, the weights and the photos should be checked."
    if r["interval_high"] - r["interval_low"] > 0.02:
        width = 100 * (r["interval_high"] - r["interval_low"])
        return (
            f"The interval is {width:.1f} points wide: a better recipe can be told from this one by cross-validation, "
            "not by one more split."
        )
    return "What is left to find out is how it does on photos from elsewhere."
