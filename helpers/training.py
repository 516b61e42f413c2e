"""Loss, optimizer, schedule, and the training loop: plain PyTorch, to be read aloud."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR

from helpers import memory, processes
from helpers.errors import RunError
from helpers.evaluate import predict
from helpers.features import what_is_trained
from helpers.feeds import Batches, Feeds
from helpers.history import Epoch, History
from helpers.progress import progress
from helpers.recipe import Recipe
from helpers.runs import Run
from helpers.seeds import derive_seed


def make_loss() -> nn.Module:
    """Cross-entropy of logits ``(n, classes)`` against labels ``(n,)``, the mean over the batch."""
    return nn.CrossEntropyLoss()


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum (Sutskever et al., 2013) over the trainable parameters."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=parameters[0].device.type in ("cpu", "cuda", "mps"),  # one pass over the weights instead of five
    )


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> LRScheduler:
    """The learning rate per epoch: steps down by ``lr_gamma``, or a warm-up and half a cosine."""
    if recipe.schedule == "step":
        return StepLR(optimizer, step_size=recipe.lr_step, gamma=recipe.lr_gamma)
    warmup_epochs = min(recipe.warmup_epochs, recipe.epochs - 1)
    cosine = CosineAnnealingLR(optimizer, T_max=recipe.epochs - warmup_epochs)
    if warmup_epochs == 0:
        return cosine
    warmup = LinearLR(optimizer, start_factor=1 / (warmup_epochs + 1), total_iters=warmup_epochs)
    return SequentialLR(optimizer, [warmup, cosine], milestones=[warmup_epochs])


def learning_rates(recipe: Recipe) -> list[float]:
    """The learning rate of every epoch of the recipe."""
    optimizer = make_optimizer(nn.Linear(1, 1), recipe)
    schedule = make_schedule(optimizer, recipe)
    rates = []
    for _ in range(recipe.epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()  # without gradients: changes nothing, but the schedule wants to follow a step
        schedule.step()
    return rates


def fit(
    model: nn.Module,
    feeds: Feeds,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    run: Run,
    log: Callable[[str], None] = print,
) -> History:
    """Train for the recipe's epochs, continuing where the run was interrupted.

    After every epoch the run folder holds the history, the best model so far (by validation
    accuracy) and everything needed to continue. Of several processes the first one writes it.
    """
    history, seconds = run.restore(model, optimizer, schedule), time.perf_counter()
    network, feeds = what_is_trained(model, feeds, run.recipe, run.precision)
    network = processes.share_training(network)
    for epoch in range(len(history), run.recipe.epochs):
        learning_rate = optimizer.param_groups[0]["lr"]
        log(f"Epoch {epoch}/{run.recipe.epochs - 1}\n-----\nLearning Rate: {learning_rate:.6f}")

        torch.manual_seed(_dropout_seed(run.recipe.seed, epoch))
        batches = progress(feeds.train.epoch(epoch), total=len(feeds.train), description=f"epoch {epoch}")
        with memory.explained(model, run.recipe, run.precision):
            train_loss, train_accuracy = train_one_epoch(network, batches, criterion, optimizer, run.precision)
        log(f"train Loss: {train_loss:.4f} Acc: {train_accuracy:.4f}")

        predictions = predict(network, feeds.val, run.precision)
        val_loss = criterion(predictions.logits, predictions.labels).item()
        log(f"val Loss: {val_loss:.4f} Acc: {predictions.accuracy:.4f}\n")

        schedule.step()
        history.append(Epoch(epoch, learning_rate, train_loss, train_accuracy, val_loss, predictions.accuracy))
        if processes.is_main():
            run.save_epoch(history, model, optimizer, schedule, feeds.classes, time.perf_counter() - seconds)
        seconds = time.perf_counter()

    minutes, rest = divmod(run.training_seconds, 60)
    log(f"Training complete in {minutes:.0f}m {rest:.0f}s\nBest val Acc: {history.best.val_accuracy:4f}")
    return history


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: torch.dtype,
) -> tuple[float, float]:
    """One pass over the batches. Returns mean loss and accuracy over the photos seen.

    Raises:
        RunError: the loss is no longer a number.
    """
    model.train()
    loss_sum, correct, photos = 0.0, 0, 0
    for images, labels in batches:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            logits = model(images)
        loss = criterion(logits.float(), labels)
        loss.backward()
        optimizer.step()

        # Sums stay on the device: reading them here would make a GPU wait for every step.
        loss_sum = loss_sum + loss.detach().double() * len(labels)
        correct = correct + (logits.detach().argmax(1) == labels).sum()
        photos += len(labels)
    loss_sum, correct, photos = processes.total(loss_sum, correct, photos)
    if not torch.isfinite(loss_sum):
        raise RunError("the training loss is no longer a number: lower lr. The last good epoch is saved")
    return (loss_sum / photos).item(), (correct / photos).item()


def _dropout_seed(seed: int, epoch: int) -> int:
    """Another one for each process: together their masks are to be as random as those of one."""
    rank = processes.rank()
    return derive_seed(seed, "training", epoch, *([rank] if rank else []))
