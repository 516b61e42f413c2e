"""Ctrl-C, a kernel's interrupt button and SIGTERM: noted at once, obeyed between two training steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from helpers import processes


class Interruption:
    """While inside, SIGINT and SIGTERM are noted, so that what was learned can be saved first.

    On leaving, the signal is given on: SIGINT raises ``KeyboardInterrupt``, SIGTERM ends the process. A second
    SIGINT interrupts at once. Of several processes each obeys at once, since the others would wait for it.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interruption:
        # Python allows the main thread alone to handle signals; elsewhere they are not ours to handle.
        if threading.current_thread() is threading.main_thread() and processes.count() == 1:
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
