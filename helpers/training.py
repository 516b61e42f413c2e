"""Loss, optimizer, schedule, and the training loop: plain PyTorch, to be read aloud."""

from __future__ import annotations

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
from helpers.interruption import Interruption
from helpers.progress import progress
from helpers.recipe import Recipe
from helpers.resume import Keeper, Sums
from helpers.runs import Run
from helpers.seeds import derive_seed
from helpers.watch import Watch


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

    The run folder holds the history, the best model so far (by validation accuracy) and what continuing
    needs. Of several processes the first one writes it. Ctrl-C and SIGTERM save before they interrupt.

    Raises:
        RunError: the loss is no longer a number, memory did not suffice, or the folder cannot be written.
    """
    keeper = Keeper(run, model, optimizer, schedule, feeds.classes)
    position = keeper.restore(log)
    network, feeds = what_is_trained(model, feeds, run.recipe, run.precision)
    network = processes.share_training(network)
    history = position.history
    with Interruption() as interruption, keeper:
        between_steps = Watch(run, feeds, keeper, interruption, position, log)
        for epoch in range(len(history), run.recipe.epochs):
            learning_rate = optimizer.param_groups[0]["lr"]
            log(f"Epoch {epoch}/{run.recipe.epochs - 1}\n-----\nLearning Rate: {learning_rate:.6f}")

            batches = _seeded(
                feeds.train.epoch(epoch, position.sums.steps), run.recipe.seed, epoch, position.sums.steps
            )
            batches = progress(batches, len(feeds.train) - position.sums.steps, f"epoch {epoch}")
            with memory.explained(model, run.recipe, run.precision, keeper.write):
                train_loss, train_accuracy = train_one_epoch(
                    network, batches, criterion, optimizer, run.precision, position.sums, between_steps
                )
                log(f"train Loss: {train_loss:.4f} Acc: {train_accuracy:.4f}")
                predictions = predict(network, feeds.val, run.precision)
            val_loss = criterion(predictions.logits, predictions.labels).item()
            log(f"val Loss: {val_loss:.4f} Acc: {predictions.accuracy:.4f}\n")

            schedule.step()
            history.append(Epoch(epoch, learning_rate, train_loss, train_accuracy, val_loss, predictions.accuracy))
            between_steps.end_of_epoch()

    minutes, rest = divmod(run.training_seconds, 60)
    log(f"Training complete in {minutes:.0f}m {rest:.0f}s\nBest val Acc: {history.best.val_accuracy:4f}")
    return history


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: torch.dtype,
    sums: Sums | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """One pass over the batches. Returns mean loss and accuracy over the photos seen.

    Args:
        sums: of an epoch that was interrupted, whose other batches are given.
        after_step: is called after each step.

    Raises:
        RunError: the loss is no longer a number.
    """
    model.train()
    sums = sums or Sums()
    for images, labels in batches:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            logits = model(images)
        loss = criterion(logits.float(), labels)
        loss.backward()
        optimizer.step()
        sums.add(loss, logits, labels)
        after_step()
    loss_sum, correct, photos = processes.total(sums.loss, sums.correct, sums.photos)
    if not torch.isfinite(loss_sum):
        raise RunError("the training loss is no longer a number: lower lr. The last good epoch is saved")
    return (loss_sum / photos).item(), (correct / photos).item()


def _seeded(batches: Batches, seed: int, epoch: int, start: int) -> Batches:
    """The same batches; before each step dropout's generators are set to what follows from seed, epoch and step."""
    # Each of several processes has a seed of its own: together their masks are to be as random as those of one.
    rank = [processes.rank()] if processes.rank() else []
    for step, batch in enumerate(batches, start):
        torch.manual_seed(derive_seed(seed, "training", epoch, step, *rank))
        yield batch
