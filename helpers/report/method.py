"""The report's method: what the recipe did, in sentences, each there only if its setting is."""

from __future__ import annotations

from helpers.common.text import in_words, listed
from helpers.plots.photos import filled_share_of
from helpers.recipe import Recipe
from helpers.report.facts import Facts, methods_at_work
from helpers.report.markup import Block, Pieces, figure, heading, paragraph, written
from helpers.report.optimization import optimization

AUGMENTERS = {
    "trivial": "TrivialAugment [mueller2021]",
    "imagenet": "a learned policy, AutoAugment [cubuk2019]",
}


SMALL = (320, 240)  # px: a common size of photos on the web, as an example


def method(facts: Facts) -> list[Block]:
    """The section, block by block."""
    return [
        heading("Photos and augmentation"),
        paragraph(_preparation(facts)),
        *_augmentation(facts),
        heading("Network"),
        paragraph(_backbone(facts), _head(facts), *_kept(facts.recipe)),
        *optimization(facts),
    ]


def _augmentation_figure(facts: Facts) -> list[Block]:
    """The five methods on a photo; none if the run did without. Drawn, so that no photographer's picture is needed."""
    if not facts.recipe.augmentation:
        return []
    idle = [name for name, works in methods_at_work(facts.recipe).items() if not works]
    caption = written(
        "A photo (drawn by the project, not one of a real flower), each of the five methods alone (flips as certain"
        "{idle}), all as training sees them, and the same photo as validation sees it.",
        idle=f"; this recipe does without {listed(idle)}" if idle else "",
    )
    alt = "Eight pictures of a drawn flower: the photo, rotated, cropped, mirrored twice, recoloured, all, validation."
    return [figure("fig-augmentation", caption, ["augmentation.svg"], alt, wide=True)]


def _preparation(facts: Facts) -> Pieces:
    r = facts.recipe
    return written(
        "Every photo is opened once before training: files that cannot be read are left out, and byte-identical "
        "copies stay on one side of the split. Validation photos are never changed at random: their shorter side is "
        "resized to {resize} px, and the central {size} × {size} px are cut out. Pictures are normalized per channel"
        + (" with ImageNet's mean and standard deviation." if facts.imagenet else " by a fixed mean and deviation."),
        resize=r.val_resize,
        size=r.val_size,
    )


def _augmentation(facts: Facts) -> list[Block]:
    r = facts.recipe
    if not r.augmentation:
        return [
            paragraph(
                written(
                    "Training photos are seen as validation photos are: this recipe does without augmentation"
                    + (", so that the backbone has to see each photo only once." if r.frozen_backbone else ".")
                )
            )
        ]
    working = methods_at_work(r)
    number = sum(working.values())
    said = written(
        "Each training photo is seen a little differently in every epoch, by {number} "
        f"method{'' if number == 1 else 's'} in this order (<fig-augmentation>): {'; '.join(_methods(r))}. Then it "
        "becomes a tensor, is resized to {size} × {size} px and normalized.",
        number=in_words(number),
        rotation=r.rotation,
        crop_size=r.crop_size,
        crop_scale=r.crop_scale,
        horizontal=r.horizontal_flip,
        vertical=r.vertical_flip,
        hue=r.hue,
        size=r.image_size,
    )
    idle = [f"`{name}`" for name, works in working.items() if not works]
    does = "is" if len(idle) == 1 else "are"
    unused = written(f"Of the assignment's five methods, {listed(idle)} {does} set to do nothing.") if idle else []
    return [*_augmentation_figure(facts), paragraph(said, unused, _border(r), *_more_augmentation(r))]


def _methods(r: Recipe) -> list[str]:
    """Templates of those of the five methods that change anything, in order."""
    flips = {"`RandomHorizontalFlip`": "horizontal", "`RandomVerticalFlip`": "vertical"}
    flips = {name: f"{{{side}:g}}" for name, side in flips.items() if getattr(r, f"{side}_flip")}
    factors = [name for name in ("brightness", "contrast", "saturation") if getattr(r, name)]
    jitter = "/".join(f"{value:g}" for value in dict.fromkeys(getattr(r, name) for name in factors))
    colours = [f"of {listed(factors)} by factors within 1 ± {jitter}"] if factors else []
    colours += ["of hue by ±{hue:g} turns"] if r.hue else []
    crop = "`CenterCrop` to {crop_size} px"
    if r.crop != "center":
        crop = "`RandomResizedCrop` to at least {crop_scale:.0%} of the photo"
    chance = "probability" if len(flips) == 1 else "probabilities"
    return [
        *(["`RandomRotation` by up to ±{rotation:g}°"] if r.rotation else []),
        crop,
        *([f"{listed(list(flips))} with {chance} {listed(list(flips.values()))}"] if flips else []),
        *([f"`ColorJitter` {listed(colours)}"] if colours else []),
    ]


def _border(r: Recipe) -> Pieces:
    """What the central crop does to photos smaller than it."""
    if r.crop != "center" or min(SMALL) >= r.crop_size:
        return []
    return written(
        "The crop comes before the resize: a photo smaller than {crop} px gets a black border, so that one of "
        "{width} × {height} px fills {share:.0%} of what the network sees in training, but all of it in validation.",
        crop=r.crop_size,
        width=SMALL[0],
        height=SMALL[1],
        share=filled_share_of(*SMALL, r.crop_size),
    )


def _more_augmentation(r: Recipe) -> list[Pieces]:
    return [
        written(template, value=value)
        for value, template in (
            (AUGMENTERS.get(r.auto_augment), f"Besides, {AUGMENTERS.get(r.auto_augment)} draws further changes."),
            (
                r.random_erasing,
                "With probability {value:g} a random rectangle is blanked (random erasing [zhong2020]).",
            ),
            (
                r.mixup,
                "MixUp [zhang2018] blends pairs of photos and their labels in shares from Beta({value:g}, {value:g}).",
            ),
            (
                r.cutmix,
                "CutMix [yun2019] pastes a part of one photo into another, in shares from Beta({value:g}, {value:g}).",
            ),
        )
        if value
    ]


def _backbone(facts: Facts) -> Pieces:
    total, trained, *_ = facts.network
    if not facts.pretrained:
        start = "starts from random weights"
    elif facts.imagenet:
        start = "starts from weights that were trained on ImageNet [deng2009]"
    else:
        start = "starts from pretrained weights"
    return written(
        f"The backbone, {{name}} [{facts.paper}], {start}{{file}}. "
        + ("Of its {total:,} parameters, new head included, {trained:,} are trained." if trained < total else "")
        + ("All its {total:,} parameters, new head included, are trained." if trained == total else ""),
        name=facts.backbone,
        file=f" (file {facts.weights_file})" if facts.weights_file else "",
        total=total,
        trained=trained,
    )


def _head(facts: Facts) -> Pieces:
    _, _, before, after = facts.network
    return written(
        "Its last layer ({before}) is replaced by dropout [srivastava2014], which hides each feature with probability "
        "{dropout:g}, and a fresh layer with one output per class ({after}).",
        before=before,
        after=after,
        dropout=facts.recipe.dropout,
    )


def _kept(r: Recipe) -> list[Pieces]:
    """What of the backbone stays as it was, and how the head is eased in."""
    sentences = []
    if r.frozen_backbone:
        sentences.append(written("The backbone stays as it is, batch-norm statistics [ioffe2015] included."))
    if r.freeze_fraction:
        sentences.append(
            written(
                "Of its stages, the first {share:.0%}, rounded down to whole ones, stay as they are.",
                share=r.freeze_fraction,
            )
        )
    if r.frozen_norms and not r.frozen_backbone:
        sentences.append(written("Batch-norm statistics [ioffe2015] stay those of the weights."))
    if r.linear_probe_first:
        sentences.append(
            written("Before the rest is trained, the head is fitted to the backbone's features [kumar2022].")
        )
    return sentences
