"""Looking at a photo several times: mirrored, smaller, larger. The answers are averaged."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from helpers.recipe import Recipe

SCALES = (7 / 8, 1.0, 9 / 8)


def views(images: torch.Tensor, flip: bool, scales: bool) -> list[torch.Tensor]:
    """The images ``(n, 3, S, S)`` as they are, and as they are to be looked at besides."""
    sizes = [round(images.shape[-1] * scale) for scale in SCALES] if scales else [images.shape[-1]]
    seen = [images if size == images.shape[-1] else _resized(images, size) for size in sizes]
    return seen + [view.flip(-1) for view in seen] if flip else seen


class Averaged(nn.Module):
    """A model whose logits ``(n, classes)`` are the mean over the recipe's views of each image."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.flip, self.scales = model, recipe.test_flip, recipe.test_scales
        self.training = model.training  # a module begins in training mode, and who restores that would wake up dropout

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.model(view).float() for view in views(images, self.flip, self.scales)]).mean(0)


def as_tested(model: nn.Module, recipe: Recipe) -> nn.Module:
    """The model as the recipe uses it after training."""
    return Averaged(model, recipe) if recipe.test_flip or recipe.test_scales else model


def _resized(images: torch.Tensor, size: int) -> torch.Tensor:
    resized = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)
