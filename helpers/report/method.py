"""The report's method: what the recipe did, each setting told only if it was used."""

from typing import Any

from helpers.common.text import counted, listed, scientific, spelled
from helpers.models.build import has_batch_norm
from helpers.plots.photos import filled_share
from helpers.recipe import Recipe
from helpers.report.facts import Facts
from helpers.report.markup import Block, equation, figure, heading, paragraph, told
from helpers.report.tables import augmentation_methods, recipe_table

AUGMENTERS = {"trivial": "TrivialAugment [mueller2021]", "imagenet": "AutoAugment [cubuk2019], a learned policy,"}
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
SMALL = (320, 240)  # px: a common size of photos on the web, as an example


def method(facts: Facts) -> list[Block]:
    """Write the section, block by block."""
    return [
        heading("Data preparation and augmentation"),
        paragraph(_preparation(facts)),
        *_augmentation(facts.recipe),
        heading("Network"),
        paragraph(_network(facts)),
        heading("Loss and optimizer"),
        *_loss(facts.recipe),
        *_optimizer(facts.recipe),
        heading("Schedule, model selection and evaluation"),
        paragraph(_schedule_and_selection(facts)),
        recipe_table(facts),
    ]


def _preparation(facts: Facts) -> str:
    r = facts.recipe
    statistics = "ImageNet's" if facts.imagenet else "a fixed"
    return (
        "Every photo is checked before training: unreadable files are left out, and byte-identical copies stay on one "
        "side of the split. Validation photos are not augmented: their shorter side is resized to "
        f"{r.val_resize} px, and the central {r.val_size} × {r.val_size} px are kept. All images are normalized per "
        f"channel with {statistics} mean and standard deviation."
    )


def _augmentation(r: Recipe) -> list[Block]:
    if not r.augmentation:
        once = ", so the frozen backbone processes each photo only once" if r.frozen_backbone else ""
        return [paragraph(f"There is no augmentation: training photos are prepared like validation photos{once}.")]
    off = [name for name, used in augmentation_methods(r).items() if not used]
    unused = f" This recipe does not use {listed(off)}." if off else ""
    # A drawn photo, so that no photographer's is needed.
    caption = (
        "From left to right: a photo (drawn by the project), the result of each of the five methods alone, a training "
        f"image after all steps, and the validation image. Flips, otherwise random, are shown applied.{unused}"
    )
    alt = "A drawn flower: the photo, rotated, cropped, flipped twice, recolored, after all steps, and as validated."
    border = (
        f"Because the crop precedes the resize, photos smaller than {r.crop_size} px get a black border: a photo of "
        f"{SMALL[0]} × {SMALL[1]} px fills only {filled_share(*SMALL, r.crop_size):.0%} of the training image, but "
        "all of the validation image."
    )
    steps = _steps(r)
    return [
        figure("fig-augmentation", caption, ["augmentation.svg"], alt, wide=True),
        paragraph(
            f"Training photos are augmented anew in every epoch, by {spelled(len(steps))} "
            f"method{'s' * (len(steps) > 1)} in this order (<fig-augmentation>): {'; '.join(steps)}. The result is "
            f"converted to a tensor, resized to {r.image_size} × {r.image_size} px and normalized.",
            {border: r.crop == "center" and min(SMALL) < r.crop_size},
            _further_augmentation(r),
        ),
    ]


def _steps(r: Recipe) -> list[str]:
    """List those of the five methods that are used, in order."""
    crop = f"`CenterCrop` to {r.crop_size} px"
    if r.crop != "center":
        crop = f"`RandomResizedCrop` to at least {r.crop_scale:.0%} of the photo"
    jitter = {name: getattr(r, name) for name in ("brightness", "contrast", "saturation", "hue")}
    strengths = listed([f"{name} {strength:g}" for name, strength in jitter.items() if strength] or [""])
    steps = {
        f"`RandomRotation` by up to ±{r.rotation:g}°": r.rotation,
        crop: True,
        f"`RandomHorizontalFlip` with probability {r.horizontal_flip:g}": r.horizontal_flip,
        f"`RandomVerticalFlip` with probability {r.vertical_flip:g}": r.vertical_flip,
        f"`ColorJitter` with {strengths}": strengths,
    }
    return told(steps)


def _further_augmentation(r: Recipe) -> dict[str, Any]:
    return {
        f"In addition, {AUGMENTERS.get(r.auto_augment)} applies further random changes.": r.auto_augment != "none",
        f"A random rectangle is erased with probability {r.random_erasing:g} [zhong2020].": r.random_erasing,
        "MixUp [zhang2018] blends pairs of photos and their labels in proportions from "
        f"Beta({r.mixup:g}, {r.mixup:g}).": r.mixup,
        "CutMix [yun2019] pastes a part of one photo into another, with areas from "
        f"Beta({r.cutmix:g}, {r.cutmix:g}).": r.cutmix,
    }


def _network(facts: Facts) -> dict[str, Any]:
    r = facts.recipe
    total, trained, before, after = facts.network
    start = "starts from random weights"
    if facts.pretrained:
        file = f" (file {facts.weights_file})" if facts.weights_file else ""
        start = f"starts from weights pretrained{' on ImageNet [deng2009]' if facts.imagenet else ''}{file}"
    part = f"All {total:,} parameters are" if trained == total else f"Of the {total:,} parameters, {trained:,} are"
    norms = ", including its batch-norm statistics [ioffe2015]" if has_batch_norm(r.backbone) else ""
    stages = f"The first {r.freeze_fraction:.0%} of the stages, rounded down to whole stages, are frozen."
    return {
        f"The backbone, {facts.backbone} [{facts.paper}], {start}.": True,
        f"Its last layer ({before}) is replaced by dropout [srivastava2014], which hides each feature with "
        f"probability {r.dropout:g}, and a new layer with one output per class ({after}).": True,
        f"{part} trained.": True,
        f"The backbone is frozen{norms}.": r.frozen_backbone,
        stages: r.freeze_fraction,
        "Batch normalization [ioffe2015] keeps the statistics of the initial weights.": r.frozen_norms,
        "Before fine-tuning, the new head is fitted to the backbone's features [kumar2022].": r.linear_probe_first,
    }


def _loss(r: Recipe) -> list[Block]:
    smoothing = (
        f"Label smoothing [szegedy2016] spreads a share of {r.label_smoothing:g} of each label over all classes, in "
        "the validation loss too."
    )
    teacher = (
        f"A share of {r.teacher_weight:g} of the loss is the divergence from the predictions of an earlier run, both "
        f"softened by a temperature of {r.teacher_temperature:g} (distillation [hinton2015])."
    )
    return [
        paragraph(f"The loss is the cross-entropy, averaged over a batch $B$ of {r.batch_size} photos,"),
        equation("cross-entropy"),
        paragraph(
            "where $f$ is the network's output, $theta$ its weights and $y$ the true class of photo $x$.",
            {smoothing: r.label_smoothing, teacher: r.teacher},
        ),
    ]


def _optimizer(r: Recipe) -> list[Block]:
    extras = {
        f"The head has its own learning rate, {r.head_lr:g}.": r.head_lr,
        f"Gradients are clipped to a norm of {r.clip_norm:g}.": r.clip_norm,
    }
    if r.optimizer != "sgd":
        sentence = (
            f"The loss is minimized by {OPTIMIZERS[r.optimizer]} {r.momentum:g}, learning rate {r.lr:g} and weight "
            f"decay {r.weight_decay:g}."
        )
        return [paragraph(sentence, extras)]
    kind = "nesterov" if r.nesterov else "momentum" if r.momentum else "plain"
    momentum = f", momentum $mu$ = {r.momentum:g}" if r.momentum else ""
    symbols = (
        f"with weight decay $lambda$ = {r.weight_decay:g}{momentum} and, at the start, learning rate $eta$ = {r.lr:g}."
    )
    return [paragraph(f"The loss is minimized by {SGD[kind]}"), equation(kind), paragraph(symbols, extras)]


def _schedule_and_selection(facts: Facts) -> dict[str, Any]:
    r, rates = facts.recipe, facts.run.history.column("learning_rate")
    course = {
        "step": f"is multiplied by {r.lr_gamma:g} every {r.lr_step} epochs",
        "cosine": "decays along half a cosine [loshchilov2017]",
        "onecycle": "rises and falls in one cycle [smith2019]",
    }[r.schedule]
    warmup = f" after a warm-up [goyal2017] of {counted(r.warmup_epochs, 'epoch')}" if r.warmup_epochs else ""
    first, last = scientific(rates[0]), scientific(rates[-1])
    peak = f" up to {scientific(max(rates))} and down" if max(rates) > max(rates[0], rates[-1]) else ""
    mean = f"The mean of the {facts.last_epochs} is therefore given as well, with the interval of one such epoch."
    return {
        f"The learning rate {course}{warmup}, from {first} in the first epoch{peak} to {last} in "
        f"the last of {len(rates)} (<fig-curves>, right).": True,
        f"A moving average of the weights with decay {r.ema_decay:g} [polyak1992] is validated and saved.": r.ema_decay,
        "Predictions are averaged over each photo and its mirror image.": r.test_flip,
        "The weights of the epoch with the highest validation accuracy are kept (`best_model.pth`); loaded into a new "
        "network, they have to reproduce that accuracy. Intervals are Wilson's [wilson1927] at 95 % confidence. They "
        "account for the number of photos, but not for choosing the epoch on these photos.": True,
        mean: len(rates) > 1,
    }
