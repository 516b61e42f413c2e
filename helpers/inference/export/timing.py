"""Measure the speed of exported models on one CPU core, with ``torch.utils.benchmark``."""

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch.utils.benchmark import Timer

from helpers.common import device
from helpers.inference.export.formats import InferenceFn

BATCHES = (1, 32)
ROUNDS = 5
SLICE = 0.25  # seconds per engine and round; at least one batch


def measure(
    engines: dict[str, InferenceFn], images: torch.Tensor, batches: Sequence[int] = BATCHES, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Measure photos per second of each engine on one core, and the ratio to the first engine.

    The engines take turns, and each ratio compares two measurements of the same round. The clock is this process's
    CPU time, so that other work on the machine counts less. Decoding and preprocessing are not included.

    Args:
        images: float32 ``(n, 3, S, S)``; repeated to fill larger batches.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    device.keep_freed_memory()  # as in training; without it PyTorch pays for page faults in every batch
    rows = [row for size in batches for row in _rows(engines, images, size, rounds)]
    packages = [name for name in ("torch", "onnxruntime") if find_spec(name)]
    return {
        "machine": device.describe(torch.device("cpu")),
        "threads_used": 1,
        "clock": "CPU seconds of the process, which equal seconds on an idle machine",
        "load_before": load,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "image_size": images.shape[-1],
        "rounds": rounds,
        "rows": rows,
    }


def timing_table(timing: dict[str, Any]) -> str:
    """Format the rows as aligned text: medians, with the smallest and the largest of the rounds."""
    lines = [f"{'batch':>5}  {'on one core':<16}  {'photos/s':>8} {'(range)':<16} {'ratio':>6} (range)"]
    for row in timing["rows"]:
        speed, ratio = row["photos_per_second"], row["ratio"]
        lines.append(
            f"{row['batch']:>5}  {row['engine']:<16}  {speed['median']:>8.1f} "
            f"{'({low:.1f} to {high:.1f})'.format(**speed):<16} {ratio['median']:>6.2f} "
            f"({ratio['low']:.2f} to {ratio['high']:.2f})"
        )
    return "\n".join(lines)


def _rows(engines: dict[str, InferenceFn], images: torch.Tensor, size: int, rounds: int) -> list[dict[str, Any]]:
    batch = images.repeat(-(-size // len(images)), 1, 1, 1)[:size].contiguous()
    timers = [
        Timer("model(batch)", globals={"model": model, "batch": batch}, timer=time.process_time, num_threads=1)
        for model in engines.values()
    ]
    seconds = [[timer.blocked_autorange(min_run_time=SLICE).mean for timer in timers] for _ in range(rounds)]
    speeds = len(batch) / np.array(seconds)  # (rounds, engines)
    ratios = speeds / speeds[:, :1]

    def spread(values: np.ndarray) -> dict[str, float]:
        return {"median": float(np.median(values)), "low": float(values.min()), "high": float(values.max())}

    facts = zip(engines, speeds.T, ratios.T, strict=True)
    return [{"batch": len(batch), "engine": e, "photos_per_second": spread(s), "ratio": spread(r)} for e, s, r in facts]
