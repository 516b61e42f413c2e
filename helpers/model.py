"""The model: any torchvision classification backbone, with a new head for our classes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torchvision import models

from helpers.depthwise import ease_depthwise
from helpers.errors import WeightsError
from helpers.seeds import derive_seed
from helpers.weights import imagenet_weights, load_into, read_weights

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
    frozen_share: float = 0.0,
    frozen_norms: bool = False,
) -> nn.Module:
    """A backbone with ``weights`` and a fresh head: images ``(n, 3, S, S)`` → logits ``(n, classes)``.

    Args:
        frozen: training will change the head only.
        frozen_share: training will leave this share of the stages alone, from the input on.
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
    if frozen_share:
        freeze_stages(model, frozen_share)
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


def original_head(backbone: str) -> str:
    """The head that the backbone comes with, in words, such as ``fc: Linear(512 → 1000)``."""
    return _in_words(*find_head(_shapes_only(backbone)))


def ends_in_head(backbone: str) -> bool:
    """Whether the head is the model's end, so that features can be computed without it (not in SqueezeNet)."""
    return head_module(_shapes_only(backbone)) is not None


def has_batch_norm(backbone: str) -> bool:
    """Whether the backbone normalizes over batches, with statistics that it keeps."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in _shapes_only(backbone).modules())


def describe_head(model: nn.Module) -> str:
    """The model's head in words, such as ``fc: Dropout(0.5), Linear(512 → 5)``."""
    name, layer = find_head(model)
    parent_name = name.rpartition(".")[0]
    parent = model.get_submodule(parent_name)
    if isinstance(parent, nn.Sequential) and len(parent) == 2 and isinstance(parent[0], nn.Dropout):
        return _in_words(parent_name, layer, f"Dropout({parent[0].p:g}), ")
    return _in_words(name, layer)


def head_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of the layer that makes the logits."""
    return find_head(model)[1].parameters()


def backbone_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """All parameters but the head's."""
    head = {id(parameter) for parameter in head_parameters(model)}
    return (parameter for parameter in model.parameters() if id(parameter) not in head)


def freeze_backbone(model: nn.Module) -> None:
    """Let training change nothing but the head, batch-norm statistics included, whatever ``model.train()`` says."""
    for parameter in backbone_parameters(model):
        parameter.requires_grad_(False)
    freeze_norms(model)


def freeze_norms(model: nn.Module) -> None:
    """Let batch normalization use the statistics that it came with, whatever ``model.train()`` says."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(_stay_in_eval)


def stages(model: nn.Module) -> list[list[nn.Parameter]]:
    """The backbone's parameters, cut into stages from the input to the head.

    A stage is a block of the longest sequence that the backbone consists of (MobileNetV2: 19, ``features.0`` and
    on), or a module beside it that comes before (ResNet: ``conv1``, ``bn1``, ``layer1`` …).
    """
    seen = {id(parameter) for parameter in head_parameters(model)}
    found = []
    for child in model.children():
        blocks = list(child.children()) if isinstance(child, nn.Sequential) and len(child) > 4 else [child]
        for block in blocks:
            own = [parameter for parameter in block.parameters() if id(parameter) not in seen]
            seen |= {id(parameter) for parameter in own}
            if own:
                found.append(own)
    rest = [parameter for parameter in model.parameters() if id(parameter) not in seen]
    return [rest, *found] if rest else found


def freeze_stages(model: nn.Module, share: float) -> None:
    """Let training change nothing in the first stages, batch-norm statistics included.

    Args:
        share: of the stages, in [0, 1], rounded down: 0.6 are 11 of MobileNetV2's 19, and 3 of ResNet's 6 (up to
            ``layer1``).
    """
    parts = stages(model)
    count = int(share * len(parts))
    frozen = {id(parameter) for stage in parts[:count] for parameter in stage}
    for parameter in model.parameters():
        if id(parameter) in frozen:
            parameter.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and id(module.weight) in frozen:
            module.register_forward_pre_hook(_stay_in_eval)


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


def _stay_in_eval(module: nn.Module, inputs: tuple) -> None:
    # A hook at each call, since ``model.train()`` undoes ``module.eval()``. A named function, so
    # that the model can still be copied and pickled.
    module.training = False


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


def _in_words(name: str, layer: nn.Linear | nn.Conv2d, before: str = "") -> str:
    if isinstance(layer, nn.Conv2d):
        return f"{name}: {before}Conv2d({layer.in_channels} → {layer.out_channels}, 1 × 1)"
    return f"{name}: {before}Linear({layer.in_features} → {layer.out_features})"
