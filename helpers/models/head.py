"""The head: the layer that turns features into class logits. Find it in a torchvision model, and replace it."""

from torch import nn
from torchvision import models

from helpers.common.errors import WeightsError
from helpers.common.seeding import seeded


class Head(nn.Sequential):
    """Dropout (Srivastava et al., 2014) and the layer that makes the logits."""


def replace_head(model: nn.Module, classes: int, dropout: float, seed: int = 0) -> nn.Module:
    """Replace the last layer by dropout and a fresh layer for ``classes``. Changes the model, and returns it.

    A dropout just before the old head is removed. A ``Head`` for as many classes, which the weights file of an earlier
    run brings along, keeps its weights.

    Args:
        dropout: probability to drop a feature, in [0, 1).
        seed: of the fresh weights. The caller's random state stays as it is.
    """
    name, old = find_head(model)
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    with seeded(seed, "head"):
        is_map = isinstance(old, nn.Conv2d)
        layer = nn.Conv2d(old.in_channels, classes, 1) if is_map else nn.Linear(old.in_features, classes)
    if isinstance(parent, Head):
        parent[0].p = dropout
        parent[1] = old if len(old.weight) == classes else layer
        return model
    # In GoogLeNet and Inception the dropout is a neighbour of this name, not the item before.
    before = str(int(leaf) - 1) if leaf.isdecimal() else "dropout"
    if isinstance(getattr(parent, before, None), nn.Dropout):
        setattr(parent, before, nn.Identity())
    setattr(parent, leaf, Head(nn.Dropout(dropout), layer))
    return model


def find_head(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Return dotted name and module of the layer that makes the class logits.

    It is the last linear layer. SqueezeNet has none: there it is the 1 × 1 convolution ``classifier.1``
    (512 channels in, one per class out), whose map a ReLU and an average pool turn into logits ≥ 0.

    Raises WeightsError: there is no such layer.
    """
    kind = nn.Conv2d if isinstance(model, models.SqueezeNet) else nn.Linear
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, kind)]
    if not layers:
        raise WeightsError(f"the model has no {kind.__name__} layer that could make the logits: end it in one")
    return layers[-1]


def head_module(model: nn.Module) -> nn.Module | None:
    """Return the replaced head with its dropout if the model ends in it: features ``(n, k)`` → logits ``(n, classes)``.

    None for SqueezeNet, which averages over its map behind the head.
    """
    if isinstance(model, models.SqueezeNet):
        return None
    name, layer = find_head(model)
    parent = model.get_submodule(name.rpartition(".")[0])
    return parent if isinstance(parent, Head) else layer


def describe_head(model: nn.Module) -> str:
    """Describe the head, such as ``fc: Dropout(0.5), Linear(512 → 5)``."""
    name, layer = find_head(model)
    parent_name = name.rpartition(".")[0]
    parent = model.get_submodule(parent_name)
    name, dropout = (parent_name, f"Dropout({parent[0].p:g}), ") if isinstance(parent, Head) else (name, "")
    outputs, inputs = layer.weight.shape[:2]
    kind, size = ("Conv2d", ", 1 × 1") if isinstance(layer, nn.Conv2d) else ("Linear", "")
    return f"{name}: {dropout}{kind}({inputs} → {outputs}{size})"


def backbone_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return all parameters but the head's."""
    head = {id(parameter) for parameter in find_head(model)[1].parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in head]
