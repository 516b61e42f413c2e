"""Freezing: what training leaves as it is. The backbone, its first stages, or batch normalization's statistics."""

from collections.abc import Iterator
from typing import Self

from torch import nn

from helpers.models.head import backbone_parameters, find_head


class FrozenStatsBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that keeps its running statistics, whatever ``model.train()`` says."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


def freeze(model: nn.Module, backbone: bool = False, fraction: float = 0.0, norms: bool = False) -> nn.Module:
    """Exclude parts of the model from training. Changes the model, and returns it.

    Args:
        backbone: freeze everything but the head, batch-norm statistics included.
        fraction: freeze this share of the backbone's stages, from the input on, batch-norm statistics included. In
            [0, 1], rounded down: 0.6 are 11 of MobileNetV2's 19, and 3 of ResNet's 6 (up to ``layer1``).
        norms: freeze the statistics of every batch normalization; its scales and shifts are trained.
    """
    parts = stages(model)
    first = [parameter for stage in parts[: int(fraction * len(parts))] for parameter in stage]
    frozen = backbone_parameters(model) if backbone else first
    for parameter in frozen:
        parameter.requires_grad_(False)
    ids = {id(parameter) for parameter in frozen}
    for module in model.modules():
        if type(module) is nn.BatchNorm2d and (norms or id(module.weight) in ids):
            module.__class__ = FrozenStatsBatchNorm2d  # the same tensors under the same names
            module.eval()
    return model


def stages(model: nn.Module) -> list[list[nn.Parameter]]:
    """Cut the backbone's parameters into stages, from the input to the head.

    A stage is a block of the longest sequence that the backbone consists of (MobileNetV2: 19, ``features.0`` and
    on; ViT-B/16: 12 layers of its encoder, and what comes before and after), or a module beside it that comes before
    (ResNet: ``conv1``, ``bn1``, ``layer1`` …).
    """
    seen = {id(parameter) for parameter in find_head(model)[1].parameters()}
    whole = sum(parameter.numel() for parameter in backbone_parameters(model))
    found = []
    for block in _blocks(model, 0.9 * whole, frozenset(seen)):
        own = [parameter for parameter in block.parameters() if id(parameter) not in seen]
        seen |= {id(parameter) for parameter in own}
        if own:
            found.append(own)
    rest = [parameter for parameter in model.parameters() if id(parameter) not in seen]
    return [rest, *found] if rest else found


def _blocks(module: nn.Module, most: float, head: frozenset[int]) -> Iterator[nn.Module]:
    """Yield the module's parts in order. A long sequence, or a part with ``most`` parameters, is cut further."""
    for child in module.children():
        sequence = isinstance(child, nn.Sequential) and len(child) > 4
        size = sum(parameter.numel() for parameter in child.parameters() if id(parameter) not in head)
        wraps = any(True for _ in child.children()) and size > most
        if sequence:
            yield from child.children()
        elif wraps:
            yield from _blocks(child, most, head)
        else:
            yield child
