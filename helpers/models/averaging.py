"""A moving average of the weights (Polyak and Juditsky, 1992): steadier than the weights of any one step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers.recipe import Recipe


class WeightEMA:
    """The exponential moving average of a model's weights and statistics."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        # Batch-norm statistics are averaged too: those of other weights would not fit.
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    @property
    def module(self) -> nn.Module:
        """A model like the one in training, with the averaged weights."""
        return self.averaged.module

    def like(self, part: nn.Module) -> nn.Module:
        """What corresponds in the averaged model to the model itself or to a module of it."""
        name = next(name for name, module in self.model.named_modules() if module is part)
        return self.module.get_submodule(name)

    def update(self) -> None:
        """To be called after each step. The first call takes the weights as they are."""
        self.averaged.update_parameters(self.model)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.averaged.state_dict()

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.averaged.load_state_dict(state)


SCALES = (7 / 8, 1.0, 9 / 8)


def views(images: torch.Tensor, flip: bool, scales: bool) -> list[torch.Tensor]:
    """The images ``(n, 3, S, S)`` as they are, and as they are to be looked at besides."""
    sizes = [round(images.shape[-1] * scale) for scale in SCALES] if scales else [images.shape[-1]]
    seen = [images if size == images.shape[-1] else _resized(images, size) for size in sizes]
    return seen + [view.flip(-1) for view in seen] if flip else seen


class TTAModel(nn.Module):
    """A model whose logits ``(n, classes)`` are the mean over the recipe's views of each image."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.flip, self.scales = model, recipe.test_flip, recipe.test_scales
        self.training = model.training  # a module begins in training mode, and who restores that would wake up dropout

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.model(view).float() for view in views(images, self.flip, self.scales)]).mean(0)


def with_tta(model: nn.Module, recipe: Recipe) -> nn.Module:
    """The model as the recipe uses it after training."""
    return TTAModel(model, recipe) if recipe.test_flip or recipe.test_scales else model


def _resized(images: torch.Tensor, size: int) -> torch.Tensor:
    resized = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)
