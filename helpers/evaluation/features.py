"""Features: what reaches a network's last layer, with the logits that it makes of them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from helpers.common import distributed
from helpers.common.modules import autocast, evaluation_mode
from helpers.common.progress import progress
from helpers.models.averaging import without_tta
from helpers.models.head import find_head


class Activations(NamedTuple):
    """Features and logits of ``n`` photos."""

    features: torch.Tensor  # float32 (n, k): the last layer's input; of a map (SqueezeNet) the mean over places
    logits: torch.Tensor  # float32 (n, classes)


@torch.inference_mode()
def activations(model: nn.Module, images: torch.Tensor, precision: torch.dtype) -> Activations:
    """Compute features and logits of normalized images ``(n, 3, S, S)``; of a ``TTAModel`` the means over its views.

    The model should be in evaluation mode.
    """
    inputs: list[torch.Tensor] = []

    def keep_input(layer: nn.Module, given: tuple[torch.Tensor]) -> None:
        features = given[0].float()
        inputs.append(features.mean((2, 3)) if features.ndim == 4 else features)

    hook = find_head(without_tta(model))[1].register_forward_pre_hook(keep_input)
    try:
        with autocast(images.device, precision):
            logits = model(images).float()
    finally:
        hook.remove()
    return Activations(torch.stack(inputs).mean(0), logits)


def collect_activations(
    model: nn.Module, batches: Iterable[tuple[torch.Tensor, Any]], precision: torch.dtype
) -> Activations:
    """Compute the activations of batches ``(images, labels)``, together, on the CPU."""
    with evaluation_mode(model):
        parts = [activations(model, images, precision) for images, _ in batches]
    return Activations(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))


def extract_features(model: nn.Module, loader, precision: torch.dtype) -> torch.Tensor:
    """Compute the features of each photo, in the loader's order: float32 ``(n, k)`` on the CPU."""
    return backbone_features(model, loader, precision)[0].cpu()


@torch.inference_mode()
def backbone_features(
    model: nn.Module, loader, precision: torch.dtype, epoch: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute features and labels of an epoch, in its order, from all processes, on the model's device."""
    features, labels = [], []
    with evaluation_mode(model):
        for images, truth in progress(loader.epoch(epoch), total=len(loader), description="features"):
            features.append(activations(model, images, precision).features)
            labels.append(truth)
    together = (torch.cat(rows) for rows in (features, labels))
    return tuple(distributed.gather_in_order(rows, len(loader.labels), loader.batch_size) for rows in together)
