"""How many photos a second one core classifies: PyTorch, the exported graph and ONNX Runtime in turn."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch

from helpers.common import device
from helpers.inference.export.formats import InferenceFn

BATCHES = (1, 32)


ROUNDS = 7


SLICE = 0.25  # seconds that an engine is given at a time, or one batch


def measure(
    engines: dict[str, InferenceFn], images: torch.Tensor, batches: Sequence[int] = BATCHES, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Photos per second of each engine on one core, and its ratio to the first one, round by round.

    A second is one of the core's time that this process got (all its threads together), so that a busy machine counts
    less; on an idle one it is a second. The engines take turns. The photos are prepared before.

    Args:
        images: float32 ``(n, 3, S, S)``; repeated where a batch is larger.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    device.keep_freed_memory()  # as the project's runs do; without it PyTorch pays page faults at every batch
    with _one_core():
        rows = [row for batch in batches for row in _rows(engines, _repeated(images, batch), rounds)]
        described = device.describe(torch.device("cpu"))
    return {
        "machine": described,
        "clock": "CPU seconds of the process, which on an idle machine are seconds",
        "load_before": load,
        "versions": {"python": platform.python_version()} | _installed("torch", "onnxruntime"),
        "image_size": images.shape[-1],
        "rounds": rounds,
        "rows": rows,
    }


def as_text(timing: dict[str, Any]) -> str:
    """The rows as aligned text: medians, with the smallest and the largest of the rounds."""
    lines = [f"{'batch':>5}  {'on one core':<16}  {'photos/s':>8} {'(range)':<16} {'ratio':>6} (range)"]
    for row in timing["rows"]:
        speed, ratio = row["photos_per_second"], row["ratio"]
        lines.append(
            f"{row['batch']:>5}  {row['engine']:<16}  {speed['median']:>8.1f} "
            f"{'({low:.1f} to {high:.1f})'.format(**speed):<16} {ratio['median']:>6.2f} "
            f"({ratio['low']:.2f} to {ratio['high']:.2f})"
        )
    return "\n".join(lines)


def _installed(*names: str) -> dict[str, str]:
    """Versions of those packages that are there: ONNX Runtime is an extra, and may not be among the engines."""
    return {name: version(name) for name in names if find_spec(name)}


def _rows(engines: dict[str, InferenceFn], batch: torch.Tensor, rounds: int) -> list[dict[str, Any]]:
    for answer in engines.values():
        answer(batch)  # warms it up
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, answer in engines.items():
            speeds[name].append(_speed(answer, batch))
    first = next(iter(speeds.values()))
    return [
        {
            "batch": len(batch),
            "engine": name,
            "photos_per_second": _spread(found),
            "ratio": _spread([mine / its for mine, its in zip(found, first, strict=True)]),
        }
        for name, found in speeds.items()
    ]


def _speed(answer: InferenceFn, batch: torch.Tensor) -> float:
    """Photos per second of as many calls as fill a slice. On Windows the clock ticks but 64 times a second."""
    began, calls, passed = time.process_time(), 0, 0.0
    while passed == 0 or passed < SLICE:
        answer(batch)
        calls += 1
        passed = time.process_time() - began
    return calls * len(batch) / passed


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def _repeated(images: torch.Tensor, count: int) -> torch.Tensor:
    return images.repeat(-(-count // len(images)), 1, 1, 1)[:count].contiguous()


@contextmanager
def _one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
