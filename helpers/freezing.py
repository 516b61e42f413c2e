"""What training leaves alone: the backbone, its first stages, or batch normalization's statistics."""

from __future__ import annotations

from torch import nn

from helpers.heads import backbone_parameters, head_parameters


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


def _stay_in_eval(module: nn.Module, inputs: tuple) -> None:
    # A hook at each call, since ``model.train()`` undoes ``module.eval()``. A named function, so
    # that the model can still be copied and pickled.
    module.training = False
