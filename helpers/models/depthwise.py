"""Depthwise convolutions with a stride, in an arithmetic in which their gradient is fast on a CPU."""

import torch
from torch import nn


class StridedDepthwise(nn.Conv2d):
    """In training on a CPU this layer computes in float32 where autocast asks for bfloat16.

    oneDNN has fast bfloat16 kernels for every other convolution, but takes 7 to 25 times as long as in float32 for the
    gradient with respect to this one's input. The output is in autocast's precision. Where no such gradient will be
    asked for, bfloat16 is the faster one.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with_gradient = torch.is_grad_enabled() and images.requires_grad
        if images.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not with_gradient:
            return super().forward(images)
        with torch.autocast("cpu", enabled=False):
            return super().forward(images.float()).to(torch.get_autocast_dtype("cpu"))


def ease_depthwise(model: nn.Module) -> None:
    """Make every strided depthwise convolution of the model a ``StridedDepthwise``; its weights and names stay."""
    for module in model.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1 and max(module.stride) > 1:
            module.__class__ = StridedDepthwise  # not a new layer: hooks, parameters and random state are this one's
