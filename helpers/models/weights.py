"""Weights: read from files (tensors only, code is never run) or from torchvision, checked against the model."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from helpers.common.errors import WeightsError
from helpers.common.files import file_digest, mistaken_for, read_start, regular
from helpers.common.tensors import tensor_fault
from helpers.common.text import counted, did_you_mean_path
from helpers.models.head import find_head
from helpers.models.imagenet import fetch_imagenet_weights

# Auxiliary classifiers of GoogLeNet and Inception, which are not built here.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")

# What DistributedDataParallel, torch.compile, FSDP and checkpointing put into the names of what they wrap.
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

# Objects that trainings save beside the weights: arguments, paths, NumPy numbers, times.
_PASSED_OVER = (
    *("argparse.Namespace", "types.SimpleNamespace", "datetime.timedelta", "datetime.datetime"),
    *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath"),
    *("numpy.dtype", "numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar"),
)


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
    """Read a state dict from a file of PyTorch or safetensors, whatever its suffix, in float32.

    Of a checkpoint, which holds more, the model's state dict is taken.

    Raises WeightsError: the file is missing, damaged, or holds no weights, or objects that only code could restore.
    """
    _check_exists(path)
    start = read_start(path)
    if what := mistaken_for(start):
        raise WeightsError(f"weights = {str(path)!r} is {what}")
    try:
        state = load_file(path) if start[8:9] == b"{" else _load_pth(path)
    except Exception as error:
        raise WeightsError(
            f"weights = {str(path)!r} cannot be loaded: {_reason(error)}. Only plain state dicts are read, as "
            "torch.save(model.state_dict(), …) writes them; code inside a file is never run"
        ) from error
    found = _largest_state(state)
    if not found:
        raise WeightsError(f"weights = {str(path)!r} holds no tensors: a state dict is needed")
    for name, value in found.items():
        if fault := tensor_fault(value) if isinstance(name, str) else "a tensor has a number for its name":
            raise WeightsError(f"weights = {str(path)!r}: {name!r}: {fault}. Save model.state_dict() of a usual model")
    named = {_WRAPPERS.sub("", name): value for name, value in found.items()}
    return _modern_names({k: value.float() if value.is_floating_point() else value for k, value in named.items()})


def _check_exists(path: Path) -> None:
    if path.is_file():
        return
    word, name = path.name.lower(), f"weights = {str(path)!r}"
    if re.search(r"\b(https?|ftp|s3|gs|hf):/", str(path)):
        remedy = "is an address, from which nothing is downloaded: download the file, and give its path"
        if "download.pytorch.org" in str(path):
            remedy += "; or write weights = imagenet, and torchvision's are fetched"
    elif re.fullmatch(r"(.*weights\.)?(imagenet.*|default|pretrained|true)", word):
        remedy = "does not exist: write weights = imagenet for torchvision's ImageNet weights of the backbone"
    elif word in ("none", "random", "false", "null", "scratch"):
        remedy = "does not exist: write weights = none to start from random weights"
    elif path.is_dir():
        remedy = "is a folder: give the path of a file in it"
    else:
        remedy = f"does not exist{did_you_mean_path(path, 'write imagenet, none, or the path of a file')}"
    raise WeightsError(f"{name} {remedy}")


def _reason(error: Exception) -> str:
    """Say what is wrong with a file that torch or safetensors refused."""
    if "TorchScript" in str(error):
        return "it is a TorchScript program"
    if found := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it holds an object of {found[1]}, as a whole model that was saved does"
    return f"it is damaged, or holds more than tensors ({type(error).__name__})"


def _largest_state(checkpoint: dict) -> dict:
    """Return the tensors of a checkpoint's largest state dict; moving averages (EMA) only if there is no other."""
    found: list[tuple[bool, dict]] = []

    def visit(value: dict, ema: bool, depth: int) -> None:
        found.append((ema, {name: each for name, each in value.items() if isinstance(each, torch.Tensor)}))
        for name, each in value.items() if depth else ():
            if isinstance(each, dict):
                visit(each, ema or "ema" in str(name).lower(), depth - 1)

    visit(checkpoint, ema=False, depth=4)
    most = max(len(state) for _, state in found)
    return min(found, key=lambda each: (2 * len(each[1]) < most, each[0], -len(each[1])))[1]


def match_names(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Name the tensors as the model does: without the prefix of a module around it, with the head in its place.

    A network with the model as ``self.backbone`` and its own head as ``self.head`` saves ``backbone.conv1.weight``
    and ``head.weight``. What else it holds is left out.
    """
    head, layer = find_head(model)
    backbone = [name for name in model.state_dict() if not name.startswith(head + ".")]
    prefixes = [name.removesuffix(backbone[0]) for name in state if f".{name}".endswith(f".{backbone[0]}")]
    held = {prefix: sum(prefix + name in state for name in backbone) for prefix in prefixes}
    prefix = max(held, key=held.__getitem__, default="")
    if not prefix or 2 * held[prefix] < len(backbone):
        return state
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    heads = [
        name.removesuffix("weight")
        for name, value in state.items()
        if not name.startswith(prefix) and name.endswith(".weight") and value.shape[1:] == layer.weight.shape[1:]
    ]
    if len(heads) == 1 and not any(name.startswith(head + ".") for name in own):
        own |= {f"{head}.{part}": state[heads[0] + part] for part in ("weight", "bias") if heads[0] + part in state}
    return own


def head_as_ours(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """Rename a trained head that its maker put in the place of the model's, as the assignment's template does.

    ``model.fc = nn.Linear(512, 5)`` is saved as ``fc.weight``, ours behind a dropout as ``fc.1.weight``.
    """
    name, layer = find_head(model)
    weight = state.get(f"{name}.weight")
    if weight is None or weight.shape == layer.weight.shape:
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
    if wrong and not backbone.keys() & state.keys():
        raise WeightsError(
            f"{source} is of another architecture, or names its tensors as another library does: the first of them is "
            f"{next(iter(state), '')!r}, but none is {wrong[0]!r}. Choose the backbone that it was made for, and "
            "weights of torchvision's own model"
        )
    if wrong:
        raise WeightsError(
            f"{source} is of another architecture ({counted(len(wrong), 'tensor')} missing, surplus or of another "
            f"shape, such as {wrong[0]!r}): choose the backbone that it was made for"
        )
    fitting = {name: state[name] for name in own if name in state and state[name].shape == own[name].shape}
    for name, value in fitting.items():
        if not value.isfinite().all():
            raise WeightsError(
                f"{source}: {name!r} holds NaN or infinite values, as a training that diverged leaves them: "
                "take the weights of an earlier epoch"
            )
    model.load_state_dict(fitting, strict=False)


def _modern_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename tensors of DenseNet's published weights, which are older than torchvision's names (``norm.1``)."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", name): v for name, v in state.items()}


class _Unread:
    """Stands for an object beside the weights, such as a training's arguments: its own class is never called."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def _load_pth(path: Path) -> dict:
    with (
        open(path, "rb", opener=regular) as file,
        torch.serialization.safe_globals([(_Unread, name) for name in _PASSED_OVER]),
    ):
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"a {type(state).__name__} instead of a state dict")
    return state
