"""What happens between two training steps: the loss is looked at, the state is kept, signals are obeyed."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import torch

from helpers.common import distributed
from helpers.common.errors import DivergedError
from helpers.data.loading.loaders import Loaders, epoch_order
from helpers.runs.run import Run
from helpers.training.checkpointing import Checkpointer, EpochMeter, TrainingState


class StepMonitor:
    """Called after each step, and at the end of each epoch, of a run at ``position``."""

    def __init__(
        self,
        run: Run,
        feeds: Loaders,
        keeper: Checkpointer,
        interruption: SignalGuard,
        position: TrainingState,
        log: Callable[[str], None],
        began: float,
    ) -> None:
        """``began``: when the training did, by ``time.perf_counter()``; computing features belongs to it."""
        self.run, self.feeds, self.keeper, self.interruption = run, feeds, keeper, interruption
        self.position, self.log = position, log
        self.loss = FiniteLossCheck(self._refuse)
        self.began = began - position.seconds
        run.epoch_seconds = position.epoch_seconds

    def __call__(self) -> None:
        sums = self.position.sums
        if self.keeper.average:
            self.keeper.average.update()
        self.loss.see(sums.last_loss, sums.steps - 1)
        if distributed.world_size() > 1:
            return  # sums and interruptions of several processes come together at the end of the epoch
        if self.interruption.asked or self.keeper.due(self.position):
            self.loss.settle()
            self.position.seconds = time.perf_counter() - self.began
            self.keeper.take(self.position)
            self.keeper.write()
        self._obey()

    def end_of_epoch(self) -> None:
        """Keep the epoch that the history has just got."""
        self.position.epoch_seconds.append(time.perf_counter() - self.began)
        self.began, self.position.seconds, self.position.sums = time.perf_counter(), 0.0, EpochMeter()
        self.loss.settle()
        if distributed.is_main():
            self.run.save_history(self.position.history)
            self.keeper.take(self.position)
            if self.interruption.asked or self.keeper.due(self.position):
                self.keeper.write()
        self._obey()

    def _obey(self) -> None:
        if self.interruption.asked:
            self.log(f"interrupted, saved after {self.position}: the same run continues from here")
            self.interruption.obey()

    def _refuse(self, loss: float, step: int) -> None:
        epoch, n = len(self.position.history), len(self.feeds.train.labels)
        order = epoch_order(n, self.run.recipe.seed, epoch).tolist()
        rows = order[step * self.run.recipe.batch_size :][: self.run.recipe.batch_size]
        names = [self.feeds.train_names[row] for row in rows] if self.feeds.train_names else []
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        raise DivergedError(
            f"the training loss is no longer a number: lower lr, or look at these photos. "
            f"It was {loss} in epoch {epoch}, step {step}{', photos ' + shown if shown else ''}. "
            "The last good epoch is saved"
        )


class FiniteLossCheck:
    """Looks at the loss of each step; on a GPU one step later, so that it always has work queued."""

    def __init__(self, refuse: Callable[[float, int], None]) -> None:
        self.refuse = refuse
        self.waiting: tuple[torch.Tensor, torch.cuda.Event, int] | None = None

    def see(self, loss: torch.Tensor, step: int) -> None:
        """Look at this loss, now or with the next."""
        if loss.device.type != "cuda":
            self._judge(loss, step)
            return
        self.settle()
        # Only a copy into pinned memory lets the GPU go on; the event says when it is there.
        copy = torch.empty((), dtype=loss.dtype, pin_memory=True).copy_(loss, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self.waiting = (copy, event, step)

    def settle(self) -> None:
        """Look at the loss that waits."""
        if self.waiting is not None:
            (loss, event, step), self.waiting = self.waiting, None
            event.synchronize()
            self._judge(loss, step)

    def _judge(self, loss: torch.Tensor, step: int) -> None:
        if not math.isfinite(value := loss.item()):
            self.refuse(value, step)


class SignalGuard:
    """While inside, SIGINT and SIGTERM are noted, so that what was learned can be saved first.

    On leaving, the signal is given on: SIGINT raises ``KeyboardInterrupt``, SIGTERM ends the process. A second
    SIGINT interrupts at once. Of several processes each obeys at once, since the others would wait for it.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> SignalGuard:
        # Python allows the main thread alone to handle signals; elsewhere they are not ours to handle.
        if threading.current_thread() is threading.main_thread() and distributed.world_size() == 1:
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before is not None and before is not signal.SIG_IGN:  # what nohup ignores, we ignore
                    self._before[number] = signal.signal(number, self._note)
        return self

    def obey(self) -> None:
        """Raise ``KeyboardInterrupt`` if a signal came."""
        if self.asked is not None:
            raise KeyboardInterrupt(f"{self.asked.name}: saved; the same run continues from here")

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.asked is not None and (kind is None or self.asked == signal.SIGTERM):
            signal.raise_signal(self.asked)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number)
