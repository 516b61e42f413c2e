"""What is trained, read from the live objects, and where that is not what the recipe says."""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.common.errors import ParameterError
from helpers.data.loading.loaders import Loaders, own_transforms
from helpers.models.freezing import FrozenStatsBatchNorm2d
from helpers.models.own_head import can_be_rebuilt, head_in_words, own_head, planned_model
from helpers.recipe import Recipe
from helpers.training.optimization import check_step, class_weights, make_loss, make_optimizer, make_schedule


def changes(
    recipe: Recipe,
    model: nn.Module,
    loaders: Loaders,
    criterion: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
) -> dict[str, str]:
    """Return what differs from the recipe, by name: transforms, batch size, head, freezing, loss, optimizer, schedule.

    Raises:
        ParameterError: the parts belong to different trainings, or their ``step`` takes what ``fit`` does not give.
        WeightsError: the model could not be rebuilt from its files.
    """
    _check_parts(model, criterion, optimizer, schedule)
    planned, classes = make_optimizer(model, recipe), len(loaders.classes)
    planned_schedule = make_schedule(planned, recipe)  # sets the first learning rate of the optimizer
    weight = class_weights(recipe, loaders.train.labels, len(loaders.classes))
    head = own_head(model, recipe, classes)
    plan = planned_model(recipe, classes, head) if can_be_rebuilt(model) else model
    compared = {
        "batch_size": (str(loaders.train.batch_size), str(recipe.batch_size)),
        "freezing": (_describe_trained(model, optimizer), _describe_trained(plan)),
        "loss": (describe_change(criterion), describe_change(make_loss(recipe.label_smoothing, weight))),
        "optimizer": (describe_optimizer(optimizer), describe_optimizer(planned)),
        "schedule": (describe_change(schedule), describe_change(planned_schedule)),
    }
    own = own_transforms(recipe, *loaders.transforms) if loaders.transforms else {}
    own |= {"head": head_in_words(head)} if head else {}
    return own | {name: text for name, (text, planned) in compared.items() if text != planned}


def _check_parts(model: nn.Module, criterion: Callable, optimizer: Optimizer, schedule: LRScheduler) -> None:
    """Refuse parts that were left by cells which were run before others were changed."""
    owners = [part for part in (model, criterion) if isinstance(part, nn.Module)]
    known = {id(parameter) for owner in owners for parameter in owner.parameters()}
    if not {id(parameter) for group in optimizer.param_groups for parameter in group["params"]} <= known:
        raise ParameterError("the optimizer was made for another model: run its cell again, then those below it")
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise ParameterError("the schedule was made for another optimizer: run its cell again, then those below it")
    check_step(optimizer, "SGD")
    check_step(schedule, "StepLR")


def _describe_trained(model: nn.Module, optimizer: Optimizer | None = None) -> str:
    """Describe what training changes: by an optimizer, or by one that holds all parameters that are not frozen."""
    sizes = {id(parameter): parameter.numel() for parameter in model.parameters()}
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    if optimizer:
        trained &= {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    norms = sum(isinstance(module, FrozenStatsBatchNorm2d) for module in model.modules())
    kept = f"; {norms} batch normalizations keep their statistics" if norms else ""
    return f"{sum(sizes[each] for each in trained):,} of {sum(sizes.values()):,} parameters are trained{kept}"


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


def describe_change(made: Callable | LRScheduler) -> str:
    """Describe class and settings that are not the class's defaults, such as ``StepLR(step_size=7)``."""
    if inspect.isroutine(made):
        return f"function {made.__name__}"
    known = inspect.signature(type(made)).parameters
    values = {name: getattr(made, name, known[name].default) for name in known if name != "last_epoch"}
    plain = {name: _plain(value) for name, value in values.items()}
    parts = [describe_change(each) for each in getattr(made, "_schedulers", [])]
    return _call(made, {name: value for name, value in plain.items() if value != known[name].default}, parts)


def _plain(value: object) -> object:
    """Return tensors, and the milestones that PyTorch counts, as lists; None for what cannot be written plainly."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, Counter):
        return sorted(value.elements())
    return value if isinstance(value, (int, float, str, list, tuple)) else None


def _call(made: object, values: dict[str, object], parts: Sequence[str] = ()) -> str:
    """Write an object as the call that makes it. Ways of computing that give the same result are left out."""
    plain = {name: value for name, value in values.items() if isinstance(value, (int, float, str, list, tuple))}
    shown = [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in plain.items()
             if name not in ("params", "fused", "foreach")]  # fmt: skip
    return f"{type(made).__name__}({', '.join([*shown, *parts])})"
