"""Loss, optimizer, schedule, and the training loop: plain PyTorch, to be read aloud."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from helpers.common import distributed
from helpers.common.errors import DivergedError
from helpers.common.modules import autocast
from helpers.common.progress import progress
from helpers.common.seeding import derive_seed
from helpers.data.loading.loaders import Batches, Loaders
from helpers.evaluation.predictions import predict
from helpers.models.averaging import WeightEMA, with_tta
from helpers.runs.history import Epoch, History
from helpers.runs.run import Run
from helpers.training import out_of_memory
from helpers.training.checkpointing import Checkpointer, EpochMeter
from helpers.training.linear_probe import AUGMENTED_PASSES, fit_head, select_trained_part
from helpers.training.monitor import SignalGuard, StepMonitor
from helpers.training.targets import Targets


def fit(
    model: nn.Module,
    feeds: Loaders,
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
        DivergedError: the loss is no longer a number.
        RunError: memory did not suffice, or the folder cannot be written.
    """
    began = time.perf_counter()
    recipe = run.recipe
    average = WeightEMA(model, recipe.ema_decay) if recipe.ema_decay else None
    keeper = Checkpointer(run, model, optimizer, schedule, feeds.classes, average)
    position = keeper.restore(log)
    if recipe.linear_probe_first and not position.begun:
        share = fit_head(model, feeds.train, run.precision, AUGMENTED_PASSES if recipe.augmentation else 1)
        log(f"head fitted to the features: {share:.4f} of the photos are right\n")
    network, feeds = select_trained_part(model, feeds, recipe, run.precision)
    tested = average.like(network) if average else network
    if network is model:  # a head's features are those of all views already
        tested = with_tta(tested, recipe)
    network = distributed.wrap_ddp(network)
    targets = Targets(run, feeds.classes)
    history, predictions = position.history, None
    with SignalGuard() as interruption, keeper:
        between_steps = StepMonitor(run, feeds, keeper, interruption, position, log, began)
        for epoch in range(len(history), recipe.epochs):
            learning_rate = optimizer.param_groups[0]["lr"]
            log(f"Epoch {epoch}/{recipe.epochs - 1}\n-----\nLearning Rate: {learning_rate:.6f}")

            start = position.sums.steps
            batches = targets(_seeded(feeds.train.epoch(epoch, start), recipe.seed, epoch, start))
            batches = progress(batches, len(feeds.train) - start, f"epoch {epoch}")
            with out_of_memory.explain_out_of_memory(model, recipe, run.precision, keeper.write):
                train_loss, train_accuracy = train_one_epoch(
                    network, batches, criterion, optimizer, run.precision, position.sums, between_steps
                )
                log(f"train Loss: {train_loss:.4f} Acc: {train_accuracy:.4f}")
                predictions = predict(tested, feeds.val, run.precision)
            val_loss = criterion(predictions.logits, predictions.labels).item()
            log(f"val Loss: {val_loss:.4f} Acc: {predictions.accuracy:.4f}\n")

            schedule.step()
            history.append(Epoch(epoch, learning_rate, train_loss, train_accuracy, val_loss, predictions.accuracy))
            between_steps.end_of_epoch()

    # A run that was finished when it was opened takes no step here.
    run.last_model = average.module if average else model
    run.last_predictions = predictions or predict(tested, feeds.val, run.precision)
    minutes, rest = divmod(run.training_seconds, 60)
    log(f"Training complete in {minutes:.0f}m {rest:.0f}s\nBest val Acc: {history.best.val_accuracy:4f}")
    return history


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: torch.dtype,
    sums: EpochMeter | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """One pass over the batches. Returns mean loss and accuracy over the photos seen.

    Args:
        sums: of an epoch that was interrupted, whose other batches are given.
        after_step: is called after each step.

    Raises:
        DivergedError: the loss is no longer a number.
    """
    model.train()
    sums = sums or EpochMeter()
    for images, labels in batches:
        optimizer.zero_grad()
        with autocast(images.device, precision):
            logits = model(images)
        loss = criterion(logits.float(), labels)
        loss.backward()
        optimizer.step()
        sums.add(loss, logits, labels)
        after_step()
    loss_sum, correct, photos = distributed.all_reduce_sum(sums.loss, sums.correct, sums.photos)
    if not torch.isfinite(loss_sum):
        raise DivergedError("the training loss is no longer a number: lower lr. The last good epoch is saved")
    return (loss_sum / photos).item(), (correct / photos).item()


def _seeded(batches: Batches, seed: int, epoch: int, start: int) -> Batches:
    """The same batches; before each step dropout's generators are set to what follows from seed, epoch and step."""
    # Each of several processes has a seed of its own: together their masks are to be as random as those of one.
    rank = [distributed.rank()] if distributed.rank() else []
    for step, batch in enumerate(batches, start):
        torch.manual_seed(derive_seed(seed, "training", epoch, step, *rank))
        yield batch
