"""The layer that makes the class logits: found in any torchvision classification model, and replaced."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torchvision import models


def describe_head(model: nn.Module) -> str:
    """The model's head in words, such as ``fc: Dropout(0.5), Linear(512 → 5)``."""
    name, layer = find_head(model)
    parent_name = name.rpartition(".")[0]
    parent = model.get_submodule(parent_name)
    if isinstance(parent, nn.Sequential) and len(parent) == 2 and isinstance(parent[0], nn.Dropout):
        return in_words_of_head(parent_name, layer, f"Dropout({parent[0].p:g}), ")
    return in_words_of_head(name, layer)


def in_words_of_head(name: str, layer: nn.Linear | nn.Conv2d, before: str = "") -> str:
    if isinstance(layer, nn.Conv2d):
        return f"{name}: {before}Conv2d({layer.in_channels} → {layer.out_channels}, 1 × 1)"
    return f"{name}: {before}Linear({layer.in_features} → {layer.out_features})"


def find_head(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Dotted name and module of the layer that makes the class logits.

    It is the last linear layer. SqueezeNet has none: there it is the 1 × 1 convolution ``classifier.1``
    (512 channels in, one per class out), whose map a ReLU and an average pool turn into logits ≥ 0.
    """
    kind = nn.Conv2d if isinstance(model, models.SqueezeNet) else nn.Linear
    return [(name, module) for name, module in model.named_modules() if isinstance(module, kind)][-1]


def head_module(model: nn.Module) -> nn.Module | None:
    """The new head, dropout included, if the model ends in it: features ``(n, k)`` → logits ``(n, classes)``.

    None for SqueezeNet, which averages over its map behind the head.
    """
    if isinstance(model, models.SqueezeNet):
        return None
    return model.get_submodule(find_head(model)[0].rpartition(".")[0])


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
    # In GoogLeNet and Inception the dropout is a neighbour of this name, not the item before.
    before = str(int(leaf) - 1) if leaf.isdecimal() else "dropout"
    if isinstance(getattr(parent, before, None), nn.Dropout):
        setattr(parent, before, nn.Identity())
    setattr(parent, leaf, nn.Sequential(nn.Dropout(dropout), layer))
    return name


def head_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of the layer that makes the logits."""
    return find_head(model)[1].parameters()


def backbone_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """All parameters but the head's."""
    head = {id(parameter) for parameter in head_parameters(model)}
    return (parameter for parameter in model.parameters() if id(parameter) not in head)
