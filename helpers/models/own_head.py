"""A head of one's own, such as ``model.fc = nn.Linear(512, 5)``: described, so that a saved model can be rebuilt."""

from typing import Any

import torch
from torch import nn

from helpers.common.errors import WeightsError
from helpers.models.build import shapes_only
from helpers.models.head import find_head, replace_head

# Layers, and the attributes that make them again.
LAYERS = {
    "Linear": ("in_features", "out_features"),
    "Dropout": ("p",),
    "BatchNorm1d": ("num_features",),
    **dict.fromkeys(("ReLU", "GELU", "SiLU", "Tanh", "Identity", "Flatten"), ()),
}


def own_head(model: nn.Module, backbone: str) -> dict[str, Any] | None:
    """Describe a head that ``replace_head`` did not make, for ``set_own_head``; None if it did.

    Raises WeightsError: the model is not the backbone with another head, or the head has a layer not in ``LAYERS``.
    """
    plain = shapes_only(backbone)
    if type(model) is not type(plain):
        if type(model).__module__.startswith(("torch.", "torchvision.", "__main__")):
            raise WeightsError(_refusal(backbone, f"it is a {type(model).__name__}"))
        return None  # the tests' small networks, which nobody rebuilds
    name, layer = find_head(plain)[0].partition(".")[0], find_head(model)[1]
    if _shapes(replace_head(plain, len(layer.weight), 0.0)) == _shapes(model):
        return None
    head = {"name": name, "layers": _described(model.get_submodule(name), backbone)}
    set_own_head(plain, head)
    if _shapes(plain) != _shapes(model):
        raise WeightsError(_refusal(backbone, f"it differs in more than {name!r}"))
    return head


def set_own_head(model: nn.Module, head: dict[str, Any]) -> None:
    """Put a head that ``own_head`` described into the model, without weights: ``load_state_dict(…, assign=True)``."""
    with torch.device("meta"):
        setattr(model, head["name"], _built(head["layers"]))


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


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}
