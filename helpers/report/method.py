"""The report's method: what the recipe did, each setting told only if it was used."""

import re
import textwrap

from helpers.common.text import counted, listed, scientific, spelled
from helpers.data.augmentation import train_transform, val_transform
from helpers.plots.photos import filled_share
from helpers.recipe import Recipe
from helpers.report.facts import Facts
from helpers.report.markup import Block, equation, figure, heading, listing, paragraph
from helpers.report.tables import augmentation_methods, recipe_table

AUGMENTATION = {  # setting: the sentence that tells it
    "random_erasing": "A random rectangle is erased with probability {r.random_erasing:g} [zhong2020].",
    "mixup": "MixUp [zhang2018] blends pairs of photos and their labels in proportions from "
    "Beta({r.mixup:g}, {r.mixup:g}).",
    "cutmix": "CutMix [yun2019] pastes a part of one photo into another, with areas from "
    "Beta({r.cutmix:g}, {r.cutmix:g}).",
}
NETWORK = {
    "frozen_backbone": "The backbone is frozen, with the statistics of its batch normalization [ioffe2015], if any.",
    "freeze_fraction": "The first {r.freeze_fraction:.0%} of the stages, rounded down to whole stages, are frozen.",
    "frozen_norms": "Batch normalization [ioffe2015] keeps the statistics of the initial weights.",
    "linear_probe_first": "Before fine-tuning, the new head is fitted to the backbone's features [kumar2022].",
}
FROZEN = ("frozen_backbone", "freeze_fraction", "frozen_norms")
LOSS = {
    "label_smoothing": "Label smoothing [szegedy2016] spreads a share of {r.label_smoothing:g} of each label over all "
    "classes, in the validation loss too.",
    "teacher": "A share of {r.teacher_weight:g} of the loss is the divergence from the predictions of an earlier run, "
    "both softened by a temperature of {r.teacher_temperature:g} (distillation [hinton2015]).",
}
OPTIMIZER = {
    "head_lr": "The head has its own learning rate, {r.head_lr:g}.",
    "clip_norm": "Gradients are clipped to a norm of {r.clip_norm:g}.",
}
EVALUATION = {
    "ema_decay": "A moving average of the weights with decay {r.ema_decay:g} [polyak1992] is validated and saved.",
    "test_flip": "Predictions are averaged over each photo and its mirror image.",
}
AUTO_AUGMENT = {"trivial": "TrivialAugment [mueller2021]", "imagenet": "AutoAugment [cubuk2019]"}
OPTIMIZERS = {
    "adam": "Adam [kingma2015] with $beta_1$ =",
    "adamw": "AdamW [loshchilov2019] with $beta_1$ =",
    "rmsprop": "RMSProp [tieleman2012] with momentum",
}
SGD = {
    "nesterov": "stochastic gradient descent with Nesterov momentum [nesterov1983] [sutskever2013],",
    "momentum": "stochastic gradient descent with momentum [sutskever2013],",
    "plain": "stochastic gradient descent,",
}
USUAL_ARGUMENTS = re.compile(r",? ?(interpolation|expand|fill|inplace|ratio|antialias)=(\([^)]*\)|[^,)]*)")
WIDTH = 64  # characters of a line of a listing, as many as a column holds
SMALL = (320, 240)  # px: a common size of photos on the web, as an example


def method(facts: Facts) -> list[Block]:
    """Write the section, block by block."""
    r, transforms = facts.recipe, _transforms(facts)
    validation = (
        f"Validation photos are not augmented: their shorter side is resized to {r.val_resize} px, and the central "
        f"{r.val_size} × {r.val_size} px are kept."
    )
    normalized = (
        "All images are normalized per channel with ImageNet's mean and standard deviation"
        f"{' (<lst-transforms>)' if transforms else ''}."
    )
    return [
        heading("Data preparation and augmentation"),
        paragraph(
            "Every photo is checked before training: unreadable files are left out, and byte-identical copies stay on "
            "one side of the split.",
            {
                validation: "val_transform" not in facts.changes,
                normalized: not {"train_transform", "val_transform"} & {*facts.changes},
            },
        ),
        *_as_trained(facts, "train_transform", _augmentation(r)),
        *_as_trained(facts, "val_transform", []),
        *transforms,
        heading("Network"),
        _network(facts),
        *_as_trained(facts, "head", []),
        *_as_trained(facts, "freezing", []),
        heading("Loss and optimizer"),
        *_as_trained(facts, "loss", _loss(r, facts.changes.get("batch_size", r.batch_size))),
        *_as_trained(facts, "optimizer", _optimizer(r)),
        heading("Schedule, model selection and evaluation"),
        *_as_trained(facts, "schedule", []),
        _schedule_and_selection(facts),
        recipe_table(facts),
    ]


def _told(r: Recipe, sentences: dict[str, str]) -> list[str]:
    """Fill in the sentences of the settings that the recipe uses."""
    return [text.format(r=r) for setting, text in sentences.items() if getattr(r, setting)]


def _as_trained(facts: Facts, part: str, blocks: list[Block]) -> list[Block]:
    """Return what the recipe says of a part, or, if a cell of the notebook changed it, what was trained instead."""
    if part not in facts.changes:
        return blocks
    name, text = part.replace("_", " "), facts.changes[part]
    return [paragraph(f"In this run the {name} is not the recipe's. It was changed by hand: `{text}`.")]


def _augmentation(r: Recipe) -> list[Block]:
    if not r.augmentation:
        return [paragraph("There is no augmentation: training photos are prepared like validation photos.")]
    methods = augmentation_methods(r)
    steps = [text for text in methods.values() if text]
    off = [name for name, text in methods.items() if not text]
    # A drawn photo, so that no photographer's is needed.
    caption = (
        "From left to right: a photo (drawn by the project), the result of each of the five methods alone, a training "
        "image after all steps, and the validation image. Flips, otherwise random, are shown applied."
        + (f" This recipe does not use {listed(off)}." if off else "")
    )
    alt = "A drawn flower: the photo, rotated, cropped, flipped twice, recolored, after all steps, and as validated."
    border = (
        f"Because the crop precedes the resize, photos smaller than {r.crop_size} px get a black border: a photo of "
        f"{SMALL[0]} × {SMALL[1]} px fills only {filled_share(*SMALL, r.crop_size):.0%} of the training image, but "
        "all of the validation image."
    )
    further = f"In addition, {AUTO_AUGMENT.get(r.auto_augment)} applies further random changes."
    return [
        figure("fig-augmentation", caption, ["augmentation.svg"], alt, wide=True),
        paragraph(
            f"Training photos are augmented anew in every epoch, by {spelled(len(steps))} "
            f"method{'s' * (len(steps) > 1)} in this order (<fig-augmentation>): {'; '.join(steps)}. The result is "
            f"converted to a tensor, resized to {r.image_size} × {r.image_size} px and normalized.",
            {border: r.crop == "center" and min(SMALL) < r.crop_size, further: r.auto_augment in AUTO_AUGMENT},
            *_told(r, AUGMENTATION),
        ),
    ]


def _transforms(facts: Facts) -> list[Block]:
    """List the transforms that the recipe made, as torchvision prints them; not those changed by hand."""
    made = {"training": ("train_transform", train_transform), "validation": ("val_transform", val_transform)}
    kept = {name: make(facts.recipe) for name, (part, make) in made.items() if part not in facts.changes}
    if not kept:
        return []
    lines = []
    for name, transform in kept.items():
        lines.append(f"# {name}")
        for each in transform.transforms:
            lines += textwrap.wrap(USUAL_ARGUMENTS.sub("", str(each)), WIDTH, subsequent_indent="    ")
    caption = (
        f"Transforms of {listed(list(kept))} photos, as torchvision [torchvision2016] prints them, without details."
    )
    return [listing("lst-transforms", caption, lines)]


def _network(facts: Facts) -> Block:
    total, trained, (before, after) = facts.parameters, facts.trained_parameters, facts.heads
    start = "starts from random weights"
    if facts.pretrained:
        file = f" (file {facts.weights_file})" if facts.weights_file else ""
        start = f"starts from weights pretrained{' on ImageNet [deng2009]' if facts.imagenet else ''}{file}"
    part = f"All {total:,} parameters are" if trained == total else f"Of the {total:,} parameters, {trained:,} are"
    replaced = (
        f"Its last layer ({before}) is replaced by dropout [srivastava2014], which hides each feature with probability "
        f"{facts.recipe.dropout:g}, and a new layer with one output per class ({after})."
    )
    if "head" in facts.changes:
        replaced = f"Its last layer is {before} in the original."
    untold = FROZEN if "freezing" in facts.changes else ()
    return paragraph(
        f"The backbone, {facts.backbone} [{facts.paper}], {start}. {replaced}",
        {f"{part} trained.": not {"head", "freezing"} & {*facts.changes}},
        *_told(facts.recipe, {name: text for name, text in NETWORK.items() if name not in untold}),
    )


def _loss(r: Recipe, batch_size: int | str) -> list[Block]:
    return [
        paragraph(f"The loss is the cross-entropy, averaged over a batch $B$ of {batch_size} photos,"),
        equation("cross-entropy"),
        paragraph(
            "where $f$ is the network's output, $theta$ its weights and $y$ the true class of photo $x$.",
            *_told(r, LOSS),
        ),
    ]


def _optimizer(r: Recipe) -> list[Block]:
    if r.optimizer != "sgd":
        sentence = (
            f"The loss is minimized by {OPTIMIZERS[r.optimizer]} {r.momentum:g}, learning rate {r.lr:g} and weight "
            f"decay {r.weight_decay:g}."
        )
        return [paragraph(sentence, *_told(r, OPTIMIZER))]
    kind = "nesterov" if r.nesterov else "momentum" if r.momentum else "plain"
    momentum = f", momentum $mu$ = {r.momentum:g}" if r.momentum else ""
    symbols = (
        f"with weight decay $lambda$ = {r.weight_decay:g}{momentum} and, at the start, learning rate $eta$ = {r.lr:g}."
    )
    return [
        paragraph(f"The loss is minimized by {SGD[kind]}"),
        equation(kind),
        paragraph(symbols, *_told(r, OPTIMIZER)),
    ]


def _schedule_and_selection(facts: Facts) -> Block:
    r, rates = facts.recipe, facts.run.history.column("learning_rate")
    course = {
        "step": f"is multiplied by {r.lr_gamma:g} every {r.lr_step} epochs",
        "cosine": "decays along half a cosine [loshchilov2017]",
        "onecycle": "rises and falls in one cycle [smith2019]",
    }[r.schedule]
    warmup = f" after a warm-up [goyal2017] of {counted(r.warmup_epochs, 'epoch')}" if r.warmup_epochs else ""
    first, highest, last = map(scientific, (rates[0], max(rates), rates[-1]))
    mean = f"The mean of the {facts.last_epochs} is given as well, with the interval of one such epoch."
    course = "follows a schedule of its own" if "schedule" in facts.changes else course + warmup
    return paragraph(
        f"The learning rate {course}: it is {first} in the first of {len(rates)} epochs, at most {highest}, "
        f"and {last} in the last (<fig-curves>, right).",
        *_told(r, EVALUATION),
        "The weights of the epoch with the highest validation accuracy are kept (`best_model.pth`). Intervals are "
        "Wilson's [wilson1927] at 95 % confidence; they account for the number of photos.",
        {mean: len(rates) > 1},
    )
