"""What training leaves alone: the backbone, its first stages, or batch normalization's statistics."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from helpers.models.head import backbone_parameters, head_parameters


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
    on; ViT-B/16: 12 layers of its encoder, and what comes before and after), or a module beside it that comes before
    (ResNet: ``conv1``, ``bn1``, ``layer1`` …).
    """
    seen = {id(parameter) for parameter in head_parameters(model)}
    whole = sum(parameter.numel() for parameter in backbone_parameters(model))
    found = []
    for block in _blocks(model, 0.9 * whole):
        own = [parameter for parameter in block.parameters() if id(parameter) not in seen]
        seen |= {id(parameter) for parameter in own}
        if own:
            found.append(own)
    rest = [parameter for parameter in model.parameters() if id(parameter) not in seen]
    return [rest, *found] if rest else found


def _blocks(module: nn.Module, most: float) -> Iterator[nn.Module]:
    """The parts of a module in order; in place of a long sequence, or of a part with ``most`` parameters, its parts."""
    for child in module.children():
        sequence = isinstance(child, nn.Sequential) and len(child) > 4
        wraps = any(True for _ in child.children()) and sum(p.numel() for p in child.parameters()) > most
        if sequence:
            yield from child.children()
        elif wraps:
            yield from _blocks(child, most)
        else:
            yield child


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


def _stay_in_eval(module: nn.Module, inputs: tuple) -> None:
    # A hook at each call, since ``model.train()`` undoes ``module.eval()``. A named function, so
    # that the model can still be copied and pickled.
    module.training = False
