"""The measurements (a) to (f): what is compared, how often, and the numbers it gives."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.data.audit import Audit
from helpers.data.split import Split

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BASELINE_EPOCHS = 25


@dataclass
class Plan:
    """Numbers of photos and repetitions."""

    photos: int = 192
    repetitions: int = 3
    size_photos: int = 64
    size_repetitions: int = 3
    stream_photos: int = 1280


QUICK = Plan(photos=64, repetitions=2, size_photos=48, size_repetitions=1, stream_photos=320)


@dataclass
class Benchmark:
    """The photos and the network that everything is measured on, and the results so far."""

    audit: Audit
    split: Split
    backbone: str
    weights: str  # file, or "none"
    plan: Plan
    scratch: Path  # folder for links to the photos
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What every measurement of a network is told."""
        return {"backbone": self.backbone, "weights": self.weights}

    def record(self, name: str, values: list[float]) -> None:
        """Store the median of the repetitions, the smallest and the largest."""
        self.results[name] = statistics.median(values)
        self.results[f"{name}_min"], self.results[f"{name}_max"] = min(values), max(values)
        print(f"  {name} {self.results[name]:.3g} ({min(values):.3g} to {max(values):.3g})", flush=True)


def throughput(bench: Benchmark) -> None:
    """(a) Literal baseline against ``published``, alternating."""
    folder = link_photos(bench, "throughput", bench.plan.photos)
    throughputs, cpu, ours_all, theirs_all = [], [], [], []
    for _ in range(bench.plan.repetitions):
        theirs = run_baseline(bench, folder, epochs=2)[-1]
        ours = measure("published", folder=folder, epochs=2, **bench.settings)
        theirs_all.append(theirs)
        ours_all.append(ours)
        throughputs.append(theirs["train_seconds"] / theirs["photos"] / ours["seconds"])
        cpu.append(theirs["train_cpu_seconds"] / theirs["photos"] / ours["cpu_seconds"])
    bench.record("published_throughput_ratio", throughputs)
    bench.record("published_cpu_seconds_ratio", cpu)
    bench.record("published_photos_per_second", [1 / each["seconds"] for each in ours_all])
    bench.record("baseline_photos_per_second", [each["photos"] / each["train_seconds"] for each in theirs_all])
    bench.record("published_system_ms", [1e3 * each["system_seconds"] for each in ours_all])
    bench.record("baseline_system_ms", [1e3 * row["train_system_seconds"] / row["photos"] for row in theirs_all])
    bench.record("peak_memory_mb", [each["peak_megabytes"] for each in ours_all])
    bench.record("baseline_25_epochs_seconds", [whole_run_seconds(bench, each) for each in theirs_all])


def whole_run_seconds(bench: Benchmark, row: dict[str, Any]) -> float:
    """Extrapolate the baseline's time for all epochs on all photos from one measured epoch on some of them."""
    train = row["train_seconds"] / row["photos"] * len(bench.split.train)
    val = row["val_seconds"] / row["val_photos"] * len(bench.split.val)
    return BASELINE_EPOCHS * (train + val)


def ceiling(bench: Benchmark) -> None:
    """(b) Training on photos against training on one batch in memory."""
    folder = link_photos(bench, "ceiling", bench.plan.photos)
    found = measure("ceiling", folder=folder, repetitions=bench.plan.repetitions + 1, **bench.settings)
    bench.record("ceiling_ratio", found["ratios"])


def depthwise(bench: Benchmark) -> None:
    """(b'') Strided depthwise convolutions: PyTorch's against ours."""
    folder = link_photos(bench, "depthwise", bench.plan.photos)
    found = measure("depthwise", folder=folder, repetitions=2 * bench.plan.repetitions + 1, **bench.settings)
    bench.record("depthwise_ratio", found["ratios"])


def augmentation(bench: Benchmark) -> None:
    """(b') The published recipe's augmentation alone, on one core."""
    folder = link_photos(bench, "augment", bench.plan.photos)
    found = measure("augment", folder=folder, repetitions=2 * bench.plan.repetitions + 1)
    bench.record("augment_ratio", [a / b for a, b in zip(found["literal"], found["ours"], strict=True)])
    bench.record("augment_literal_ms", [1e3 * seconds for seconds in found["literal"]])
    bench.record("augment_ours_ms", [1e3 * seconds for seconds in found["ours"]])


def fast(bench: Benchmark) -> None:
    """(c) ``fast`` on all photos, against the baseline's 25 epochs."""
    folder = link_photos(bench, "all", len(bench.split.train))
    runs = [measure("fast", folder=folder, **bench.settings) for _ in range(bench.plan.repetitions)]
    bench.record("fast_seconds", [run["seconds"] for run in runs])
    bench.record("fast_decode_and_build_seconds", [run["decode_and_build_seconds"] for run in runs])
    bench.record("fast_peak_memory_mb", [run["peak_megabytes"] for run in runs])
    bench.results["val_photos"] = runs[0]["val_photos"]
    seconds = bench.results["baseline_25_epochs_seconds"]
    bench.record("fast_time_ratio", [seconds / run["seconds"] for run in runs])


def saving(bench: Benchmark) -> None:
    """(c') Cost of checkpoints, in three epochs of ``published``."""
    folder = link_photos(bench, "saving", 2 * bench.plan.photos)
    found = [measure("saving", folder=folder, epochs=3, **bench.settings) for _ in range(bench.plan.size_repetitions)]
    bench.record("checkpoint_share", [each["saving_seconds"] / each["seconds"] for each in found])


def sizes(bench: Benchmark) -> None:
    """(d) Cost against size: the same photos 1, 2, 4 and 8 times."""
    times = (1, 2, 4, 8)
    folders = {k: link_photos(bench, f"size-{k}", bench.plan.size_photos, copies=k) for k in times}
    rows: dict[int, list[dict[str, Any]]] = {k: [] for k in times}
    for _ in range(bench.plan.size_repetitions):
        for k in times:
            rows[k].append(measure("size", folder=folders[k], **bench.settings))
    bench.record("cost_ratio_8x", [b["seconds"] / a["seconds"] for a, b in zip(rows[1], rows[8], strict=True)])
    bench.results["sizes"] = [
        {
            "times": k,
            "photos": rows[k][0]["photos"],
            "seconds_per_photo": statistics.median(row["seconds"] for row in rows[k]),
            "peak_memory_mb": statistics.median(row["peak_megabytes"] for row in rows[k]),
        }
        for k in times
    ]


def streaming(bench: Benchmark) -> None:
    """(d') Memory of loading more and more photos: without a limit, and with one that the fewest photos just fit."""
    most = min(bench.plan.stream_photos, len(bench.split.train))
    folders = {k: link_photos(bench, f"stream-{k}", k) for k in (most // 10, most // 4, most // 2, most)}
    limit = 0.0
    rows = []
    for k, folder in folders.items():
        resident = measure("stream", folder=folder, limit=1e3)
        limit = limit or resident["decoded_megabytes"]
        several = [measure("stream", folder=folder, limit=limit) for _ in range(bench.plan.repetitions)]
        limited = sorted(several, key=lambda each: each["peak_megabytes"])[len(several) // 2]
        rows.append({"photos": k, "decoded_megabytes": resident["decoded_megabytes"]})
        rows[-1] |= {"no_limit": {key: resident[key] for key in ("kind", "peak_megabytes")}}
        rows[-1] |= {"limit": {key: limited[key] for key in ("kind", "peak_megabytes")}}
        print(f"  {k} photos, {resident['decoded_megabytes']:.0f} MB decoded: ", end="")
        print(f"{resident['peak_megabytes']:.0f} MB above the start without a limit ({resident['kind']}), ", end="")
        print(f"{limited['peak_megabytes']:.0f} MB with {limit:.0f} MB ({limited['kind']})")
    bench.results["memory"] = {"limit_megabytes": limit, "rows": rows}


def startup(bench: Benchmark) -> None:
    """(e) From starting Python to the end of the first step."""
    folder = link_photos(bench, "startup", 32)
    found = [measure("startup", folder=folder, timed=True, **bench.settings) for _ in range(bench.plan.repetitions)]
    for part in ("torch_and_torchvision", "imports", "photos_and_model", "first_step"):
        bench.record(f"startup_{part}_seconds", [each[part] for each in found])
    bench.record("startup_seconds", [each["seconds"] for each in found])


def commands(bench: Benchmark) -> None:
    """(f) Whole commands with an empty cache: ``make run`` on the demo, which is drawn, and with ``fast``."""
    of_fast = {"backbone": bench.backbone, "weights": bench.weights, "dataset": str(bench.audit.photos.root)}
    for preset, settings in {"demo": {}, "fast": of_fast}.items():
        seconds = []
        for k in range(bench.plan.repetitions):
            parameters = {"preset": preset, "work_dir": str(bench.scratch / f"{preset}-{k}"), **settings}
            began = time.perf_counter()
            _output(["-m", "helpers", "run", *(word for pair in parameters.items() for word in ("-p", *pair))])
            seconds.append(time.perf_counter() - began)
        bench.record(f"{preset}_command_seconds", seconds)


PARTS = (throughput, ceiling, depthwise, augmentation, fast, saving, sizes, streaming, startup, commands)


def link_photos(bench: Benchmark, name: str, train_photos: int, copies: int = 1) -> str:
    """Make a folder ``train/<class>/``, ``val/<class>/`` of links to some of the photos, for both sides to read."""
    folder = bench.scratch / name
    chosen = {"train": evenly_spaced(bench.split.train, train_photos)}
    chosen["val"] = evenly_spaced(bench.split.val, max(len(bench.audit.photos.classes), len(chosen["train"]) // 4))
    if train_photos >= len(bench.split.train):
        chosen["val"] = list(bench.split.val)
    for part, rows in chosen.items():
        for i in rows:
            for copy in range(copies if part == "train" else 1):
                source = bench.audit.photos.path(i)
                target = folder / part / Path(bench.audit.photos.names[i]).parent.name / f"{copy}-{source.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    target.symlink_to(source)
    return str(folder)


def evenly_spaced(rows: tuple[int, ...], count: int) -> list[int]:
    """Return ``count`` of the rows, evenly spaced, so that every class is among them."""
    count = min(count, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def run_baseline(bench: Benchmark, folder: str, epochs: int) -> list[dict[str, Any]]:
    """Train the literal baseline in a fresh process and return a row per epoch."""
    command = ["-m", "benchmarks.contenders.baseline", folder]
    command += ["--backbone", bench.backbone, "--epochs", str(epochs)]
    command += ["--weights", bench.weights] if bench.weights != "none" else []
    return [json.loads(line) for line in _output(command).splitlines()]


def measure(name: str, timed: bool = False, **settings) -> dict[str, Any]:
    """Take one measurement (``benchmarks.measure``) in a fresh process."""
    if timed:
        settings["began"] = time.time()
    return json.loads(_output(["-m", "benchmarks.measure", name, json.dumps(settings)]).strip().splitlines()[-1])


def _output(command: list) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout
