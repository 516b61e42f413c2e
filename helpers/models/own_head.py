"""A head of one's own, such as ``model.fc = nn.Linear(512, 5)``: described, so that a saved model can be rebuilt."""

import re
from typing import Any

import torch
from torch import nn

from helpers.common.errors import WeightsError
from helpers.models.build import shapes_only
from helpers.models.freezing import freeze
from helpers.models.head import find_head, replace_head
from helpers.recipe import Recipe

# Layers, and the attributes that make them again.
LAYERS = {
    "Linear": ("in_features", "out_features"),
    "Dropout": ("p",),
    "BatchNorm1d": ("num_features",),
    "LeakyReLU": ("negative_slope",),
    "Conv2d": ("in_channels", "out_channels", "kernel_size"),
    "AdaptiveAvgPool2d": ("output_size",),
    **dict.fromkeys(("ReLU", "GELU", "SiLU", "Hardswish", "Tanh", "Identity", "Flatten"), ()),
}
# Names that say how a layer computes, not what.
ALIKE = {"Head(": "Sequential(", "FrozenStatsBatchNorm2d(": "BatchNorm2d(", "StridedDepthwise(": "Conv2d("}


def own_head(model: nn.Module, recipe: Recipe, classes: int) -> dict[str, Any] | None:
    """Describe a head that is not the recipe's, for ``set_own_head``; None if it is.

    Raises WeightsError: the head is not for so many classes or has a layer not in ``LAYERS``, or the model is not the
    recipe's but for the head.
    """
    if not can_be_rebuilt(model):
        return None
    plain, backbone = shapes_only(recipe.backbone), recipe.backbone
    if type(model) is not type(plain):
        raise WeightsError(_refusal(backbone, f"it is a {type(model).__name__}"))
    if (outputs := len(find_head(model)[1].weight)) != classes:
        raise WeightsError(f"the last layer has {outputs:,} outputs for {classes} classes: make it one of {classes}")
    if _structure(planned_model(recipe, classes)) == (structure := _structure(model)):
        return None
    name = find_head(plain)[0].partition(".")[0]
    head = {"name": name, "layers": _described(model.get_submodule(name), backbone)}
    if (rebuilt := _structure(planned_model(recipe, classes, head))) != structure:
        other = next((line.strip() for line in structure if line not in rebuilt), "its shapes")
        raise WeightsError(_refusal(backbone, f"it differs in more than {name!r} ({other})"))
    return head


def can_be_rebuilt(model: nn.Module) -> bool:
    """Tell whether the model is to be rebuilt from its files, unlike the tests' small networks."""
    return not type(model).__module__.startswith("tests.")


def planned_model(recipe: Recipe, classes: int, head: dict[str, Any] | None = None) -> nn.Module:
    """Build the recipe's model without weights, with a head of one's own if there is one."""
    model = shapes_only(recipe.backbone)
    freeze(model, recipe.frozen_backbone, recipe.freeze_fraction, recipe.frozen_norms)
    if head:
        set_own_head(model, head)
        return model
    return replace_head(model, classes, recipe.dropout)


def set_own_head(model: nn.Module, head: dict[str, Any]) -> None:
    """Put a head that ``own_head`` described into the model, without weights: ``load_state_dict(…, assign=True)``."""
    with torch.device("meta"):
        setattr(model, head["name"], _built(head["layers"]))


def head_in_words(head: dict[str, Any]) -> str:
    """Write a head that ``own_head`` described, such as ``fc: Linear(512 → 64), ReLU, Linear(64 → 5)``."""

    def written(kind: str, *values: Any) -> str:
        if kind == "Sequential":
            return ", ".join(written(*part) for part in values[0].values())
        return f"{kind}({' → '.join(map(str, values[:2]))})" if values else kind

    return f"{head['name']}: {written(*head['layers'])}"


def _described(module: nn.Module, backbone: str) -> list[Any]:
    kind = type(module).__name__
    if isinstance(module, nn.Sequential):
        return ["Sequential", {name: _described(part, backbone) for name, part in module.named_children()}]
    if kind not in LAYERS or (kind == "Linear" and module.bias is None):
        raise WeightsError(_refusal(backbone, f"its head has a layer {module}"))
    return [kind, *(getattr(module, name) for name in LAYERS[kind])]


def _built(layers: list[Any]) -> nn.Module:
    kind, *values = layers
    if kind == "Sequential":
        sequence = nn.Sequential()
        for name, part in values[0].items():
            sequence.add_module(name, _built(part))
        return sequence
    if kind not in LAYERS:
        raise WeightsError(f"the head has an unknown layer {kind!r}: known are {', '.join(LAYERS)}")
    return getattr(nn, kind)(*values)


def _refusal(backbone: str, reason: str) -> str:
    return (
        f"a saved model could not be rebuilt: {reason}. Use {backbone} with replace_head, or with a head of "
        f"{', '.join(LAYERS)} in nn.Sequential"
    )


def _structure(model: nn.Module) -> list[str]:
    """Write all layers with their settings, and all shapes: what a rebuilt model must have alike."""
    text = re.sub(r"(, )?inplace=\w+", "", str(model))
    for name, same in ALIKE.items():
        text = text.replace(name, same)
    return [*text.splitlines(), *(f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items())]
