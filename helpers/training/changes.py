"""What is trained, read from the live objects, and where that is not what the recipe says."""

import inspect
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.data.loading.loaders import Loaders
from helpers.models.head import describe_head
from helpers.models.own_head import own_head
from helpers.recipe import Recipe
from helpers.training.optimization import class_weights, make_loss, make_optimizer, make_schedule


def changes(
    recipe: Recipe,
    model: nn.Module,
    loaders: Loaders,
    criterion: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
) -> dict[str, str]:
    """Return what differs from the recipe, by name: transforms, head, loss, optimizer, schedule."""
    planned = make_optimizer(model, recipe)
    weight = class_weights(recipe, loaders.train.labels, len(loaders.classes))
    compared = {
        "loss": (describe_change(criterion), describe_change(make_loss(recipe.label_smoothing, weight))),
        "optimizer": (describe_optimizer(optimizer), describe_optimizer(planned)),
        "schedule": (describe_change(schedule), describe_change(make_schedule(planned, recipe))),
    }
    head = {"head": describe_head(model)} if own_head(model, recipe.backbone) else {}
    return loaders.own_transforms | head | {name: text for name, (text, plan) in compared.items() if text != plan}


def describe_optimizer(optimizer: Optimizer) -> str:
    """Describe class, settings that are not the class's defaults, and the number of parameters of each group.

    Such as ``SGD(lr=0.001, momentum=0.9) over 11,179,077 parameters``.
    """
    known = inspect.signature(type(optimizer)).parameters
    parts = []
    for group in optimizer.param_groups:
        values = {name: group[name] for name in known if name in group and group[name] != known[name].default}
        values |= {"lr": group.get("initial_lr", group["lr"])}
        size = sum(parameter.numel() for parameter in group["params"])
        parts.append(f"{_call(optimizer, values)} over {size:,} parameters")
    return "; ".join(parts)


def describe_change(made: nn.Module | LRScheduler) -> str:
    """Describe class and settings that are not the class's defaults, such as ``StepLR(step_size=7)``."""
    known = inspect.signature(type(made)).parameters
    values = {name: getattr(made, name, known[name].default) for name in known if name != "last_epoch"}
    plain = {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in values.items()}
    parts = [describe_change(each) for each in getattr(made, "_schedulers", [])]
    return _call(made, {name: plain[name] for name in plain if plain[name] != known[name].default}, parts)


def _call(made: object, values: dict[str, object], parts: Sequence[str] = ()) -> str:
    """Write an object as the call that makes it. Ways of computing that give the same result are left out."""
    plain = {name: value for name, value in values.items() if isinstance(value, (int, float, str, list, tuple))}
    shown = [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in plain.items()
             if name not in ("params", "fused", "foreach")]  # fmt: skip
    return f"{type(made).__name__}({', '.join([*shown, *parts])})"
