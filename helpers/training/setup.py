"""Setting up a training: what is built from a recipe, and what of it is trained, evaluated and resumed."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.common import distributed
from helpers.common.errors import ParameterError
from helpers.common.seeding import derive_seed
from helpers.data.audit import Audit
from helpers.data.loading.loaders import Batches, Loaders, make_loaders
from helpers.data.split import Split
from helpers.models.averaging import WeightEMA, with_tta
from helpers.models.build import build_model
from helpers.runs.changes import check_changes, save_changes
from helpers.runs.leakage import check_unseen
from helpers.runs.run import Run
from helpers.runs.saving import WEIGHTS
from helpers.training.changes import changes
from helpers.training.checkpointing import Checkpointer, Log
from helpers.training.linear_probe import AUGMENTED_PASSES, fit_head, select_trained_part
from helpers.training.monitor import StepMonitor
from helpers.training.optimization import class_weights, make_loss, make_optimizer, make_schedule
from helpers.training.targets import Teacher, mix_batches


class Training(NamedTuple):
    """What ``fit`` takes, in its order."""

    model: nn.Module  # on the run's device
    loaders: Loaders
    criterion: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler


def assemble(run: Run, audit: Audit, split: Split, cache: Path | None = None) -> Training:
    """Build everything that a training needs from the run's recipe, as the notebook does cell by cell.

    Raises UserError: the photos, the weights or a setting cannot be used.
    """
    recipe = run.recipe
    loaders = make_loaders(audit, split, recipe, run.device, cache=cache)
    model = build_model(recipe, len(audit.photos.classes), run.locate(recipe.weights))
    model = model.to(run.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(model, recipe)
    weight = class_weights(recipe, loaders.train.labels, len(loaders.classes))
    criterion = make_loss(recipe.label_smoothing, weight).to(run.device)
    return Training(model, loaders, criterion, optimizer, make_schedule(optimizer, recipe))


class Extras(NamedTuple):
    """What a training step can have beside the plain one."""

    precision: torch.dtype = torch.float32  # of convolutions and matrix products; the loss is computed in float32
    clip_norm: float = 0.0  # longer gradients are scaled down to this length (Pascanu et al., 2013); 0: never
    ema: WeightEMA | None = None  # moving average of the weights, updated after each step
    teacher: Teacher | None = None  # a trained model to learn from as well
    monitor: StepMonitor | None = None  # of a run that can be interrupted and resumed

    def save_if_due(self) -> None:
        """Check the loss of the last step; save a checkpoint if one is due or a signal asks for it."""
        if self.monitor:
            self.monitor.after_step()


@dataclass(frozen=True)
class TrainingSetup:
    """What ``fit`` trains, evaluates and saves: decided once, by ``set_up_training``."""

    trained: nn.Module  # the model or its head alone; wrapped if several processes train
    evaluated: nn.Module  # the same or its moving average, with flip TTA if the recipe says so
    saved: nn.Module  # the whole model, or its moving average
    loaders: Loaders  # of photos, or of features where the head alone is trained
    ema: WeightEMA | None
    teacher: Teacher | None
    monitor: StepMonitor  # saves it; knows how far an interrupted run was

    def batches(self, epoch: int) -> Batches:
        """Yield the batches of an epoch whose steps are still to be taken."""
        start, recipe = self.monitor.state.meter.steps, self.monitor.run.recipe
        batches = _seeded(self.loaders.train.epoch(epoch, start), recipe.seed, epoch, start)
        return mix_batches(batches, recipe, len(self.loaders.classes))

    @property
    def extras(self) -> Extras:
        """What a step of this training has beside the plain one."""
        run = self.monitor.run
        return Extras(run.precision, run.recipe.clip_norm, self.ema, self.teacher, self.monitor)


def set_up_training(
    model: nn.Module,
    loaders: Loaders,
    criterion: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    run: Run,
    log: Log,
) -> TrainingSetup:
    """Decide what is trained and evaluated, and bring all of it to where an interrupted run was.

    Raises UserError: a checkpoint is of another training; weights, a teacher or another setting cannot be used.
    """
    start, recipe = time.perf_counter(), run.recipe
    if recipe.class_weights != "none" and distributed.world_size() > 1:
        raise ParameterError(
            f"class_weights = {recipe.class_weights!r} needs a single process: each of several would divide by the "
            "weights of its own share of a batch"
        )
    changed = changes(recipe, model, loaders, criterion, optimizer, schedule)
    ema = WeightEMA(model, recipe.ema_decay) if recipe.ema_decay else None
    checkpointer = Checkpointer(run, model, optimizer, schedule, loaders, ema)
    check_changes(run.folder, changed, checkpointer.exists)
    state = checkpointer.restore(log)
    for name, text in changed.items():
        log(f"changed by hand: {name} = {text}\n")
    if distributed.is_main():
        save_changes(run.folder, changed)
    if recipe.teacher:
        check_unseen(run, "teacher", Path(run.locate(recipe.teacher)) / WEIGHTS, log)
    if recipe.weights not in ("imagenet", "none"):
        check_unseen(run, "weights", Path(run.locate(recipe.weights)), log)
    teacher = Teacher(run, loaders.classes) if recipe.teacher else None
    if recipe.linear_probe_first and not (state.history or state.meter.steps):
        accuracy = fit_head(model, loaders.train, run.precision, AUGMENTED_PASSES if recipe.augmentation else 1)
        log(f"linear probe: train Acc: {accuracy:.4f}\n")
    trained, loaders = select_trained_part(model, loaders, recipe, run.precision, changed)
    evaluated = ema.counterpart(trained) if ema else trained
    if trained is model:  # the features that a head is evaluated on include the mirrored views already
        evaluated = with_tta(evaluated, recipe)
    monitor = StepMonitor(run, loaders, checkpointer, state, log, start)
    saved = ema.module if ema else model
    return TrainingSetup(distributed.wrap_ddp(trained), evaluated, saved, loaders, ema, teacher, monitor)


def _seeded(batches: Batches, seed: int, epoch: int, start: int) -> Batches:
    """Seed PyTorch before each step: dropout and MixUp then follow from seed, epoch and step, resumed or not."""
    # Each of several processes has a seed of its own: together their masks are to be as random as those of one.
    rank = [distributed.rank()] if distributed.rank() else []
    for step, batch in enumerate(batches, start):
        torch.manual_seed(derive_seed(seed, "training", epoch, step, *rank))
        yield batch
