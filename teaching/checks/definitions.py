"""Sections 2 to 4: the last layer, the loss, the optimizer, judged by what they do."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .photos import CLASSES
from .verdict import Failure, explained, require

SIDE = 224  # some networks take no other size


class Backbone:
    """What a network was before its last layer was replaced: the numbers in each of its tensors."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.numbers = _numbers(state)
        # Fully connected layers before the last may be replaced along with it (VGG's classifier).
        connected = {name.rpartition(".")[0] for name, each in state.items() if each.ndim == 2}
        heads = [name.rpartition(".")[0] for name, each in state.items() if each.ndim > 1 and len(each) == 1000]
        self.head = {value for name, value in self.numbers.items() if name.rpartition(".")[0] in heads[-1:]}
        kept = {value for name, value in self.numbers.items() if name.rpartition(".")[0] not in connected}
        self.kept = kept - self.head


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


def _numbers(tensors: dict[str, torch.Tensor]) -> dict[str, tuple]:
    """Return shape, sum and first number of each tensor of more than one number, apart from constants."""
    numbers = {}
    for name, each in tensors.items():
        flat = each.detach().flatten().double()
        if len(flat) > 1 and bool((flat != flat[0]).any()):
            numbers[name] = (tuple(each.shape), float(flat.sum()), float(flat[0]))
    return numbers


def judge_head(before: Backbone, values: dict[str, Any]) -> tuple[str, str]:
    """Judge the network of section 2; returns what was seen, and whether its outputs are logits or log-probabilities.

    Raises:
        Failure: it is not what is asked.
    """
    networks = {name: each for name, each in values.items() if is_network(each)}
    require(networks, "there is no network called model after the block")
    failure = None
    for name in sorted(networks, key=lambda each: each not in ("model", "net")):
        try:
            return _judge_network(before, networks[name])
        except Failure as error:
            failure = failure or error
    raise failure or Failure("there is no network")


def is_network(value: Any) -> bool:
    """Tell whether a value is a network with convolutions."""
    return isinstance(value, nn.Module) and any(isinstance(each, nn.Conv2d) for each in value.modules())


def _judge_network(before: Backbone, model: nn.Module) -> tuple[str, str]:
    outputs = _outputs(model)
    require(outputs.ndim == 2 and len(outputs) == 2, f"for 2 photos, the network returns {tuple(outputs.shape)}")
    number = outputs.shape[1]
    require(number == len(CLASSES), f"the network has {number} outputs for {len(CLASSES)} classes")
    after = set(_numbers(_tensors(model)).values())
    require(not before.head or not before.head & after, "the old last layer is still there: append nothing, replace it")
    lost = len(before.kept - after)
    require(not lost, f"{lost} of {len(before.kept)} pretrained tensors are gone: only the last layer should be new")
    known = set(before.numbers.values())
    new = [name for name, value in _numbers(dict(model.named_parameters())).items() if value not in known]
    trainable = any(model.get_parameter(name).requires_grad for name in new)
    require(trainable or not new, "the new last layer is frozen (requires_grad is False): it can learn nothing")
    last_step, outputs = type(outputs.grad_fn).__name__, outputs.detach()
    sums = outputs.exp().sum(1)
    softmax = torch.allclose(outputs.sum(1), torch.ones(2), atol=1e-4) and bool((outputs >= 0).all())
    if softmax or last_step.startswith("Sigmoid"):
        raise Failure("the network returns probabilities, but the loss takes logits: leave softmax and sigmoid out")
    kind = "log-probabilities" if torch.allclose(sums, torch.ones(2), atol=1e-4) else "logits"
    return f"{number} outputs, {len(before.kept)} pretrained tensors kept", kind


def _outputs(model: nn.Module) -> torch.Tensor:
    training = model.training
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, SIDE, SIDE, generator=generator)
    try:
        outputs = model.eval()(images)
    except Exception as error:
        raise Failure(f"the network fails on a batch of two photos: {explained(error)}") from error
    finally:
        model.train(training)
    outputs = getattr(outputs, "logits", outputs)
    require(isinstance(outputs, torch.Tensor), f"the network returns {type(outputs).__name__}, not a tensor")
    require(bool(torch.isfinite(outputs).all()), "the network returns numbers that are not finite")
    return outputs


def judge_loss(values: dict[str, Any], kind: str = "logits") -> str:
    """Judge the loss of section 3; returns what was seen.

    Args:
        kind: of the outputs that section 2's network makes.

    Raises:
        Failure: it is not what is asked.
    """
    losses = {n: v for n, v in values.items() if callable(v) and not isinstance(v, type) and not _is_something_else(v)}
    require(losses, "there is no loss called criterion after the block")
    failure = None
    for name in sorted(losses, key=lambda each: each not in ("criterion", "loss_fn")):
        for prepared in (nn.Identity(), nn.LogSoftmax(1)) if kind == "log-probabilities" else (nn.Identity(),):
            try:
                return _judge_loss(name, lambda z, y, f=losses[name], p=prepared: f(p(z), y))
            except Failure as error:
                failure = failure or error
    raise failure or Failure("there is no loss")


def _is_something_else(value: Any) -> bool:
    return is_network(value) or isinstance(value, torch.optim.Optimizer)


def _judge_loss(name: str, loss: Callable) -> str:
    at_margin = {}
    for margin in (-20.0, -4.0, 0.0, 1.0, 2.0, 3.0, 4.0):
        values, slopes = zip(
            *(_loss_and_slope(name, loss, label, margin) for label in range(len(CLASSES))), strict=True
        )
        at_margin[margin] = sum(values) / len(values), sum(slopes) / len(slopes)
    at = {margin: value for margin, (value, _) in at_margin.items()}
    require(at[-4.0] > at[0.0] > at[2.0], f"{name} does not fall as the right class's logit rises")
    require(min(at.values()) > -1e-4, f"{name} is negative ({min(at.values()):.2f}): it takes log-probabilities")
    slope, start = at_margin[-20.0][1], at_margin[0.0][1]
    require(slope < 0.2 * start, f"{name} is flat where the answer is very wrong: there is a softmax too many in it")
    require(min(at.values()) < 0.7 * at[0.0], f"{name} stays at {min(at.values()):.2f} for right answers")
    return f"{name}: {at[0.0]:.3f} without an idea, {min(at.values()):.3f} when right (ln 5 = {math.log(5):.3f})"


def _loss_and_slope(name: str, loss: Callable, label: int, margin: float) -> tuple[float, float]:
    logits = torch.full((4, len(CLASSES)), -margin / 2)  # a loss of one class against all others needs low ones
    logits[:, label] = margin / 2
    logits.requires_grad_()
    labels = torch.full((4,), label)
    try:
        value = loss(logits, labels)
        value.backward()
    except Exception as error:
        raise Failure(f"{name}(outputs, labels) fails: {explained(error)}") from error
    require(value.numel() == 1, f"{name} returns {tuple(value.shape)}, not one number")
    require(math.isfinite(value.item()), f"{name} returns {value.item()}")
    gradient = logits.grad if logits.grad is not None else torch.zeros_like(logits)
    return value.item(), float(gradient[:, label].sum())


def judge_optimizer(model: nn.Module, values: dict[str, Any]) -> str:
    """Judge the optimizer of section 4; returns what was seen.

    Raises:
        Failure: it is not what is asked.
    """
    optimizers = [each for each in values.values() if isinstance(each, torch.optim.Optimizer)]
    require(optimizers, "there is no optimizer after the block")
    held = {id(p): p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    trainable = [p for p in model.parameters() if p.requires_grad]
    missing = sum(id(p) not in held for p in trainable)
    require(trainable, "the network has no trainable parameter")
    require(not missing, f"{missing} of {len(trainable)} trainable parameters are not in the optimizer")
    rates = [float(group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    require(all(0 < rate < 10 for rate in rates), f"the learning rate is {', '.join(f'{rate:g}' for rate in rates)}")
    before = [p.detach().clone() for p in trainable]
    for p in trainable:
        p.grad = torch.ones_like(p)
    try:
        for optimizer in optimizers:
            optimizer.step(*([lambda: torch.tensor(0.0)] if isinstance(optimizer, torch.optim.LBFGS) else []))
    except Exception as error:
        raise Failure(f"a step of the optimizer fails: {explained(error)}") from error
    rises = [bool((p.detach() - old).mean() >= 0) for p, old in zip(trainable, before, strict=True)]
    wrong = sum(rises)
    require(not wrong, f"a step moves {wrong} of {len(trainable)} parameters uphill or not at all")
    names = ", ".join(type(each).__name__ for each in optimizers)
    return f"{names} of all {len(trainable)} trainable parameters, learning rate {', '.join(f'{r:g}' for r in rates)}"
