"""The model: any torchvision classification backbone, with a new head for our classes."""

from __future__ import annotations

import difflib
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torchvision import models

from helpers.common.errors import WeightsError
from helpers.common.seeding import derive_seed
from helpers.models.depthwise import ease_depthwise
from helpers.models.freezing import freeze_backbone, freeze_norms, freeze_stages
from helpers.models.head import find_head, head_module, in_words_of_head, replace_head
from helpers.models.weights import imagenet_weights, load_into, read_weights

# These two come with auxiliary classifiers, which fine-tuning does without, and their ImageNet
# weights expect pictures normalized in another way, which they then see to themselves.
_INCEPTION = {"aux_logits": False, "transform_input": True, "init_weights": True}


def build_model(
    backbone: str,
    weights: str,
    classes: int,
    dropout: float,
    seed: int,
    frozen: bool = False,
    freeze_fraction: float = 0.0,
    frozen_norms: bool = False,
) -> nn.Module:
    """A backbone with ``weights`` and a fresh head: images ``(n, 3, S, S)`` → logits ``(n, classes)``.

    Args:
        frozen: training will change the head only.
        freeze_fraction: training will leave this share of the stages alone, from the input on.
        frozen_norms: batch normalization will keep the statistics of the weights.
        weights: ``imagenet``, ``none`` (random), or the path of a state dict. One that holds a head
            of our size is taken whole.
        seed: of the random weights. The caller's random state is left as it was.

    Raises:
        WeightsError: the backbone is unknown, or the weights cannot be had or do not fit.
    """
    check_backbone(backbone)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would reseed the GPUs too, which are not forked here.
        torch.default_generator.manual_seed(derive_seed(seed, "backbone"))
        model = _bare(backbone)
        torch.default_generator.manual_seed(derive_seed(seed, "head"))
        name = replace_head(model, classes, dropout)
    ease_depthwise(model)
    if weights == "imagenet":
        load_into(model, imagenet_weights(backbone), name, f"torchvision's {backbone}")
    elif weights != "none":
        state, source = read_weights(Path(weights)), f"weights = {weights!r}"
        _refuse_larger(model, state, name, source)
        load_into(model, state, name, source)
    if frozen:
        freeze_backbone(model)
    if freeze_fraction:
        freeze_stages(model, freeze_fraction)
    if frozen_norms:
        freeze_norms(model)
    return model


def check_backbone(backbone: str) -> None:
    """Raises:
    WeightsError: torchvision has no classification model of this name; near names are given.
    """
    known = models.list_models(module=models)
    if backbone not in known:
        near = difflib.get_close_matches(backbone, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "try resnet18, mobilenet_v2 or efficientnet_b0"
        raise WeightsError(f"backbone {backbone!r} is unknown to torchvision: {hint}")


def original_head(backbone: str) -> str:
    """The head that the backbone comes with, in words, such as ``fc: Linear(512 → 1000)``."""
    return in_words_of_head(*find_head(_shapes_only(backbone)))


def ends_in_head(backbone: str) -> bool:
    """Whether the head is the model's end, so that features can be computed without it (not in SqueezeNet)."""
    return head_module(_shapes_only(backbone)) is not None


def has_batch_norm(backbone: str) -> bool:
    """Whether the backbone normalizes over batches, with statistics that it keeps."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in _shapes_only(backbone).modules())


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """How many numbers the model has, and how many of them training may change."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trainable in sizes if trainable)


def _bare(backbone: str) -> nn.Module:
    """The backbone without weights, with its own 1,000-class head."""
    extra = _INCEPTION if backbone in ("googlenet", "inception_v3") else {}
    return models.get_model(backbone, weights=None, **extra)


def _shapes_only(backbone: str) -> nn.Module:
    """The bare backbone with parameters on the meta device: right shapes, no numbers, in no time.

    Raises:
        WeightsError: the backbone is unknown.
    """
    check_backbone(backbone)

    # Not ``with torch.device("meta")``: RegNet computes its widths with tensors.
    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        return None if parameter is None else nn.Parameter(parameter.to("meta"))

    hook = register_module_parameter_registration_hook(to_meta)
    try:
        with torch.random.fork_rng(devices=[]):
            return _bare(backbone)
    finally:
        hook.remove()


def _refuse_larger(model: nn.Module, state: dict[str, torch.Tensor], head: str, source: str) -> None:
    """A deeper relative holds every tensor of the backbone and more: half a ResNet-34 would pass as a ResNet-18.

    Raises:
        WeightsError: the state dict has layers that the backbone lacks, heads apart.
    """
    own = model.state_dict()
    heads = (head.split(".")[0] + ".", "aux1.", "aux2.", "AuxLogits.")
    extra = [name for name in state if name.endswith(".weight") and name not in own and not name.startswith(heads)]
    # With tensors missing as well it is another family, which load_into words better.
    complete = all(name in state for name, _ in model.named_parameters() if not name.startswith(head + "."))
    if extra and complete:
        raise WeightsError(
            f"{source} is of another architecture: it holds {len(extra)} layers more than the backbone, "
            f"such as {extra[0]!r}. Choose the backbone that it was made for"
        )
