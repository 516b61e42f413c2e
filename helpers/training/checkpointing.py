"""Training checkpoints: a killed run resumes bit-identically.

After every epoch the state is copied to the CPU's memory. It is written to disk as often as that takes 1 % of the
training time, or every ``checkpoint_steps`` steps, and when training ends for whatever reason. Order, augmentation and
dropout follow from seed, epoch and step, so no random generator needs saving.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from helpers.common import distributed, tensors
from helpers.common.errors import DivergedError, RunError
from helpers.data.loading.loaders import Loaders
from helpers.data.split import read_split_rows
from helpers.models.averaging import WeightEMA
from helpers.models.own_head import own_head
from helpers.runs import environment
from helpers.runs.history import Epoch, History
from helpers.runs.run import Run

COST_SHARE = 0.01  # of the training time, for writing to disk
DISK_SPEED = 300e6  # bytes per second, until it is measured
FILES = ("last.ckpt", "previous.ckpt")
VERSION = 5  # of their content

Log = Callable[[str], None]


@dataclass
class EpochMeter:
    """Sums over an epoch's steps. They stay on the device: reading them would make a GPU wait."""

    steps: int = 0
    photos: int = 0
    loss: torch.Tensor | float = 0.0  # summed over photos, in float64 (Apple's GPUs: float32)
    correct: torch.Tensor | int = 0
    last_loss: torch.Tensor | None = None  # of the last step, the mean over its photos

    def add(self, loss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> None:
        """Add a step: its mean loss, logits ``(n, classes)``, and targets, labels ``(n,)`` or ``(n, classes)``."""
        self.steps += 1
        if len(targets) == 0:  # one of several processes, in a small last batch: a mean over nothing
            return
        if targets.ndim > 1:  # of blended photos, the class with the larger share
            targets = targets.argmax(1)
        self.last_loss = loss.detach()
        self.loss = self.loss + self.last_loss.to(distributed.sum_dtype(loss.device)) * len(targets)
        self.correct = self.correct + (logits.detach().argmax(1) == targets).sum()
        self.photos += len(targets)

    def means(self) -> tuple[float, float]:
        """Return mean loss and accuracy over the photos of all processes; DivergedError if the loss is not finite."""
        loss, correct, photos = distributed.all_reduce_sum(self.loss, self.correct, self.photos)
        if not torch.isfinite(loss):
            raise DivergedError("the training loss is not finite: lower lr. The last good epoch is saved")
        return (loss / photos).item(), (correct / photos).item()


@dataclass
class TrainingState:
    """How far a training is: its whole epochs, and the steps of the next one."""

    history: History = field(default_factory=History)
    meter: EpochMeter = field(default_factory=EpochMeter)
    epoch_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0  # of the unfinished epoch

    def __str__(self) -> str:
        return f"epoch {len(self.history)}, step {self.meter.steps}"


class Checkpointer:
    """Copies the state of a training (``snapshot``) and writes the last copy to the run's folder (``save``)."""

    def __init__(
        self,
        run: Run,
        model: nn.Module,
        optimizer: Optimizer,
        schedule: LRScheduler,
        loaders: Loaders,
        ema: WeightEMA | None = None,
    ) -> None:
        """Prepare to save; with ``ema``, the averaged weights are saved as the best model's.

        Raises WeightsError: the model is one that could not be rebuilt from its files.
        """
        self.run, self.classes, self.head = run, loaders.classes, own_head(model, run.recipe, len(loaders.classes))
        self.machine, self.steps = _describe_machine(run, loaders), len(loaders.train)
        self.data = _data(run)
        self.parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
        if ema:
            self.parts["ema"] = ema.averaged
        self.candidate = ema.module if ema else model  # for the best model
        self.best: dict[str, torch.Tensor] | None = None  # the best epoch's weights
        self.unsaved_best: Epoch | None = None
        self.unsaved: dict[str, Any] | None = None
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        self.cost = 3 * size / DISK_SPEED  # seconds for the model, its momenta, and the best model
        self.last_save = time.perf_counter()
        self.seconds = 0.0  # spent on saving

    @property
    def exists(self) -> bool:
        """Whether the run's folder has a checkpoint, perhaps a damaged one."""
        return any((self.run.folder / name).exists() for name in FILES)

    def restore(self, log: Log) -> TrainingState:
        """Load the newest intact checkpoint into model, optimizer and schedule; without one, start afresh.

        Raises RunError: the checkpoint belongs to another model.
        """
        saved = _load(self.run, log)
        if saved is None:
            return TrainingState()
        if saved["data"] != self.data:
            raise RunError(
                f"the photos of {self.run.relative(self.run.folder)} are not those that it was begun with: "
                f"{_difference(saved['data'], self.data)}. Some would be validated on that were trained on: put back "
                "what was there, or start anew with resume = False"
            )
        try:
            for name, part in self.parts.items():
                part.load_state_dict(saved[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(
                f"{self.run.relative(self.run.folder)} was saved by another model: start anew with resume = False "
                f"({str(error).splitlines()[0]})"
            ) from error
        # A run that resumes after the last step of an epoch takes none before the schedule's.
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`")
        history = History(Epoch(*row) for row in saved["history"])
        state = TrainingState(history, EpochMeter(*saved["meter"]), saved["epoch_seconds"], saved["seconds"])
        self.best = saved["best"]
        if self.best is not None and distributed.is_main():
            # The checkpoint decides: the file could be damaged, or of an epoch after the checkpoint.
            self.run.save_best(self.best, history.best, self.classes, self.head)
        if len(history) < self.run.recipe.epochs:
            log(f"resuming at {state} of {self.steps}")
            if saved["machine"] != self.machine:
                log(f"it was begun on {saved['machine']} and goes on with {self.machine}: the last digits will differ")
        return state

    def is_due(self, state: TrainingState) -> bool:
        """Tell whether it is time to save."""
        every = self.run.recipe.checkpoint_steps
        if every:
            return state.meter.steps % every == 0  # 0 steps: the end of an epoch
        return time.perf_counter() - self.last_save > self.cost / COST_SHARE

    def snapshot(self, state: TrainingState, is_best: bool = False) -> None:
        """Copy everything that resuming needs; with ``is_best``, keep the weights as the best model's."""
        meter, copies = state.meter, {name: _copy_to_cpu(part.state_dict()) for name, part in self.parts.items()}
        if is_best:
            self.unsaved_best = state.history[-1]
            self.best = _copy_to_cpu(self.candidate.state_dict()) if "ema" in copies else copies["model"]
        self.unsaved = copies | {
            "version": VERSION,
            "history": [list(row) for row in state.history],
            "meter": [meter.steps, meter.photos, float(meter.loss), int(meter.correct)],
            "epoch_seconds": list(state.epoch_seconds),
            "seconds": state.seconds,
            "best": self.best,
            "machine": self.machine,
            "data": self.data,
        }

    def save(self) -> None:
        """Write the last snapshot, unless it is on disk already; the best model first."""
        snapshot, self.unsaved = self.unsaved, None
        if snapshot is None:
            return
        start = time.perf_counter()
        if self.unsaved_best:
            self.run.save_best(self.best, self.unsaved_best, self.classes, self.head)
            self.unsaved_best = None
        last, previous = (self.run.folder / name for name in FILES)
        tensors.save_tensors(last, snapshot, previous)
        self.last_save = time.perf_counter()
        self.cost = self.last_save - start
        self.seconds += self.cost


def _load(run: Run, log: Log) -> dict[str, Any] | None:
    """Load the newest intact checkpoint to the CPU; None if there is none."""
    paths = [run.folder / name for name in FILES if (run.folder / name).exists()]
    for path in paths:
        try:
            saved = tensors.load_tensors(path)
            if not isinstance(saved, dict) or saved.get("version") != VERSION:
                raise RunError(f"{path} was written by another version of this project")
        except RunError as error:
            log(f"{error}. It is ignored")
            continue
        if path is not paths[0]:
            log(f"{path.name} is used instead: what came after it is repeated")
        return saved
    if paths:
        log("no checkpoint can be used: the training begins anew")
    return None


def _copy_to_cpu(state: Any) -> Any:
    """Copy a nest of tensors and plain values. On the device, model, momenta and best model would be held twice."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: _copy_to_cpu(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [_copy_to_cpu(value) for value in state]
    return state


def _data(run: Run) -> dict[str, str]:
    """Return what the training learns from, as the run's folder says: the photos' fingerprint, the split's rows."""
    split, data = run.folder / "split.csv", {}
    if (run.folder / environment.FILE).is_file():
        data["fingerprint"] = str(environment.read_environment(run.folder).get("data_fingerprint"))
    if split.is_file():
        data["split"] = "\n".join(f"{row['name']}\t{row['subset']}" for row in read_split_rows(split))
    return data


def _difference(then: dict[str, str], now: dict[str, str]) -> str:
    """Say which photos were added, removed or replaced, or changed sides."""
    before, after = (set(each.get("split", "").split("\n")) - {""} for each in (then, now))
    old, new = ({row.partition("\t")[0]: row for row in rows} for rows in (before, after))
    found = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "on the other side of the split": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    }
    said = [f"{len(names)} {how}, such as {names[0]}" for how, names in found.items() if names]
    return "; ".join(said) or "their contents changed, or photos beside the split's were added"


def _describe_machine(run: Run, loaders: Loaders) -> str:
    """Describe what changes the last digits; ``pipeline = auto`` chooses by the memory that is free."""
    precision, threads = str(run.precision).removeprefix("torch."), torch.get_num_threads()
    photos = {"resident": "photos in memory", "stream": "photos from disk"}[loaders.kind]
    return f"{run.device.type} ({precision}, {threads} threads, torch {torch.__version__}, {photos})"
