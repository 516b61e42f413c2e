"""Memory of a process and of its children."""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path

import psutil


def peak_megabytes() -> float:
    """Return the largest resident size of this process so far, in 10⁶ bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def family_megabytes() -> float:
    """Return the memory of this process and its children, in 10⁶ bytes; shared pages count once."""
    process = psutil.Process()
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            full = each.memory_full_info()
            total += getattr(full, "pss", full.rss)
        except psutil.Error:  # it has just ended
            pass
    return total / 1e6


class MemorySampler:
    """Context manager that samples ``family_megabytes`` every 50 ms; ``peak`` is the largest sample."""

    def __enter__(self) -> MemorySampler:
        self.peak = family_megabytes()
        self.children, self.since = set(), 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._sample)
        self.thread.start()
        return self

    def __exit__(self, *error) -> None:
        self.done.set()
        self.thread.join()

    def _sample(self) -> None:
        while not self.done.wait(0.05):
            megabytes = family_megabytes()
            children = {child.pid for child in psutil.Process().children(recursive=True)}
            if children != self.children:
                # During a fork, pages are counted once for the parent (before) and once for the child (after).
                self.children, self.since = children, time.perf_counter()
            if time.perf_counter() - self.since > 0.5:
                self.peak = max(self.peak, megabytes)
