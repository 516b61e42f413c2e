"""A moving average of the weights (Polyak and Juditsky, 1992): steadier than the weights of any one step."""

from __future__ import annotations

import torch
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


class TTAModel(nn.Module):
    """A model whose logits ``(n, classes)`` are the mean over each image ``(n, 3, S, S)`` and its mirror image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = model.training  # a module begins in training mode, and who restores that would wake up dropout

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.model(view).float() for view in (images, images.flip(-1))]).mean(0)


def with_tta(model: nn.Module, recipe: Recipe) -> nn.Module:
    """The model as the recipe uses it after training."""
    return TTAModel(model) if recipe.test_flip else model


def without_tta(model: nn.Module) -> nn.Module:
    """Return the model inside of ``with_tta``, or the model itself."""
    return model.model if isinstance(model, TTAModel) else model
