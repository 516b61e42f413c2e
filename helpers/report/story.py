"""The report's story: title, abstract, introduction, related work and conclusion, and the order of the sections.

Sentences that judge are chosen by the run's results, and all numbers come from it, but for what is known of AlexNet.
"""

from typing import Any

from helpers.common.text import counted, duration, listed, spelled
from helpers.evaluation.discussion import paragraphs, poor_result
from helpers.report.comparison import in_brief
from helpers.report.experiments import experiments
from helpers.report.facts import Facts
from helpers.report.markup import Block, bullets, paragraph, told
from helpers.report.method import method

LISTED = 60  # letters: the abstract names the classes if that takes no more


def story(facts: Facts) -> dict[str, Any]:
    """Write everything that the report says, in order."""
    sections = {
        "Introduction": introduction(facts),
        "Related work": related_work(facts),
        "Method": method(facts),
        "Experiments": experiments(facts),
        "Discussion": [
            paragraph(text, title=title)
            for subject, (title, text) in paragraphs(facts.results).items()
            if subject != "accuracy"  # which stands among the results
        ],
        "Conclusion": [conclusion(facts)],
    }
    return {
        "title": title(facts),
        "abstract": abstract(facts),
        "keywords": keywords(facts),
        "sections": [{"title": name, "blocks": blocks} for name, blocks in sections.items()],
    }


def title(facts: Facts) -> str:
    """Return the title: network, way of training and task."""
    what = facts.task.title().replace(" Of ", " of ").replace(" Into ", " into ")
    if not facts.pretrained:
        return f"Training {facts.backbone} from Scratch to Classify {what}"
    if facts.recipe.frozen_backbone:
        return f"Classifying {what} with a Frozen {facts.backbone}"
    return f"Fine-Tuning {facts.backbone} to Classify {what}"


def keywords(facts: Facts) -> list[str]:
    """Return the keywords that fit the recipe."""
    training = ["training from scratch"]
    if facts.pretrained:
        training = ["transfer learning", "linear probing" if facts.recipe.frozen_backbone else "fine-tuning"]
    augmentation = ["data augmentation"] if facts.recipe.augmentation else []
    return ["image classification", "convolutional neural network", *training, *augmentation, "confidence interval"]


def abstract(facts: Facts) -> list[Any]:
    """Return the abstract, with the best accuracy and the mean of the last epochs."""
    r, (best, mean) = facts.results, facts.best_and_mean
    chosen = f"As this epoch was chosen on the same photos, we also report the mean of the {facts.last_epochs}, {mean}."
    drawn = "The photos are drawings: the result shows that the code works, but says nothing about real flowers."
    right = f"{r['best_val_correct']} of {r['val_photos']} validation photos"
    return paragraph(
        _task(facts),
        _training(facts),
        f"The best epoch classifies {right} correctly: {best}.",
        {chosen: r["epochs"] > 1},
        poor_result(r),
        {drawn: facts.demo},
        in_brief(facts),
    )["pieces"]


def _task(facts: Facts) -> str:
    classes, network = facts.results["classes"], facts.backbone
    if facts.pretrained:
        network += ", pretrained on ImageNet," if facts.imagenet else ", pretrained on other photos,"
    how = "use a frozen" if facts.recipe.frozen_backbone else "fine-tune" if facts.pretrained else "train"
    start = "" if facts.pretrained else " from random weights"
    names = f": {listed(classes)}" if sum(map(len, classes)) <= LISTED else ""
    return f"We {how} {network}{start} to classify {facts.task}{names}."


def _training(facts: Facts) -> str:
    total, trained, *_ = facts.network
    part = f"all {total:,} parameters are" if trained == total else f"{trained:,} of {total:,} parameters are"
    start = f"The last layer is replaced, and {part} trained"
    if facts.recipe.frozen_backbone:
        start = f"Only a new last layer ({trained:,} of {total:,} parameters) is trained"
    return (
        f"{start} for {counted(facts.results['epochs'], 'epoch')} on {counted(facts.train_photos, 'photo')}, which "
        f"takes {duration(facts.results['training_seconds'])} ({facts.environment['device_name']})."
    )


def introduction(facts: Facts) -> list[Block]:
    """Return the introduction: the task, and what is trained."""
    r, source = facts.recipe, "ImageNet [deng2009]" if facts.imagenet else "other photos"
    tuned = "fine-tuned afterwards" if r.linear_probe_first else "fine-tuned along with it"
    others = f"Here all other layers are {tuned}."
    if r.frozen_backbone:
        others = "Here all other layers stay frozen."
    elif r.freeze_fraction:
        others = f"Here the first {r.freeze_fraction:.0%} of the stages stay frozen, and the others are {tuned}."
    start = (
        f"Transfer learning closes this gap: a network pretrained on {source} already extracts useful features, so "
        f"that only its last layer, which separates the classes, has to be learned from scratch. {others}"
    )
    if not facts.pretrained:
        start = (
            "This run does not use features learned elsewhere: it starts from random weights. It shows the whole "
            "procedure, not the accuracy that transfer learning would reach."
        )
    n, optimism = len(facts.comparison) - 1, ""
    if facts.results["epochs"] > 1:
        optimism = " and, beside the best epoch, the mean of the last ones, which shows how optimistic the best is"
    contributions = {
        "a reproducible run: one seed drives all random choices, and all numbers are computed from its files;": True,
        f"accuracies with 95 % intervals{optimism};": True,
        f"a cross-validated comparison with {spelled(n)} other recipe{'s' * (n > 1)} (<tab-comparison>);": n > 0,
        "a discussion of what the result does not show.": True,
    }
    return [
        paragraph(
            "Deep networks learn their features from examples, and they need many: AlexNet was trained on 1.2 million "
            f"labeled photos [krizhevsky2012], whereas {facts.train_photos:,} are available here.",
            start,
        ),
        paragraph(
            "The assignment asks for five augmentation methods, a new last layer, a loss function, an optimizer, a "
            "training loop and a saved best model. This report describes each of them as it was run. Its contributions "
            "are"
        ),
        bullets(*told(contributions)),
    ]


def related_work(facts: Facts) -> list[Block]:
    """Return the related work on the network and on transfer learning."""
    here = f"{facts.backbone} [{facts.paper}] is the network of this report."
    if facts.paper == "sandler2018":
        here = (
            "MobileNetV2 [sandler2018], used here, places such shortcuts between narrow bottlenecks and uses depthwise "
            "convolutions, which need a fraction of the arithmetic."
        )
    initialized = "as pretrained networks are" if facts.pretrained else "as random weights of a suitable scale are"
    transfer = {
        "The features of early layers are general, those of late layers specific to their task [yosinski2014]; early "
        "layers are thus the safest to keep.": True,
        "Networks that are better on ImageNet also transfer better [kornblith2019].": facts.imagenet,
        "Gradients from a random new head can distort good features; fitting the head first and fine-tuning afterwards "
        "(LP-FT) preserves them [kumar2022].": facts.pretrained,
        "This run stops after the first step, the linear probe.": facts.pretrained and facts.recipe.frozen_backbone,
        "This run does so.": facts.pretrained and facts.recipe.linear_probe_first,
        "This run has nothing to transfer: it starts from random weights.": not facts.pretrained,
    }
    return [
        paragraph(
            "LeNet [lecun1998] recognized digits with convolutions, whose weights are shared across the image. AlexNet "
            "[krizhevsky2012] [krizhevsky2017] scaled them up with rectified linear units, dropout and GPUs. VGG "
            "[simonyan2014] showed that depth pays off if the filters are small. ResNet [he2016] made networks of more "
            "than a hundred layers trainable: shortcuts let each block learn only a residual.",
            here,
            title="Networks.",
        ),
        paragraph(transfer, title="Transfer."),
        paragraph(
            "Dropout [srivastava2014] hides features at random, so that the network relies on none of them alone. "
            "Momentum, in particular Nesterov's form of it [nesterov1983], trains deep networks well if they are well "
            f"initialized [sutskever2013], {initialized}.",
            title="Training.",
        ),
    ]


def conclusion(facts: Facts) -> Block:
    """Return the conclusion and what is left to find out."""
    r, photos = facts.results, counted(facts.train_photos, "photo")
    how = f"Trained from random weights on {photos}"
    if facts.recipe.frozen_backbone:
        how = f"With only its head trained on {photos}"
    elif facts.pretrained:
        how = f"Fine-tuned on {photos}{' with its first stages frozen' if facts.recipe.freeze_fraction else ''}"
    best, mean = facts.best_and_mean
    also = f", and {mean} on average over the {facts.last_epochs}" if r["epochs"] > 1 else ""
    width = 100 * (r["interval_high"] - r["interval_low"])
    step = "The next question is how it does on photos from elsewhere."
    if facts.demo:
        step = "The photos are drawings; the next step is to run the same notebook on real ones."
    elif poor_result(r):
        step = "Before anything else is tried, the learning rate, the weights and the photos should be checked."
    elif width > 2:
        step = (
            f"With an interval of {width:.1f} points, another single split could hardly show that a recipe is better; "
            "that takes cross-validation."
        )
    return paragraph(
        f"{how}, {facts.backbone} classifies {best} of the {r['val_photos']} validation photos correctly in its best "
        f"epoch{also}.",
        poor_result(r),
        step,
        in_brief(facts, numbers=False),
    )
