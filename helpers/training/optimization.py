"""Which parameters take how large a step: the optimizer, its groups, and the schedule."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
    StepLR,
)

from helpers.models.head import head_parameters
from helpers.recipe import Recipe


def make_loss(label_smoothing: float = 0.0) -> nn.Module:
    """Cross-entropy of logits ``(n, classes)`` against labels ``(n,)``, the mean over the batch.

    Args:
        label_smoothing: share of the truth that is spread over all classes (Szegedy et al., 2016).
    """
    return nn.CrossEntropyLoss(label_smoothing=label_smoothing)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the trainable parameters; ``sgd`` with Nesterov momentum (Sutskever et al., 2013)."""
    groups = parameter_groups(model, recipe)
    fused = groups[0]["params"][0].device.type in ("cpu", "cuda", "mps")  # one pass over the weights instead of five
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            groups,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
            fused=fused,
        )
    elif recipe.optimizer == "rmsprop":
        optimizer = torch.optim.RMSprop(
            groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    else:
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
        betas = (recipe.momentum, 0.999)
        optimizer = kind(groups, lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay, fused=fused)
    if recipe.clip_norm:
        _shorten_gradients(optimizer, recipe.clip_norm)
    return optimizer


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict]:
    """The trainable parameters: one group, or with ``head_lr`` the backbone's and then the head's, at that rate."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not recipe.head_lr:
        return [{"params": trained}]
    own = {id(parameter) for parameter in head_parameters(model)}
    backbone = [parameter for parameter in trained if id(parameter) not in own]
    head = [parameter for parameter in trained if id(parameter) in own]
    groups = [{"params": backbone, "lr": recipe.lr}, {"params": head, "lr": recipe.head_lr}]
    return [group for group in groups if group["params"]]


def _shorten_gradients(optimizer: torch.optim.Optimizer, longest: float) -> None:
    """Gradient clipping (Pascanu et al., 2013): all gradients together have at most this length before a step."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def shorten(*_) -> None:
        nn.utils.clip_grad_norm_(parameters, longest)

    optimizer.register_step_pre_hook(shorten)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> LRScheduler:
    """The learning rate per epoch: falling in steps, along half a cosine after a warm-up, or in one cycle."""
    if recipe.schedule == "step":
        return StepLR(optimizer, step_size=recipe.lr_step, gamma=recipe.lr_gamma)
    if recipe.schedule == "onecycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, peaks, total_steps=recipe.epochs + 1, cycle_momentum=False, div_factor=10)
    warmup_epochs = min(recipe.warmup_epochs, recipe.epochs - 1)
    cosine = CosineAnnealingLR(optimizer, T_max=recipe.epochs - warmup_epochs)
    if warmup_epochs == 0:
        return cosine
    warmup = LinearLR(optimizer, start_factor=1 / (warmup_epochs + 1), total_iters=warmup_epochs)
    return SequentialLR(optimizer, [warmup, cosine], milestones=[warmup_epochs])


def learning_rates(recipe: Recipe) -> list[float]:
    """The learning rate of every epoch of the recipe."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    schedule = make_schedule(optimizer, recipe)
    rates = []
    for _ in range(recipe.epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()  # without gradients: changes nothing, but the schedule wants to follow a step
        schedule.step()
    return rates
