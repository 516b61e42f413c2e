"""Weights: read from files (tensors only, code is never run) or from torchvision, checked against the model."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from helpers.common.errors import WeightsError
from helpers.common.files import file_digest, regular
from helpers.common.tensors import tensor_fault
from helpers.common.text import counted, did_you_mean_path
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


def weights_digest(backbone: str, weights: str) -> str | None:
    """Return the SHA-256 of the file that ``weights`` names (``imagenet``, or a path); None for ``none``.

    Raises WeightsError: there is no such file, and none can be downloaded.
    """
    if weights == "none":
        return None
    path = fetch_imagenet_weights(backbone) if weights == "imagenet" else Path(weights)
    _check_exists(path)
    return file_digest(path)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a ``.pth``, ``.pt`` or ``.safetensors`` file, in float32.

    Raises WeightsError: the file is missing, damaged, or holds anything but tensors.
    """
    _check_exists(path)
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_pth(path)
    except Exception as error:
        raise WeightsError(
            f"weights = {str(path)!r} cannot be loaded: it is damaged, or holds more than tensors "
            f"({type(error).__name__}). Only plain state dicts are read; code inside a file is never run"
        ) from error
    for wrapper in ("state_dict", "model"):
        state = state[wrapper] if isinstance(state.get(wrapper), dict) else state
    found = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not found:
        raise WeightsError(f"weights = {str(path)!r} holds no tensors: a state dict is needed")
    for name, value in found.items():
        if fault := tensor_fault(value) if isinstance(name, str) else "a tensor has a number for its name":
            raise WeightsError(f"weights = {str(path)!r}: {name!r}: {fault}. Save model.state_dict() of a usual model")
    named = {name.removeprefix("module."): value for name, value in found.items()}
    return _modern_names({k: value.float() if value.is_floating_point() else value for k, value in named.items()})


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"weights = {str(path)!r} does not exist{did_you_mean_path(path)}")


def head_as_ours(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Rename a trained head that its maker put in the place of the model's, as the assignment's template does.

    ``model.fc = nn.Linear(512, 5)`` is saved as ``fc.weight``, ours behind a dropout as ``fc.1.weight``.
    """
    name, layer = find_head(model)
    weight = state.get(f"{name}.weight")
    if weight is None or len(weight) == len(layer.weight) or weight.shape[1:] != layer.weight.shape[1:]:
        return state
    own = {f"{name}.{part}": f"{name}.1.{part}" for part in ("weight", "bias")}
    return {own.get(key, key): value for key, value in state.items()}


def load_into(model: nn.Module, state: dict[str, torch.Tensor], source: str) -> None:
    """Copy a state dict into the model. The head's tensors are copied only if they fit.

    Args:
        source: names the state dict in messages.

    Raises WeightsError: the backbone's tensors are not those of the state dict.
    """
    own, head = model.state_dict(), find_head(model)[0]
    backbone = {name: value for name, value in own.items() if not name.startswith(head + ".")}
    wrong = [name for name in backbone if name not in state and not name.endswith("num_batches_tracked")]
    # A deeper relative holds every tensor of the backbone and more: half a ResNet-34 would pass as a ResNet-18.
    heads = (head.split(".")[0] + ".", *_AUXILIARY)
    wrong += [name for name in state if name.endswith(".weight") and name not in own and not name.startswith(heads)]
    wrong += [name for name in backbone if name in state and state[name].shape != own[name].shape]
    if wrong:
        raise WeightsError(
            f"{source} is of another architecture ({counted(len(wrong), 'tensor')} missing, surplus or of another "
            f"shape, such as {wrong[0]!r}): choose the backbone that it was made for"
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
