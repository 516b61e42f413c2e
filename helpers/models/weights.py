"""Weights: read from files (tensors only, code is never run) or from torchvision, checked against the model."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from helpers.common.errors import WeightsError
from helpers.common.files import regular
from helpers.common.text import did_you_mean_path
from helpers.models.head import find_head
from helpers.models.imagenet import fetch_imagenet_weights

# Auxiliary classifiers of GoogLeNet and Inception, which are not built here.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def imagenet_weights(backbone: str) -> dict[str, torch.Tensor]:
    """Return torchvision's ImageNet weights of a backbone, downloaded if need be.

    Raises WeightsError: no source has them, or the file is damaged; the message says which file to put where.
    """
    path = fetch_imagenet_weights(backbone)
    try:
        return _modern_names(_load_pth(path))
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be loaded ({type(error).__name__}): delete it, and it is fetched again"
        ) from error


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a ``.pth``, ``.pt`` or ``.safetensors`` file, in float32.

    Raises WeightsError: the file is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise WeightsError(f"weights = {str(path)!r} does not exist{did_you_mean_path(path)}")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_pth(path)
    except Exception as error:
        raise WeightsError(
            f"weights = {str(path)!r} cannot be loaded: it is damaged, or holds more than tensors "
            f"({type(error).__name__}). Only plain state dicts are read; code inside a file is never run"
        ) from error
    for wrapper in ("state_dict", "model"):
        state = state[wrapper] if isinstance(state.get(wrapper), dict) else state
    tensors = {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"weights = {str(path)!r} holds no tensors: a state dict is needed")
    return _modern_names({k: value.float() if value.is_floating_point() else value for k, value in tensors.items()})


def load_into(model: nn.Module, state: dict[str, torch.Tensor], source: str) -> None:
    """Copy a state dict into the model. The head's tensors are copied only if they fit.

    Args:
        source: names the state dict in messages.

    Raises WeightsError: the backbone's tensors are not those of the state dict.
    """
    own, head = model.state_dict(), find_head(model)[0]
    backbone = {name: value for name, value in own.items() if not name.startswith(head + ".")}
    missing = [name for name in backbone if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"{source} is of another architecture: {len(missing)} of {len(backbone)} tensors are missing, "
            f"such as {missing[0]!r}; it holds {next(iter(state))!r}. Choose the backbone that it was made for"
        )
    # A deeper relative holds every tensor of the backbone and more: half a ResNet-34 would pass as a ResNet-18.
    heads = (head.split(".")[0] + ".", *_AUXILIARY)
    extra = [name for name in state if name.endswith(".weight") and name not in own and not name.startswith(heads)]
    if extra:
        raise WeightsError(
            f"{source} is of another architecture: it holds {len(extra)} layers more than the backbone, "
            f"such as {extra[0]!r}. Choose the backbone that it was made for"
        )
    for name in backbone:
        if name in state and state[name].shape != own[name].shape:
            raise WeightsError(
                f"{source} does not fit: {name!r} has shape {tuple(state[name].shape)}, "
                f"the backbone needs {tuple(own[name].shape)}"
            )
    fitting = {name: state[name] for name in own if name in state and state[name].shape == own[name].shape}
    model.load_state_dict(fitting, strict=False)


def _modern_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename tensors of DenseNet's published weights, which are older than torchvision's names (``norm.1``)."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", name): v for name, v in state.items()}


def _load_pth(path: Path) -> dict:
    with open(path, "rb", opener=regular) as file:
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"a {type(state).__name__} instead of a state dict")
    return state
