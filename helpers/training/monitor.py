"""What happens around the training steps: the loss is checked, checkpoints are saved, signals are handled."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Self

import torch
from torch import nn

from helpers.common import distributed
from helpers.common.errors import DivergedError, Interrupted
from helpers.common.progress import TrainingBar
from helpers.data.loading.loaders import Loaders, epoch_order
from helpers.runs.run import Run
from helpers.training.checkpointing import Checkpointer, EpochMeter, Log, TrainingState
from helpers.training.out_of_memory import explain_out_of_memory


class StepMonitor:
    """Keeps a training safe, and changes nothing in it. ``fit`` and ``train_one_epoch`` say when.

    | when            | who decides                         | who copies   | who writes                            |
    |-----------------|-------------------------------------|--------------|---------------------------------------|
    | after a step    | ``is_due``, or a signal             | ``snapshot`` | ``save``                              |
    | end of an epoch | always copied; written as above     | ``snapshot`` | ``Run.save_history``, ``save``        |
    | end of training | always, whatever ended it           | (the last)   | ``save``                              |
    | loss not finite | ``FiniteLossCheck``                 | (the last)   | ``save``, then raises DivergedError   |
    | Ctrl-C, SIGTERM | ``SignalGuard``, once a step ended  | ``snapshot`` | ``save``, then the signal is raised   |
    | out of memory   | ``explain_out_of_memory``           | (the last)   | ``save``, then raises RunError        |

    ``is_due``, ``snapshot`` and ``save`` are the ``Checkpointer``'s.
    Of several processes the first one alone copies and writes, and only at the ends of epochs.
    """

    def __init__(
        self, run: Run, loaders: Loaders, checkpointer: Checkpointer, state: TrainingState, log: Log, start: float
    ) -> None:
        """Prepare a training that began at ``start``, by ``time.perf_counter()``; computing features is part of it."""
        self.run, self.loaders, self.checkpointer, self.state = run, loaders, checkpointer, state
        self.bar = TrainingBar(run.recipe.epochs, len(loaders.train), len(loaders.train.labels), log)
        self.signals = SignalGuard()
        self.loss_check = FiniteLossCheck(self._raise_diverged)
        self.epoch_start = start - state.seconds

    @contextmanager
    def guard(self, model: nn.Module) -> Iterator[None]:
        """Save on leaving, for whatever reason; handle signals, and explain a lack of memory, inside."""
        with self.signals:
            try:
                with explain_out_of_memory(model, self.run.recipe, self.run.precision, self.checkpointer.save):
                    self._show_progress()
                    yield
            finally:
                self.bar.close()
                self.checkpointer.save()

    def log(self, text: str) -> None:
        """Log a line, above the bar if there is one."""
        self.bar.log(text)

    def _show_progress(self) -> None:
        history = self.state.history
        best = history.best.val_accuracy if history else None
        self.bar.show(len(history), self.state.meter.steps, self.state.meter.photos, best)

    def after_step(self) -> None:
        """Check the loss of the step that ``state.meter`` has just got, and save if it is time."""
        meter = self.state.meter
        self.loss_check.check(meter.last_loss, meter.steps - 1)
        self._show_progress()
        if distributed.world_size() > 1:
            return
        if self.signals.received or self.checkpointer.is_due(self.state):
            self.loss_check.finish()
            self.state.seconds = time.perf_counter() - self.epoch_start
            self.checkpointer.snapshot(self.state)
            self.checkpointer.save()
        self._obey_signal()

    def end_epoch(self, is_best: bool) -> None:
        """Keep the epoch that the history has just got, and its weights if it is the best so far."""
        self.state.epoch_seconds.append(time.perf_counter() - self.epoch_start)
        self.epoch_start, self.state.seconds, self.state.meter = time.perf_counter(), 0.0, EpochMeter()
        self._show_progress()
        self.loss_check.finish()
        if distributed.is_main():
            self.run.save_history(self.state.history)
            self.checkpointer.snapshot(self.state, is_best)
            if self.signals.received or self.checkpointer.is_due(self.state):
                self.checkpointer.save()
        self._obey_signal()

    def _obey_signal(self) -> None:
        if self.signals.received:
            message = f"{self.signals.received.name}: saved at {self.state}; the same run continues from there"
            self.bar.close()
            if self.signals.received == signal.SIGTERM:  # which ends the process, so that nobody prints the exception
                self.log(message)
            raise Interrupted(message)

    def _raise_diverged(self, loss: float, step: int) -> NoReturn:
        """Name the photos of the step's batch in the error."""
        epoch, labels, names = len(self.state.history), self.loaders.train.labels, self.loaders.train_names
        order = epoch_order(len(labels), self.run.recipe.seed, epoch).tolist()
        rows = order[step * self.loaders.train.batch_size :][: self.loaders.train.batch_size]
        photos = ", ".join(names[row] for row in rows[:4]) if names else ""
        more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
        raise DivergedError(
            f"the training loss is not finite: lower lr, or look at these photos. It was {loss} in epoch {epoch}, "
            f"step {step}{f', photos {photos}{more}' if photos else ''}. The last good epoch is saved"
        )


class FiniteLossCheck:
    """Checks each step's loss; on a GPU one step later, so that the GPU never waits."""

    def __init__(self, raise_diverged: Callable[[float, int], NoReturn]) -> None:
        self.raise_diverged = raise_diverged
        self.pending: tuple[torch.Tensor, torch.cuda.Event, int] | None = None

    def check(self, loss: torch.Tensor, step: int) -> None:
        """Check this loss: now, or on a GPU with the next one."""
        self.finish()
        if loss.device.type != "cuda":
            self._check_now(loss, step)
            return
        # Only a copy into pinned memory lets the GPU go on; the event says when it is there.
        copy = torch.empty((), dtype=loss.dtype, pin_memory=True).copy_(loss, non_blocking=True)
        self.pending = (copy, torch.cuda.current_stream().record_event(), step)

    def finish(self) -> None:
        """Check the pending loss."""
        if self.pending is not None:
            (loss, event, step), self.pending = self.pending, None
            event.synchronize()
            self._check_now(loss, step)

    def _check_now(self, loss: torch.Tensor, step: int) -> None:
        if not math.isfinite(value := loss.item()):
            self.raise_diverged(value, step)


class SignalGuard:
    """Notes SIGINT and SIGTERM inside the context, so that the training can be saved first.

    On leaving, the signal is raised again: SIGINT as ``KeyboardInterrupt``, SIGTERM ends the process. A second signal
    interrupts at once. Several processes do not wait: each would wait for the others in the middle of a step.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread handle signals; elsewhere they are left alone.
        if threading.current_thread() is threading.main_thread() and distributed.world_size() == 1:
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before is not None and before is not signal.SIG_IGN:  # what nohup ignores stays ignored
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.received is not None and (kind is None or self.received == signal.SIGTERM):
            signal.raise_signal(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
