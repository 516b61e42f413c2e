"""Watch a training: what happens to which batch, what the weights are at the end of each epoch, what is saved.

Validation accuracies are made up, so that the second of three epochs is the best one, whatever the network has learned;
training accuracies are the other way round.
"""

import copy
import sys
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils import data
from torch.utils.data import DataLoader

from .program import FEW, FILE

SHARES = {"val": (0.3, 1.0, 0.6), "train": (1.0, 0.3, 0.6)}  # right answers of an epoch
BATCH, BATCHES, SIDE = 4, 3, 64
LOOPS = 24  # passes over loaders after which a program is stopped
BEST = 1


class Stop(Exception):  # noqa: N818
    """The program trains for longer than the checks need."""


class Event(NamedTuple):
    """What happened: ``forward``, ``backward`` or ``step``, with facts about that moment."""

    kind: str
    phase: str
    loop: int  # number of the pass over a loader
    batch: int
    facts: dict[str, Any]


class Save(NamedTuple):
    """A file that was saved: its name, what it holds, and the lines of the program that were running."""

    name: str
    kind: str  # state, nested, model, other
    fingerprint: tuple
    loadable: bool
    lines: tuple[int, ...]


class Recorder:
    """A record of one training. Install it before the program runs."""

    def __init__(self, made_up_training: bool) -> None:
        self.made_up_training = made_up_training
        self.reset()

    def reset(self) -> None:
        """Forget everything, for another program."""
        self.events: list[Event] = []
        self.saves: list[Save] = []
        self.weights: list[tuple] = []  # fingerprints at the first validation batch of each epoch
        self.model: nn.Module | None = None
        self.split_unseeded = False
        self.loaders: list[DataLoader] = []
        self.phase, self.batch, self.loop, self.epoch = "", 0, 0, {"train": -1, "val": -1}
        self._labels = self._images = None
        self._depth = self._seeded = 0
        self._fresh = False

    def install(self) -> None:
        """Hook into loaders, modules, backward passes, optimizers and ``torch.save``."""
        torch.save.observer = self._saved
        nn.modules.module.register_module_forward_pre_hook(self._before_forward)
        nn.modules.module.register_module_forward_hook(self._after_forward)
        register_optimizer_step_pre_hook(self._step)
        backward, seed, split = torch.autograd.backward, torch.manual_seed, data.random_split
        init, iterate = DataLoader.__init__, DataLoader.__iter__

        def recorded_backward(*arguments: Any, **settings: Any) -> None:
            self._event("backward", stale=self._has_gradients())
            backward(*arguments, **settings)

        def recorded_seed(value: int) -> Any:
            self._seeded += 1
            return seed(value)

        def recorded_split(dataset: Any, lengths: Any, generator: Any = data.dataset.default_generator) -> Any:
            self.split_unseeded |= not self._seeded and generator is data.dataset.default_generator
            return split(dataset, lengths, generator)

        def short_init(loader: DataLoader, dataset: Any, *arguments: Any, **settings: Any) -> None:
            names = ("batch_size", "shuffle", "sampler", "batch_sampler")
            settings |= dict(zip(names, arguments, strict=False))
            kept = {name: settings[name] for name in (*names, "collate_fn", "generator") if name in settings}
            if kept.get("batch_sampler") is None:
                kept["batch_size"] = BATCH
            init(loader, dataset, **kept)
            self.loaders.append(loader)

        torch.autograd.backward, torch.manual_seed = recorded_backward, recorded_seed
        data.random_split = data.dataset.random_split = recorded_split
        DataLoader.__init__ = short_init
        DataLoader.__iter__ = lambda loader: self._batches(loader, iterate(loader))

    def phase_of(self, loader: DataLoader) -> str:
        """Tell whether a loader is for training, the one with the most photos (of equals, the first), or not."""
        return "train" if loader is max(self.loaders, key=lambda each: len(each.dataset)) else "val"

    def _batches(self, loader: DataLoader, batches: Any) -> Any:
        phase = self.phase_of(loader)
        self.loop += 1
        if self.loop > LOOPS:
            raise Stop
        self._fresh = True
        for number, (images, labels, *rest) in enumerate(batches):
            if phase == "train" and number == BATCHES:
                break
            every = max(1, images.shape[-1] // SIDE) if images.ndim == 4 else 1
            images = images[..., ::every, ::every].contiguous()
            self.phase, self.batch, self._depth = phase, self.batch + 1, 0
            self._images, self._labels = images, labels
            yield (images, labels, *rest)
        self._images = None

    def _before_forward(self, module: nn.Module, inputs: tuple) -> None:
        self._depth += 1
        if self._depth > 1 or not self._is_network(inputs):
            return
        self.model = module
        if self._fresh:  # the first batch of an epoch, not one that is only looked at
            self._fresh = False
            self.epoch[self.phase] += 1
            if self.phase == "val":
                self.weights.append(fingerprint(module.state_dict()))
            else:
                with torch.no_grad():  # every epoch has weights of its own, even if nothing is learned
                    next(module.parameters()).add_(1e-4)
        self._event("forward", training=module.training, gradients=torch.is_grad_enabled())

    def _after_forward(self, module: nn.Module, inputs: tuple, outputs: Any) -> Any:
        self._depth = max(0, self._depth - 1)
        logits = getattr(outputs, "logits", outputs)  # of networks with auxiliary classifiers
        if self._depth or not self._is_network(inputs) or not isinstance(logits, torch.Tensor) or logits.ndim != 2:
            return None
        if self.phase == "train" and not self.made_up_training:
            return None
        return 0.01 * logits + self._answers(logits)

    def _answers(self, logits: torch.Tensor) -> torch.Tensor:
        """Make up logits with the share of right answers that the epoch should have."""
        share = SHARES[self.phase][self.epoch[self.phase] % FEW]
        wrong = (self._labels + 1) % min(5, logits.shape[1])
        right = torch.arange(len(self._labels)) < round(share * len(self._labels))
        return 4.0 * nn.functional.one_hot(torch.where(right, self._labels, wrong), logits.shape[1])

    def _is_network(self, inputs: tuple) -> bool:
        images = self._images
        return (
            images is not None
            and bool(inputs)
            and isinstance(inputs[0], torch.Tensor)
            and inputs[0].shape == images.shape
        )

    def _step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        empty = not any(bool(each.abs().max() > 0) for each in gradients)
        self._event("step", empty=empty, optimizer=id(optimizer))

    def _has_gradients(self) -> bool:
        parameters = self.model.parameters() if self.model is not None else ()
        return any(p.grad is not None and bool(p.grad.abs().max() > 0) for p in parameters)

    def _event(self, kind: str, **facts: Any) -> None:
        if self._images is not None:
            self.events.append(Event(kind, self.phase, self.loop, self.batch, facts))

    def _saved(self, name: str, value: Any) -> None:
        lines, frame = [], sys._getframe(2)
        while frame:
            if frame.f_code.co_filename == FILE:
                lines.append(frame.f_lineno)
            frame = frame.f_back
        kind, state = describe(value)
        self.saves.append(Save(name, kind, fingerprint(state), self._loadable(state), tuple(lines)))

    def _loadable(self, state: dict[str, torch.Tensor]) -> bool:
        if self.model is None or not state:
            return False
        try:
            copy.deepcopy(self.model).load_state_dict(state)
        except Exception:  # whatever a network of the student's own raises
            return False
        return True


def describe(value: Any) -> tuple[str, dict[str, torch.Tensor]]:
    """Tell what was saved, and find the state dict in it."""
    if isinstance(value, nn.Module):
        return "model", {}
    if isinstance(value, dict):
        if value and all(isinstance(each, torch.Tensor) for each in value.values()):
            return "state", dict(value)
        for each in value.values():
            if isinstance(each, dict) and describe(each)[0] == "state":
                return "nested", dict(each)
    return "other", {}


def fingerprint(state: dict[str, torch.Tensor]) -> tuple:
    """Return a number for each learned tensor of a state dict, the same only for the same weights.

    Statistics of batch norms are left out: they move in validation, too, if the evaluation mode was forgotten.
    """
    learned = [each for name, each in state.items() if "running_" not in name and "num_batches" not in name]
    return tuple(float(each.detach().double().sum()) for each in learned)
