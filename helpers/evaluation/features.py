"""When a photo looks like none of the classes: a rule that was measured, not supposed.

The rule is ViM (Wang et al., 2022, "ViM: Out-Of-Distribution with Virtual-logit Matching"). It puts two doubts
together: the features lie off the few directions in which the training photos' features differ, and the logits are
small (energy; Liu et al., 2020). Features are scaled to length 1 here: without that it finds as many unknown flowers,
but a picture of one flat colour, whose features are all small, passes.
``benchmarks/contenders/ood_rules.py`` compares it with other
rules on real photos, one kind of flower unknown at a time; ``report/results/novelty.json`` holds what came
out. Noise, colours and a portrait were all flagged there, of 50 flowers drawn for the demo only 2.
A photo is flagged if its doubt exceeds that of 95 % of the run's own validation photos.

No rule knows what it has not seen: a yellow dandelion resembles a sunflower to a network that has learned white seed
heads as dandelions, and may well pass without a flag.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from helpers.common import distributed
from helpers.common.modules import autocast, evaluation_mode
from helpers.common.progress import progress
from helpers.models.averaging import without_tta
from helpers.models.head import find_head, head_module


class Activations(NamedTuple):
    """What a network made of ``n`` photos, on the CPU."""

    features: torch.Tensor  # float32 (n, k): what reached the last layer; a map's mean for SqueezeNet
    logits: torch.Tensor  # float32 (n, classes)


@torch.inference_mode()
def look(model: nn.Module, images: torch.Tensor, precision: torch.dtype) -> Activations:
    """Features and logits of normalized images ``(n, 3, S, S)``; means over the views of a model that has several.

    The model should be in evaluation mode.
    """
    inner, inputs = without_tta(model), []
    hook = find_head(inner)[1].register_forward_pre_hook(lambda layer, given: inputs.append(_flat(given[0].float())))
    try:
        with autocast(images.device, precision):
            logits = model(images).float()
    finally:
        hook.remove()
    return Activations(torch.stack(inputs).mean(0).cpu(), logits.cpu())


def look_at_all(model: nn.Module, batches: Iterable[tuple[torch.Tensor, Any]], precision: torch.dtype) -> Activations:
    """The same for the batches ``(images, labels)`` of a feed's epoch, together. The model's mode is restored."""
    with evaluation_mode(model):
        parts = [look(model, images, precision) for images, _ in batches]
    return Activations(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _flat(features: torch.Tensor) -> torch.Tensor:
    return features.mean((2, 3)) if features.ndim == 4 else features


def extract_features(model: nn.Module, feed, precision: torch.dtype) -> torch.Tensor:
    """What the head sees of each photo of a feed, in its order: float32 ``(n, k)`` on the CPU.

    Of a head that is a convolution (SqueezeNet) the mean over places; of a model that averages over views their mean.
    """
    plain = without_tta(model)
    return backbone_features(model, head_module(plain) or find_head(plain)[1], feed, precision)[0].cpu()


@torch.inference_mode()
def backbone_features(
    model: nn.Module, head: nn.Module, feed, precision: torch.dtype, epoch: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """What reaches the head, and the labels, in the order of the feed's epoch, from all processes."""
    features, labels, seen = [], [], []
    hook = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].float()))
    try:
        with evaluation_mode(model):
            for images, truth in progress(feed.epoch(epoch), total=len(feed), description="features"):
                with autocast(images.device, precision):
                    model(images)
                maps = [each.mean((2, 3)) if each.ndim == 4 else each for each in seen]
                features.append(torch.stack(maps).mean(0))  # one, or one per view
                labels.append(truth)
                seen.clear()
    finally:
        hook.remove()
    together = (torch.cat(features), torch.cat(labels))
    return tuple(distributed.gather_in_order(rows, len(feed.labels), feed.batch_size) for rows in together)
