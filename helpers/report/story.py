"""The report's story: title, abstract, introduction, related work and conclusion, and the order of the sections.

Sentences that judge are chosen by the run's results, and all numbers come from it, but for what is known of AlexNet.
"""

from typing import Any

from helpers.common.text import counted, duration, listed, spelled
from helpers.evaluation.discussion import paragraphs, poor_result
from helpers.evaluation.statistics import with_interval
from helpers.report.comparison import in_brief
from helpers.report.experiments import experiments
from helpers.report.facts import Facts
from helpers.report.markup import Block, bullets, paragraph
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
            for title, text in paragraphs(facts.results).items()
            if title != "Accuracy."  # which stands among the results
        ],
        "Conclusion": [_conclusion(facts)],
    }
    kind = "training from scratch"
    if facts.pretrained:
        frozen = facts.recipe.frozen_backbone
        kind = "transfer learning" if "freezing" in facts.changes else "linear probing" if frozen else "fine-tuning"
    return {
        "title": _title(facts),
        "abstract": _abstract(facts),
        "keywords": ["image classification", "convolutional neural network", kind, "confidence interval"],
        "sections": [{"title": name, "blocks": blocks} for name, blocks in sections.items()],
    }


def _task(facts: Facts) -> str:
    """Say what the network learns to classify."""
    number = spelled(len(facts.results["classes"]))
    if not facts.flowers:
        return f"photos into {number} classes"
    return f"{number} kinds of {'drawn ' if facts.demo else ''}flowers"


def _title(facts: Facts) -> str:
    what = _task(facts).title().replace(" Of ", " of ").replace(" Into ", " into ")
    if not facts.pretrained:
        return f"Training {facts.backbone} from Scratch to Classify {what}"
    if "freezing" in facts.changes:
        return f"Classifying {what} with {facts.backbone}"
    if facts.recipe.frozen_backbone:
        return f"Classifying {what} with a Frozen {facts.backbone}"
    return f"Fine-Tuning {facts.backbone} to Classify {what}"


def _abstract(facts: Facts) -> list[Any]:
    r, classes = facts.results, facts.results["classes"]
    start = "trained from random weights"
    if facts.pretrained:
        start = f"pretrained on {'ImageNet' if facts.imagenet else 'other photos'}"
    trained = facts.trained_parameters
    part = "all" if trained == facts.parameters else f"{trained:,} of"
    replaced = f"The last layer is replaced, and {part} {facts.parameters:,} parameters are trained for"
    if {"head", "freezing"} & {*facts.changes}:
        replaced = "The last layer is replaced, and the network is trained for"
    names = f": {listed(classes)}" if sum(map(len, classes)) <= LISTED else ""
    chosen = f"As this epoch was chosen on the same photos, we also report the mean of the {facts.last_epochs}, "
    drawn = "The photos are drawings: the result shows that the code works, but says nothing about real flowers."
    return paragraph(
        f"We use {facts.backbone}, {start}, to classify {_task(facts)}{names}. {replaced} "
        f"{counted(r['epochs'], 'epoch')} on {counted(facts.train_photos, 'photo')}, which takes "
        f"{duration(r['training_seconds'])} ({facts.environment['device_name']}). The best epoch classifies "
        f"{r['best_val_correct']} of {r['val_photos']} validation photos correctly: {facts.best}.",
        {f"{chosen}{facts.mean}.": r["epochs"] > 1},
        poor_result(r),
        {drawn: facts.demo},
        in_brief(facts),
    )["pieces"]


def introduction(facts: Facts) -> list[Block]:
    """Return the introduction: the task, and what is trained."""
    r, source = facts.recipe, "ImageNet [deng2009]" if facts.imagenet else "other photos"
    others = "all other layers are fine-tuned"
    if "freezing" in facts.changes:
        others = facts.changes["freezing"]
    elif r.frozen_backbone:
        others = "all other layers stay frozen"
    elif r.freeze_fraction:
        others = f"the first {r.freeze_fraction:.0%} of the stages stay frozen, and the others are fine-tuned"
    start = (
        f"Transfer learning closes this gap: a network pretrained on {source} already extracts useful features, so "
        f"that only its last layer, which separates the classes, has to be learned from scratch. Here {others}."
    )
    if not facts.pretrained:
        start = (
            "This run does not use features learned elsewhere: it starts from random weights. It shows the whole "
            "procedure, not the accuracy that transfer learning would reach."
        )
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
        bullets(
            "a reproducible run: one seed drives all random choices, and all numbers are computed from its files;",
            "accuracies with 95 % intervals, of the best epoch and of the last ones, which no choice favors;",
            *(["a comparison of recipes by cross-validation (<tab-comparison>);"] if facts.comparison else []),
            "a discussion of what the result does not show.",
        ),
    ]


def related_work(facts: Facts) -> list[Block]:
    """Return the related work on the network and on transfer learning."""
    here = f"{facts.backbone} [{facts.paper}] is the network of this report."
    if facts.paper == "sandler2018":
        here = (
            "MobileNetV2 [sandler2018], used here, places such shortcuts between narrow bottlenecks and uses depthwise "
            "convolutions, which need a fraction of the arithmetic."
        )
    return [
        paragraph(
            "LeNet [lecun1998] recognized digits with convolutions, whose weights are shared across the image. AlexNet "
            "[krizhevsky2012] [krizhevsky2017] scaled them up with rectified linear units, dropout and GPUs. VGG "
            "[simonyan2014] showed that depth pays off if the filters are small. ResNet [he2016] made networks of more "
            "than a hundred layers trainable: shortcuts let each block learn only a residual.",
            here,
            title="Networks.",
        ),
        paragraph(
            "The features of early layers are general, those of late layers specific to their task [yosinski2014]; "
            "early layers are thus the safest to keep. Networks that are better on ImageNet also transfer better "
            "[kornblith2019]. Gradients from a random new head can distort good features; fitting the head first and "
            "fine-tuning afterwards (LP-FT) preserves them [kumar2022].",
            title="Transfer.",
        ),
        paragraph(
            "Dropout [srivastava2014] hides features at random, so that the network relies on none of them alone. "
            "Momentum, in particular Nesterov's form of it [nesterov1983], trains deep networks well if they are well "
            "initialized [sutskever2013].",
            title="Training.",
        ),
    ]


def _conclusion(facts: Facts) -> Block:
    r, width = facts.results, 100 * (facts.results["interval_high"] - facts.results["interval_low"])
    also = f", and {facts.mean} on average over the {facts.last_epochs}" if r["epochs"] > 1 else ""
    if test := r.get("test"):
        also += f"; of the {test['photos']} test photos, which no choice has influenced, "
        also += with_interval(test["accuracy"], test["photos"])
    step = (
        f"With an interval of {width:.1f} points, another single split could hardly show that a recipe is better; that "
        "takes cross-validation. What the accuracy does not tell is how the network does on photos from elsewhere."
    )
    if facts.demo:
        step = "The photos are drawings; the next step is to run the same notebook on real ones."
    elif poor_result(r):
        step = (
            "The result is poor: before anything else is tried, the learning rate, the weights and the photos should "
            "be checked."
        )
    return paragraph(
        f"Trained on {counted(facts.train_photos, 'photo')}, {facts.backbone} classifies {facts.best} of the "
        f"{r['val_photos']} validation photos correctly in its best epoch{also}.",
        step,
    )
