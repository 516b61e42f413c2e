"""The training loop: plain PyTorch, to be read aloud."""

from collections.abc import Callable
from typing import NamedTuple

from torch.nn import Module
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.common.modules import autocast
from helpers.data.loading.loaders import Batches, Loaders
from helpers.evaluation.predictions import Predictions, predict
from helpers.runs.history import Epoch, History
from helpers.runs.run import Run
from helpers.training.checkpointing import EpochMeter
from helpers.training.optimization import learning_rate
from helpers.training.setup import Extras, set_up_training

PLAIN = Extras()


class FitResult(NamedTuple):
    """What a training leaves in memory; the best model is in the run's folder."""

    history: History
    last_model: Module  # after the last epoch: the whole model, or its moving average
    last_predictions: Predictions  # the last model's, on the validation photos
    epoch_seconds: list[float]
    saving_seconds: float  # of them, for writing checkpoints, since the training was resumed


def fit(
    model: Module,
    loaders: Loaders,
    criterion: Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    run: Run,
    log: Callable[[str], None] = print,
    show: Callable[[History], None] | None = None,
) -> FitResult:
    """Train for the recipe's epochs, or for what an interrupted run has left of them.

    The run's folder gets the history, the best model so far (by validation accuracy), and a checkpoint to resume from.
    Ctrl-C and SIGTERM save first. Of several processes only the first one writes.

    Args:
        log: writes a line of the log, which is the published one's to the letter.
        show: called with the history after each epoch.

    Raises:
        DivergedError: the loss is not finite.
        RunError: memory did not suffice, or the folder cannot be written.
    """
    setup = set_up_training(model, loaders, criterion, optimizer, schedule, run, log)
    history, epochs, predictions, log = setup.monitor.state.history, run.recipe.epochs, None, setup.monitor.log
    with setup.monitor.guard(model):
        for epoch in range(len(history), epochs):
            lr = learning_rate(optimizer)
            log(f"Epoch {epoch}/{epochs - 1}\n-----\nLearning Rate: {lr:.6f}")

            train_loss, train_accuracy = train_one_epoch(
                setup.trained, setup.batches(epoch), criterion, optimizer, setup.extras
            )
            log(f"train Loss: {train_loss:.4f} Acc: {train_accuracy:.4f}")

            predictions = predict(setup.evaluated, setup.loaders.val, run.precision)
            val_loss = predictions.loss(criterion, run.device)
            log(f"val Loss: {val_loss:.4f} Acc: {predictions.accuracy:.4f}\n")

            schedule.step()
            history.append(Epoch(epoch, lr, train_loss, train_accuracy, val_loss, predictions.accuracy))
            setup.monitor.end_epoch(is_best=history.best is history[-1])  # keeps the best weights
            if show:
                setup.monitor.bar.above(show, history)

    if predictions is None:  # the run was finished already
        predictions = predict(setup.evaluated, setup.loaders.val, run.precision)
    epoch_seconds = setup.monitor.state.epoch_seconds
    minutes, seconds = divmod(round(sum(epoch_seconds)), 60)
    log(f"Training complete in {minutes}m {seconds}s\nBest val Acc: {history.best.val_accuracy:.6f}")
    return FitResult(history, setup.saved, predictions, epoch_seconds, setup.monitor.checkpointer.seconds)


def train_one_epoch(model: Module, batches: Batches, criterion: Module, optimizer: Optimizer, extras: Extras = PLAIN):
    """Take a step for each batch. Returns mean loss and accuracy over the photos.

    Args:
        batches: of ``(images, targets)``, where targets are labels ``(n,)`` or probabilities ``(n, classes)``.
        extras: precision, clipping, averaging, distillation and checkpoints; none of them by default.

    Raises DivergedError: the loss is not finite.
    """
    model.train()
    meter = extras.monitor.state.meter if extras.monitor else EpochMeter()
    for images, targets in batches:
        optimizer.zero_grad()
        with autocast(images.device, extras.precision):
            logits = model(images).float()
        loss = criterion(logits, targets)
        if extras.teacher:
            loss = extras.teacher.distill(loss, logits, images)
        loss.backward()
        if extras.clip_norm:
            clip_grad_norm_(model.parameters(), extras.clip_norm)
        optimizer.step()
        if extras.ema:
            extras.ema.update()
        meter.add(loss, logits, targets)
        extras.save_if_due()
    return meter.means()
