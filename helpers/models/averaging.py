"""Averages: of the weights over the steps (EMA), and of the predictions for a photo and its mirror image (TTA)."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers.recipe import Recipe


class WeightEMA:
    """The exponential moving average of a model's weights and statistics (Polyak and Juditsky, 1992)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        # Batch-norm statistics are averaged too: those of other weights would not fit.
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    @property
    def module(self) -> nn.Module:
        """The averaged twin of the model."""
        return self.averaged.module

    def counterpart(self, part: nn.Module) -> nn.Module:
        """Return what corresponds to the model, or to a module of it, in the averaged twin."""
        name = next(name for name, module in self.model.named_modules() if module is part)
        return self.module.get_submodule(name)

    def update(self) -> None:
        """Average in the present weights, after each step. The first call takes them as they are."""
        self.averaged.update_parameters(self.model)


class TTAModel(nn.Module):
    """A model whose logits ``(n, classes)`` are the mean over each image ``(n, 3, S, S)`` and its mirror image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.model(view).float() for view in (images, images.flip(-1))]).mean(0)


def with_tta(model: nn.Module, recipe: Recipe) -> nn.Module:
    """Return the model as the recipe evaluates it: with flip TTA, or as it is."""
    return TTAModel(model) if recipe.test_flip else model


def without_tta(model: nn.Module) -> nn.Module:
    """Return the model inside of ``with_tta``, or the model itself."""
    return model.model if isinstance(model, TTAModel) else model
