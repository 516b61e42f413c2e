"""The GPU benchmark: `make bench-gpu DATA=photos`, under 8 minutes on one CUDA device; writes results/gpu.json.

The published recipe on as many photos as the course has (the given ones, repeated), ``fast`` and ``best``; the parts of
a run timed apart; what faster ways of running the same steps would give; two runs compared bit for bit; a run moved
from the CPU to the GPU and back. ``--device cpu --photos 40 --epochs 2`` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.parts import RESULTS, ROOT
from helpers.common.device import describe
from helpers.common.errors import UserError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.sources.locate import locate_photos
from helpers.data.split import Split, split_photos
from helpers.evaluation.predictions import predict
from helpers.models.weights import weights_digest
from helpers.recipe import PRESETS, Recipe
from helpers.runs.environment import git_commit
from helpers.runs.run import Run, open_run
from helpers.training import assemble, fit, make_loss, train_one_epoch
from helpers.training.loop import FitResult
from helpers.training.setup import Extras, Training

COURSE_PHOTOS = 2848
GOALS = {"published_25_epochs_seconds": 6.0, "whole_run_seconds": 60.0}  # on one GPU: at most


class Bench:
    """Photos, device and settings that all measurements share; the results so far."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch, self.results = options, scratch, {}
        self.device = torch.device(options.device)
        folder = locate_photos(options.data, ROOT / "work_dir" / "photos", root=ROOT, demo_photos=20)
        self.folder, self.audit = folder, audit_photos(find_photos(folder))
        self.split = repeated(split_photos(self.audit, 0.8, 0), options.photos)

    def recipe(self, preset: str, **changes: Any) -> Recipe:
        """Return a preset with the benchmark's network, weights and device."""
        settings = {"backbone": self.options.backbone, "weights": self.options.weights, "device": self.options.device}
        if self.options.image_size:
            settings["image_size"] = self.options.image_size
        return Recipe.from_preset(preset, **settings, work_dir=str(self.scratch), **changes)

    def record(self, **numbers: Any) -> None:
        """Store numbers, and print them."""
        self.results |= numbers
        print("  " + ", ".join(f"{name} {_shown(value)}" for name, value in numbers.items()), flush=True)

    def seconds(self, action: Callable[[], Any]) -> tuple[float, Any]:
        """Return the seconds until an action's work on the device is done, and its result."""
        start = time.perf_counter()
        result = action()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start, result


def repeated(split: Split, photos: int) -> Split:
    """Return a split of so many photos, four fifths of them for training, by taking each again until they suffice."""
    sides = {"train": int(0.8 * photos), "val": photos - int(0.8 * photos)}
    rows = {name: getattr(split, name) for name in sides}
    return Split(**{name: tuple(rows[name][i % len(rows[name])] for i in range(n)) for name, n in sides.items()})


def imports(bench: Bench) -> None:
    """Start Python and import what a training needs."""
    command = [sys.executable, "-c", "import helpers.training"]
    bench.record(import_seconds=bench.seconds(lambda: subprocess.run(command, cwd=ROOT, check=True))[0])


def published(bench: Bench) -> None:
    """Train the published recipe; decoding, epochs and evaluation timed apart."""
    recipe = bench.recipe("published", epochs=bench.options.epochs)
    _reset_peak(bench)
    run = open_run(recipe, ROOT, bench.scratch / "published")
    decode, loaders = bench.seconds(lambda: make_loaders(bench.audit, bench.split, recipe, run.device))
    training = Training(*assemble(run, bench.audit, bench.split))
    whole, result = bench.seconds(lambda: fit(*training, run, lambda _: None))
    first, *rest = result.epoch_seconds
    evaluation, _ = bench.seconds(lambda: predict(training.model, loaders.val, run.precision))
    bench.record(
        train_photos=len(bench.split.train),
        decode_seconds=decode,
        first_epoch_seconds=first,
        epoch_seconds=sum(rest) / max(1, len(rest)),
        evaluation_seconds=evaluation,
        published_25_epochs_seconds=whole * 25 / recipe.epochs,
        published_epochs_run=recipe.epochs,
        published_last_val_accuracy=result.history[-1].val_accuracy,
        peak_memory_mb=_peak(bench),
    )


def presets(bench: Bench) -> None:
    """Train ``fast`` and ``best`` as they are, set-up included."""
    for name in ("fast", "best"):
        epochs = min(bench.options.epochs, PRESETS[name]["epochs"])
        run = open_run(bench.recipe(name, epochs=epochs), ROOT, bench.scratch / name)
        seconds, result = bench.seconds(lambda run=run: _train(bench, run))
        bench.record(**{f"{name}_seconds": seconds, f"{name}_last_five_mean": result.history.last_five_mean})


def ceiling(bench: Bench) -> None:
    """Compare training on photos with training on one batch that stays on the device; then other ways to step."""
    run = open_run(bench.recipe("published"), ROOT, bench.scratch / "ceiling")
    training = assemble(run, bench.audit, bench.split)
    batch = next(training.loaders.train.epoch(0))
    steps = len(training.loaders.train)

    def epoch(batches, model=training.model) -> float:
        extras = Extras(run.precision)
        return bench.seconds(lambda: train_one_epoch(model, batches, make_loss(), training.optimizer, extras))[0]

    epoch([batch] * steps)  # warm-up: the first steps choose algorithms
    pairs = [(epoch([batch] * steps), epoch(training.loaders.train.epoch(i))) for i in range(3)]
    same, fed = (sorted(side)[1] for side in zip(*pairs, strict=True))
    bench.record(ceiling_ratio=same / fed, steps_per_second=steps / same)
    for name, mode in (("compiled", "default"), ("cuda_graphs", "reduce-overhead")):
        bench.record(
            **{f"{name}_speedup": _speedup(bench, mode, training.model, same, lambda m: epoch([batch] * steps, m))}
        )


def _speedup(bench: Bench, mode: str, model: torch.nn.Module, plain: float, epoch: Callable) -> float | str:
    """Time ``torch.compile`` in a mode, after its warm-up; the reason where it cannot be used."""
    if bench.device.type != "cuda":
        return "not tried: needs a GPU"
    try:
        compiled = torch.compile(model, mode=mode)
        epoch(compiled)
        return plain / epoch(compiled)
    except Exception as error:  # the compiler raises whatever its backends do; the benchmark goes on
        return f"failed: {type(error).__name__}"


def same_bits(bench: Bench) -> None:
    """Train twice, and move a run from the CPU to the device and back."""
    recipe = bench.recipe("published", epochs=3)
    few = Split(bench.split.train[: 4 * recipe.batch_size], bench.split.val[:32])
    twins = []
    for name in ("twin-a", "twin-b"):
        run = open_run(recipe, ROOT, bench.scratch / name)
        twins.append(_train(bench, run, few).last_model.state_dict())
    equal = all(torch.equal(twins[0][name], twins[1][name]) for name in twins[0])
    bench.record(two_runs_bit_identical=equal)
    folder, epochs = bench.scratch / "moved", []
    for device, last in (("cpu", 1), (bench.options.device, 2), ("cpu", 3)):
        run = open_run(recipe, ROOT, folder, device=device)
        epochs.append(len(_train_until(bench, run, few, last)))
    bench.record(moved_between_devices_epochs=epochs)


def whole_run(bench: Bench) -> None:
    """Execute the notebook headless, from the command to the report."""
    command = [sys.executable, "-m", "helpers", "run", "--data", str(bench.folder.resolve())]
    settings = {**vars(bench.recipe("published", epochs=bench.options.epochs, run="whole"))}
    for name in ("preset", "backbone", "weights", "device", "epochs", "image_size", "work_dir", "run"):
        command += ["-p", name, str(settings[name])]
    seconds, done = bench.seconds(lambda: subprocess.run(command, cwd=ROOT, capture_output=True, text=True))
    failed = f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
    bench.record(whole_run_seconds=seconds if done.returncode == 0 else failed)


PARTS = (imports, published, presets, ceiling, same_bits, whole_run)


def _train(bench: Bench, run: Run, split: Split | None = None) -> FitResult:
    return fit(*assemble(run, bench.audit, split or bench.split), run, lambda _: None)


def _train_until(bench: Bench, run: Run, split: Split, epochs: int) -> list:
    """Train until so many epochs are done, then interrupt: the checkpoint of the last one is left."""

    class EnoughError(Exception):
        """Raised after the last epoch wanted."""

    def stop(history) -> None:
        if len(history) == epochs < run.recipe.epochs:
            raise EnoughError

    history: list = []
    try:
        history = fit(*assemble(run, bench.audit, split), run, lambda _: None, show=stop).history
    except EnoughError:
        history = [None] * epochs
    return history


def _reset_peak(bench: Bench) -> None:
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak(bench: Bench) -> float | str:
    return torch.cuda.max_memory_allocated() / 1e6 if bench.device.type == "cuda" else "not measured: needs a GPU"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def result_table(results: dict[str, Any]) -> str:
    """Format the numbers as a Markdown table, with the goals."""
    rows = ["| key | value | goal |", "|---|---|---|"]
    for name, value in results.items():
        rows.append(f"| `{name}` | {_shown(value)} | {f'≤ {GOALS[name]:g}' if name in GOALS else ''} |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run all parts on the device, and write the results."""
    options = _parser().parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("There is no CUDA device here: --device cpu --photos 40 --epochs 2 tries the benchmark.", file=sys.stderr)
        return 1
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=_scratch_root()) as scratch:
        try:
            bench = Bench(options, Path(scratch))
            for part in PARTS:
                print(part.__doc__.splitlines()[0], flush=True)
                part(bench)
            facts = describe_run(bench, time.perf_counter() - start)
        except UserError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    results = facts | bench.results
    Path(options.output).parent.mkdir(parents=True, exist_ok=True)
    Path(options.output).write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{result_table(results)}\n\n{options.output}")
    return 0


def describe_run(bench: Bench, seconds: float) -> dict[str, Any]:
    """Describe the photos, the machine and the versions that the numbers belong to."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": "make bench-gpu",
        "device": describe(bench.device),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
        "backbone": bench.options.backbone,
        "weights_sha256": weights_digest(bench.options.backbone, bench.options.weights) or "none",
        "different_photos": len(bench.audit.photos),
        "commit": git_commit(ROOT),
        "benchmark_seconds": round(seconds, 1),
    }


def _scratch_root() -> Path:
    folder = ROOT / "work_dir"
    folder.mkdir(exist_ok=True)
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="demo", help="folder of photos; default: the demo")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="imagenet", help="imagenet, none, or a file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--photos", type=int, default=COURSE_PHOTOS, help="how many, by repetition")
    parser.add_argument("--epochs", type=int, default=25, help="most epochs of a training")
    parser.add_argument("--image-size", type=int, default=0, help="px; default: the recipes' own")
    parser.add_argument("--output", default=str(RESULTS / "gpu.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
