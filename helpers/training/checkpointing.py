"""How far a run is, kept so that a run that is killed at any moment goes on as if nothing had been.

After every epoch the state is copied in memory. It is written to disk as often as that costs 1 % of the
time, or every ``checkpoint_steps`` steps; and when training ends, for whatever reason it ends. Order,
augmentation and dropout follow from seed, epoch and step, so that no generator's state needs keeping.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from helpers.common import distributed, tensors
from helpers.common.errors import RunError
from helpers.models.averaging import WeightEMA
from helpers.runs.history import Epoch, History
from helpers.runs.run import Run

SHARE = 0.01  # of the training time, for writing to disk


DISK = 300e6  # bytes per second, as long as none was measured


VERSION = 3


@dataclass
class EpochMeter:
    """What the steps of an epoch have added up to. They stay on the device: reading them makes a GPU wait."""

    steps: int = 0
    photos: int = 0
    loss: torch.Tensor | float = 0.0  # float64, summed over photos
    correct: torch.Tensor | int = 0
    last_loss: torch.Tensor | None = None  # of the last step, the mean over its photos

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        if labels.ndim > 1:  # of blended photos, the class that has the larger share
            labels = labels.argmax(1)
        self.last_loss = loss.detach()
        self.loss = self.loss + self.last_loss.double() * len(labels)
        self.correct = self.correct + (logits.detach().argmax(1) == labels).sum()
        self.photos += len(labels)
        self.steps += 1


@dataclass
class TrainingState:
    """Whole epochs, and the sums over the steps of the one after them."""

    history: History = field(default_factory=History)
    sums: EpochMeter = field(default_factory=EpochMeter)
    epoch_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0  # of the epoch that is not whole

    @property
    def begun(self) -> bool:
        """Whether a step was taken."""
        return bool(self.history or self.sums.steps)

    def __str__(self) -> str:
        step = f", step {self.sums.steps} of the next" if self.sums.steps else ""
        return f"{len(self.history)} whole epochs{step}"


class Checkpointer:
    """Copies the state of a training, and writes it when that is due. Use as a context around the training."""

    def __init__(
        self,
        run: Run,
        model: nn.Module,
        optimizer,
        schedule,
        classes: tuple[str, ...],
        average: WeightEMA | None = None,
    ) -> None:
        self.run, self.model, self.optimizer, self.schedule, self.classes = run, model, optimizer, schedule, classes
        self.average = average  # of the weights, which is then what is saved as the best model
        self.best: dict[str, torch.Tensor] | None = None  # the weights of the best epoch
        self.best_is_new = False
        self.unsaved: dict[str, Any] | None = None
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        self.cost = 3 * size / DISK  # the model, its momenta, and the best model
        self.last = time.perf_counter()

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(self, *error: object) -> None:
        self.write()

    def restore(self, log: Callable[[str], None]) -> TrainingState:
        """Bring model, optimizer and schedule to where the run was last saved, if it was.

        Raises:
            RunError: what was saved belongs to another model.
        """
        state = _load(self.run, log)
        if state is None:
            return TrainingState()
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            if self.average:
                self.average.load_state_dict(state["average"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(
                f"{self.run.relative(self.run.folder)} was saved by another model: start anew with resume = False "
                f"({str(error).splitlines()[0]})"
            ) from error
        # A run that is continued in the last moment of an epoch takes no step before the schedule's.
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`")
        self.best = state["best"]
        position = TrainingState(
            History(Epoch(*row) for row in state["history"]),
            EpochMeter(*state["steps"], *state["sums"]),
            list(state["epoch_seconds"]),
            state["seconds"],
        )
        if self.best is not None and distributed.is_main():
            # The checkpoint is the authority: the file could be damaged, or of an epoch after the checkpoint.
            self.run.save_best(self.best, position.history.best, self.classes)
        if len(position.history) < self.run.recipe.epochs:
            log(f"continues after {position}")
            if state["machine"] != _machine(self.run):
                log(
                    f"it was begun on {_words(state['machine'])} and goes on with {_words(_machine(self.run))}: "
                    "the last digits will differ from those of an undisturbed run"
                )
        return position

    def due(self, position: TrainingState) -> bool:
        """Whether it is time to write."""
        every = self.run.recipe.checkpoint_steps
        if every:
            return position.sums.steps % every == 0  # 0 steps: the end of an epoch
        return time.perf_counter() - self.last > self.cost / SHARE

    def take(self, position: TrainingState) -> None:
        """Copy the present state."""
        sums, weights = position.sums, _copy(self.model.state_dict())
        if sums.steps == 0 and position.history.best is position.history[-1]:
            self.best_is_new = True
            self.best = _copy(self.average.module.state_dict()) if self.average else weights
        self.unsaved = {
            "version": VERSION,
            "history": [list(row) for row in position.history],
            "steps": [sums.steps, sums.photos],
            "sums": [_copy(sums.loss), _copy(sums.correct)],
            "epoch_seconds": list(position.epoch_seconds),
            "seconds": position.seconds,
            "model": weights,
            "optimizer": _copy(self.optimizer.state_dict()),
            "schedule": self.schedule.state_dict(),
            "average": _copy(self.average.state_dict()) if self.average else None,
            "best": self.best,
            "machine": _machine(self.run),
        }

    def write(self) -> None:
        """Write what was copied last, unless it is on disk already; the best model first."""
        state, self.unsaved = self.unsaved, None
        if state is None:
            return
        start = time.perf_counter()
        history = History(Epoch(*row) for row in state["history"])
        if self.best_is_new:
            self.run.save_best(self.best, history.best, self.classes)
            self.best_is_new = False
        folder = self.run.folder
        tensors.save_tensors(folder / "last.ckpt", state, previous=folder / "previous.ckpt")
        self.last = time.perf_counter()
        self.cost = self.last - start
        self.run.saving_seconds += self.cost


def _load(run: Run, log: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest checkpoint that is whole; None if there is none at all."""
    damaged = []
    for name in ("last.ckpt", "previous.ckpt"):
        path = run.folder / name
        if not path.exists():
            continue
        try:
            state = tensors.load_tensors(path, run.device)
            if not isinstance(state, dict) or state.get("version") != VERSION:
                raise RunError(f"{path} was written by another version of this project")
        except RunError as error:
            damaged.append(name)
            log(f"{error}. It is left aside")
            continue
        if damaged:
            log(f"{name} is used instead: what came after it is repeated")
        return state
    if damaged:
        log("no checkpoint can be used: the training begins anew")
    return None


def _copy(state: Any) -> Any:
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _copy(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [_copy(value) for value in state]
    return state


def _machine(run: Run) -> dict[str, Any]:
    return {
        "device": run.device.type,
        "threads": torch.get_num_threads(),
        "precision": str(run.precision).removeprefix("torch."),
        "torch": str(torch.__version__),
    }


def _words(machine: dict[str, Any]) -> str:
    return f"{machine['device']} ({machine['precision']}, {machine['threads']} threads, torch {machine['torch']})"
