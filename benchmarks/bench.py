"""The benchmark: `make bench`, or `python -m benchmarks.bench --data FOLDER`. benchmarks/README.md explains it."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.parts import BASELINE_EPOCHS, PARTS, QUICK, RESULTS, ROOT, Benchmark, Plan
from benchmarks.plot import draw
from helpers.common.errors import UserError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources.locate import locate_photos
from helpers.data.split import split_photos

# On two cores with the real photos, MobileNetV2 at 224 px: at least, or at most.
GOALS = {
    "published_throughput_ratio": ("≥", 3.0),
    "fast_time_ratio": ("≥", 200.0),
    "ceiling_ratio": ("≥", 0.9),
    "augment_ratio": ("≥", 4.0),
    "cost_ratio_8x": ("≤", 1.1),
    "checkpoint_share": ("≤", 0.02),
    "demo_command_seconds": ("≤", 60),
    "fast_command_seconds": ("≤", 25),
}
PART_NAMES = [part.__name__ for part in PARTS]
MEANINGS = {
    "published_throughput_ratio": "training photos per second, published / literal baseline",
    "published_cpu_seconds_ratio": "user + sys seconds per training photo, literal baseline / published",
    "ceiling_ratio": "training throughput, photos / one batch in memory",
    "depthwise_ratio": "CPU seconds of a training step, PyTorch's strided depthwise convolutions / ours",
    "augment_ratio": "published augmentation on one core, ms per photo, torchvision on PIL / ours",
    "fast_time_ratio": f"literal baseline's {BASELINE_EPOCHS} epochs / fast, decoding included",
    "cost_ratio_8x": "seconds per photo, 8 times the photos / the photos once",
    "checkpoint_share": "share of the training time spent on checkpoints, at the default interval",
    "startup_seconds": "from starting Python to the end of the first training step",
    "peak_memory_mb": "peak resident memory of published in training",
    "demo_command_seconds": "make run: from the command to the report, the photos drawn anew",
    "fast_command_seconds": "the same with fast on the photos, nothing cached",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the parts, write the results and their figure, and print the table."""
    options = _parser().parse_args(arguments)
    start, output = time.perf_counter(), Path(options.output)
    if options.only and not (output / "bench.json").is_file():
        print(f"--only {options.only[0]}: {output} has no bench.json to change, run all parts first", file=sys.stderr)
        return 1
    try:
        bench = prepare(options)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if options.only:
        bench.results |= json.loads((output / "bench.json").read_text(encoding="utf-8"))
    try:
        for part in (part for part in PARTS if part.__name__ in (options.only or PART_NAMES)):
            print(f"{part.__doc__.splitlines()[0]}", flush=True)
            part(bench)
    finally:
        shutil.rmtree(bench.scratch, ignore_errors=True)
    facts = describe_run(bench, options, time.perf_counter() - start)
    bench.results |= {f"only_{name}": facts for name in options.only} if options.only else facts
    output.mkdir(parents=True, exist_ok=True)
    (output / "bench.json").write_text(json.dumps(bench.results, indent=1) + "\n", encoding="utf-8")
    draw(bench.results, output / "bench.png")
    print(f"\n{result_table(bench.results)}\n\n{output / 'bench.json'}, bench.png; {time.perf_counter() - start:.0f} s")
    return 0


def prepare(options: argparse.Namespace) -> Benchmark:
    """Find, audit and split the photos, once for all measurements.

    Raises:
        UserError: the photos cannot be used.
    """
    data = options.data or "demo"
    photos = data if data == "demo" else str(Path(data).resolve())
    folder = locate_photos(photos, ROOT / "work_dir" / "photos", root=ROOT, demo_photos=160)
    audit = audit_photos(find_photos(folder))
    scratch = ROOT / "work_dir" / f"bench.{os.getpid()}"
    scratch.mkdir(parents=True)
    weights = options.weights or weights_beside(folder, options.backbone)
    plan = QUICK if options.quick else Plan()
    print(f"{len(audit.photos)} photos, {options.backbone}, weights {weights}{', QUICK' if options.quick else ''}")
    return Benchmark(audit, split_photos(audit, 0.8, 0), options.backbone, weights, plan, scratch)


def weights_beside(folder: Path, backbone: str) -> str:
    """Return the path of ``weights/<backbone>*`` beside the photos, or ``none``: random weights are as fast."""
    found = sorted((folder.parent / "weights").glob(f"{backbone}*"))
    return str(found[0]) if found else "none"


def describe_run(bench: Benchmark, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Describe the photos, the machine and the versions that the numbers belong to."""
    import torch
    import torchvision

    from helpers.common.device import describe
    from helpers.runs.environment import git_commit

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "date": datetime.date.today().isoformat(),
        "quick": bool(options.quick),
        "seconds": round(seconds),
        "dataset": "demo" if not options.data or options.data == "demo" else Path(options.data).name,
        "photos": len(bench.audit.photos),
        "train_photos": len(bench.split.train),
        "backbone": bench.backbone,
        "weights": Path(bench.weights).name,
        "device": describe(device),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "commit": git_commit(ROOT),
    }


def result_table(results: dict[str, Any]) -> str:
    """Format the results beside the goals."""
    rows = [f"{'':<28} {'median':>9} {'min':>9} {'max':>9}  {'goal':<8} what"]
    for name, meaning in MEANINGS.items():
        low, high = (f"{results[f'{name}_{end}']:.4g}" if f"{name}_{end}" in results else "" for end in ("min", "max"))
        goal = goal_reached(name, results[name])
        rows.append(f"{name:<28} {results[name]:>9.4g} {low:>9} {high:>9}  {goal:<8} {meaning}")
    return "\n".join(rows)


def goal_reached(name: str, value: float) -> str:
    """Return ``≥ 3 ✓`` if the goal is reached, ``≥ 3 ✗`` if not, and nothing where there is no goal."""
    if name not in GOALS:
        return ""
    sign, goal = GOALS[name]
    reached = value >= goal if sign == "≥" else value <= goal
    return f"{sign} {goal:g} {'✓' if reached else '✗'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of photos; default: the demo")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="", help="file; default: weights/<backbone>* beside the photos, if there")
    parser.add_argument("--quick", action="store_true", help="fewer photos and repetitions")
    parser.add_argument("--only", nargs="*", choices=PART_NAMES, help="these parts alone; the stored others are kept")
    parser.add_argument("--output", default=str(RESULTS), help="folder for bench.json and bench.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
