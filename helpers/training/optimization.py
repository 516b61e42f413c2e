"""Loss, optimizer and learning-rate schedule, as the recipe names them."""

import inspect
import warnings
from copy import deepcopy

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR, StepLR

from helpers.common.errors import ParameterError
from helpers.models.head import backbone_parameters, find_head
from helpers.recipe import Recipe


def make_loss(label_smoothing: float = 0.0, weight: torch.Tensor | None = None) -> nn.Module:
    """Return cross-entropy: logits ``(n, classes)`` and labels ``(n,)`` → the mean over the batch, in nats.

    Args:
        label_smoothing: share of the truth that is spread over all classes (Szegedy et al., 2016).
        weight: of each class ``(classes,)``, see ``class_weights``; None: all alike.
    """
    return nn.CrossEntropyLoss(weight, label_smoothing=label_smoothing)


def class_weights(recipe: Recipe, labels: torch.Tensor, classes: int) -> torch.Tensor | None:
    """Return the weights of the classes in the loss, float32 ``(classes,)``; None if all are alike.

    ``balanced`` weighs a class by the inverse of its number of training photos; the mean over the photos is 1 (King
    and Zeng, 2001).
    """
    if recipe.class_weights == "none":
        return None
    return len(labels) / (classes * torch.bincount(labels, minlength=classes).float())


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer; ``sgd`` has Nesterov's momentum (Sutskever et al., 2013) by default."""
    groups = parameter_groups(model, recipe)
    fused = groups[0]["params"][0].device.type in ("cpu", "cuda", "mps")  # one pass over the weights instead of five
    lr, momentum, weight_decay = recipe.lr, recipe.momentum, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, momentum, weight_decay=weight_decay, nesterov=recipe.nesterov, fused=fused)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr, momentum=momentum, weight_decay=weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(groups, lr, betas=(momentum, 0.999), weight_decay=weight_decay, fused=fused)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict]:
    """Return the trainable parameters in one group; with ``head_lr`` in two, ``backbone`` and ``head``.

    Raises ParameterError: there are none.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ParameterError("every parameter is frozen: freeze before the head is replaced, or leave the head out")
    if not recipe.head_lr:
        return [{"params": trained}]
    backbone = [parameter for parameter in backbone_parameters(model) if parameter.requires_grad]
    head = list(find_head(model)[1].parameters())
    groups = [{"name": "backbone", "params": backbone}, {"name": "head", "params": head, "lr": recipe.head_lr}]
    return groups if backbone else groups[1:]


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> LRScheduler:
    """Return the schedule, stepped once per epoch: in steps, half a cosine after a warm-up, or one cycle."""
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


def learning_rate(optimizer: torch.optim.Optimizer) -> float:
    """Return the present learning rate: of the group ``backbone``, or of the only group if there is no such."""
    groups = optimizer.param_groups
    return next((group for group in groups if group.get("name") == "backbone"), groups[0])["lr"]


def learning_rates(schedule: LRScheduler, epochs: int) -> list[float]:
    """Return the learning rate of each epoch, as ``fit`` logs it. The schedule itself stays where it is.

    Raises ParameterError: see ``check_step``.
    """
    check_step(schedule, "StepLR")
    parameters = [each for group in schedule.optimizer.param_groups for each in group["params"]]
    copy = deepcopy(schedule, {id(each): each for each in parameters})
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch expects a step of the optimizer, which would change the weights
        for _ in range(epochs):
            rates.append(learning_rate(copy.optimizer))
            copy.step()
    return rates


def check_step(part: Optimizer | LRScheduler, other: str) -> None:
    """Check that ``part.step()`` takes no argument, as ``fit`` calls it. Raises ParameterError: name an ``other``."""
    _, *taken = inspect.signature(type(part).step).parameters.values()
    if needed := [each.name for each in taken if each.default is each.empty]:
        raise ParameterError(f"{type(part).__name__} needs {needed[0]} in each step: use another, such as {other}")
