"""The model: any torchvision classification backbone, with a new head for our classes."""

from __future__ import annotations

import difflib
from pathlib import Path

import torch
from torch import nn
from torchvision import models

from helpers.errors import WeightsError
from helpers.seeds import derive_seed
from helpers.weights import imagenet_weights, load_into, read_weights

# These two come with auxiliary classifiers, which fine-tuning does without, and their ImageNet
# weights expect pictures normalized in another way, which they then see to themselves.
_INCEPTION = {"aux_logits": False, "transform_input": True, "init_weights": True}


def build_model(backbone: str, weights: str, classes: int, dropout: float, seed: int) -> nn.Module:
    """A backbone with ``weights`` and a fresh head: images ``(n, 3, S, S)`` → logits ``(n, classes)``.

    Args:
        weights: ``imagenet``, ``none`` (random), or the path of a state dict. One that holds a head
            of our size is taken whole.
        seed: of the random weights. The caller's random state is left as it was.

    Raises:
        WeightsError: the backbone is unknown, or the weights cannot be had or do not fit.
    """
    check_backbone(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "backbone"))
        model = _bare(backbone)
        torch.manual_seed(derive_seed(seed, "head"))
        name = replace_head(model, classes, dropout)
    if weights == "imagenet":
        load_into(model, imagenet_weights(backbone), name, f"torchvision's {backbone}")
    elif weights != "none":
        load_into(model, read_weights(Path(weights)), name, f"weights = {weights!r}")
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


def find_head(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Name and module of the layer that makes the logits: the last linear one, or SqueezeNet's last convolution."""
    kind = nn.Conv2d if isinstance(model, models.SqueezeNet) else nn.Linear
    return [(name, module) for name, module in model.named_modules() if isinstance(module, kind)][-1]


def replace_head(model: nn.Module, classes: int, dropout: float) -> str:
    """Put Dropout (Srivastava et al., 2014) and a fresh layer for ``classes`` in the head's place.

    A dropout that stands just before the old head gives way to the new one.

    Returns:
        The name of the head in the model.
    """
    name, old = find_head(model)
    if isinstance(old, nn.Conv2d):
        layer: nn.Module = nn.Conv2d(old.in_channels, classes, old.kernel_size)
    else:
        layer = nn.Linear(old.in_features, classes)
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if leaf.isdecimal() and int(leaf) > 0 and isinstance(parent[int(leaf) - 1], nn.Dropout):
        parent[int(leaf) - 1] = nn.Identity()
    setattr(parent, leaf, nn.Sequential(nn.Dropout(dropout), layer))
    return name


def original_head(backbone: str) -> str:
    """The head that the backbone comes with, in words."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):  # shapes only, in no time
                return _in_words(*find_head(_bare(backbone)))
        except NotImplementedError:  # RegNet computes its shapes with tensors
            return _in_words(*find_head(_bare(backbone)))


def describe_head(model: nn.Module) -> str:
    """The model's head in words, such as ``fc: Dropout(0.5), Linear(512 → 5)``."""
    name, layer = find_head(model)
    parent_name = name.rpartition(".")[0]
    parent = model.get_submodule(parent_name)
    if isinstance(parent, nn.Sequential) and len(parent) == 2 and isinstance(parent[0], nn.Dropout):
        return _in_words(parent_name, layer, f"Dropout({parent[0].p:g}), ")
    return _in_words(name, layer)


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """How many numbers the model has, and how many of them training may change."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trainable in sizes if trainable)


def _bare(backbone: str) -> nn.Module:
    """The backbone without weights, with its own 1,000-class head."""
    extra = _INCEPTION if backbone in ("googlenet", "inception_v3") else {}
    return models.get_model(backbone, weights=None, **extra)


def _in_words(name: str, layer: nn.Linear | nn.Conv2d, before: str = "") -> str:
    if isinstance(layer, nn.Conv2d):
        return f"{name}: {before}Conv2d({layer.in_channels} → {layer.out_channels}, 1 × 1)"
    return f"{name}: {before}Linear({layer.in_features} → {layer.out_features})"
