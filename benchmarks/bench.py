"""The benchmark: `make bench`, or `python -m benchmarks.bench --data FOLDER`. benchmarks/README.md explains it."""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.plot import draw
from helpers.common.errors import UserError
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources.locate import locate_photos
from helpers.data.split import Split, split_photos

ROOT = Path(__file__).resolve().parent.parent
BASELINE_EPOCHS = 25
# What is aimed at on two cores with the real photos, MobileNetV2 at 224 px: at least, or at most.
GOALS = {
    "seed_throughput_ratio": ("≥", 3.0),
    "fast_time_ratio": ("≥", 200.0),
    "ceiling_ratio": ("≥", 0.9),
    "augment_ratio": ("≥", 4.0),
    "cost_ratio_8x": ("≤", 1.1),
    "checkpoint_share": ("≤", 0.02),
}
MEANINGS = {
    "seed_throughput_ratio": "training photos per second, our seed preset / literal baseline",
    "seed_cpu_seconds_ratio": "user + sys seconds per training photo, literal baseline / our seed preset",
    "ceiling_ratio": "training throughput with real photos / with one resident batch",
    "depthwise_ratio": "CPU seconds of a training step, PyTorch's strided depthwise convolutions / ours",
    "augment_ratio": "seed augmentation on one core, ms per photo, torchvision on PIL / ours",
    "fast_time_ratio": f"literal baseline's {BASELINE_EPOCHS} epochs / fast preset, decoding included",
    "fast_accuracy": "fast preset, mean of the last five epochs",
    "baseline_accuracy": "literal baseline, mean of the last five epochs",
    "cost_ratio_8x": "seconds per photo with 8 times the photos / with the photos once",
    "checkpoint_share": "of the training time, for writing checkpoints at the default interval",
    "startup_seconds": "from starting Python to the end of the first training step",
    "peak_memory_mb": "largest resident memory of our seed preset in training",
}


@dataclass
class Plan:
    """How many photos and repetitions. QUICK trades precision for minutes."""

    photos: int = 192
    repetitions: int = 3
    size_photos: int = 64
    size_repetitions: int = 3
    stream_photos: int = 1280


QUICK = Plan(photos=64, repetitions=2, size_photos=48, size_repetitions=1, stream_photos=320)


@dataclass
class Bench:
    audit: Audit
    split: Split
    backbone: str
    weights: str
    plan: Plan
    scratch: Path
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        return {"backbone": self.backbone, "weights": self.weights}

    def record(self, name: str, values: list[float]) -> None:
        """The median of the repetitions, with the smallest and the largest beside it."""
        self.results[name] = statistics.median(values)
        self.results[f"{name}_min"], self.results[f"{name}_max"] = min(values), max(values)
        print(f"  {name} {self.results[name]:.3g} ({min(values):.3g} to {max(values):.3g})", flush=True)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    start = time.perf_counter()
    try:
        bench = prepare(options)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    try:
        for part in (throughput, ceiling, depthwise, augmentation, fast, saving, sizes, streaming, startup):
            print(f"{part.__doc__.splitlines()[0]}", flush=True)
            part(bench)
    finally:
        shutil.rmtree(bench.scratch, ignore_errors=True)
    bench.results |= circumstances(bench, options, time.perf_counter() - start)
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(bench.results, indent=1) + "\n", encoding="utf-8")
    draw(bench.results, output / "results.png")
    print(f"\n{table(bench.results)}\n\n{output / 'results.json'}, results.png; {time.perf_counter() - start:.0f} s")
    return 0


def prepare(options: argparse.Namespace) -> Bench:
    """The photos, checked and split once for all measurements."""
    data = options.data or "demo"
    photos = data if data == "demo" else str(Path(data).resolve())
    folder = locate_photos(photos, ROOT / "work_dir" / "photos", root=ROOT, demo_photos=160)
    audit = audit_photos(find_photos(folder))
    scratch = ROOT / "work_dir" / f"bench.{os.getpid()}"
    scratch.mkdir(parents=True)
    weights = options.weights or weights_beside(folder, options.backbone)
    plan = QUICK if options.quick else Plan()
    print(f"{len(audit.photos)} photos, {options.backbone}, weights {weights}{', QUICK' if options.quick else ''}")
    return Bench(audit, split_photos(audit, 0.8, 0), options.backbone, weights, plan, scratch)


def weights_beside(folder: Path, backbone: str) -> str:
    """The path of ``weights/<backbone>*`` beside the photos, or ``none``: random weights are as fast."""
    found = sorted((folder.parent / "weights").glob(f"{backbone}*"))
    return str(found[0]) if found else "none"


def throughput(bench: Bench) -> None:
    """(a) Literal baseline against our seed preset, alternating."""
    folder = tree(bench, "throughput", bench.plan.photos)
    throughputs, cpu, ours_all, theirs_all = [], [], [], []
    for _ in range(bench.plan.repetitions):
        theirs = baseline(bench, folder, epochs=2)[-1]
        ours = measure("seed", folder=folder, epochs=2, **bench.settings)
        theirs_all.append(theirs)
        ours_all.append(ours)
        throughputs.append(theirs["train_seconds"] / theirs["photos"] / ours["seconds"])
        cpu.append(theirs["train_cpu_seconds"] / theirs["photos"] / ours["cpu_seconds"])
    bench.record("seed_throughput_ratio", throughputs)
    bench.record("seed_cpu_seconds_ratio", cpu)
    bench.record("seed_photos_per_second", [1 / each["seconds"] for each in ours_all])
    bench.record("baseline_photos_per_second", [each["photos"] / each["train_seconds"] for each in theirs_all])
    bench.record("seed_system_ms", [1e3 * each["system_seconds"] for each in ours_all])
    bench.record("baseline_system_ms", [1e3 * row["train_system_seconds"] / row["photos"] for row in theirs_all])
    bench.record("peak_memory_mb", [each["peak_megabytes"] for each in ours_all])
    bench.record("baseline_25_epochs_seconds", [whole_run_seconds(bench, each) for each in theirs_all])


def whole_run_seconds(bench: Bench, row: dict[str, Any]) -> float:
    """The baseline's time for all epochs on all photos, from one measured epoch on some."""
    train = row["train_seconds"] / row["photos"] * len(bench.split.train)
    val = row["val_seconds"] / row["val_photos"] * len(bench.split.val)
    return BASELINE_EPOCHS * (train + val)


def ceiling(bench: Bench) -> None:
    """(b) Training with photos against training on one batch that is there already."""
    folder = tree(bench, "ceiling", bench.plan.photos)
    found = measure("ceiling", folder=folder, repetitions=bench.plan.repetitions + 1, **bench.settings)
    bench.record("ceiling_ratio", found["ratios"])


def depthwise(bench: Bench) -> None:
    """(b'') One kind of layer, in our arithmetic against PyTorch's own."""
    folder = tree(bench, "depthwise", bench.plan.photos)
    found = measure("depthwise", folder=folder, repetitions=2 * bench.plan.repetitions + 1, **bench.settings)
    bench.record("depthwise_ratio", found["ratios"])


def augmentation(bench: Bench) -> None:
    """(b') The seed recipe's augmentation alone, on one core."""
    folder = tree(bench, "augment", bench.plan.photos)
    found = measure("augment", folder=folder, repetitions=2 * bench.plan.repetitions + 1)
    bench.record("augment_ratio", [a / b for a, b in zip(found["literal"], found["ours"], strict=True)])
    bench.record("augment_literal_ms", [1e3 * seconds for seconds in found["literal"]])
    bench.record("augment_ours_ms", [1e3 * seconds for seconds in found["ours"]])


def fast(bench: Bench) -> None:
    """(c) The fast preset on all photos, against the baseline's 25 epochs."""
    folder = tree(bench, "all", len(bench.split.train))
    runs = [measure("fast", folder=folder, **bench.settings) for _ in range(bench.plan.repetitions)]
    bench.record("fast_seconds", [run["seconds"] for run in runs])
    bench.record("fast_decode_and_build_seconds", [run["decode_and_build_seconds"] for run in runs])
    bench.record("fast_accuracy", [run["accuracy"] for run in runs])
    bench.record("fast_peak_memory_mb", [run["peak_megabytes"] for run in runs])
    bench.results["val_photos"] = runs[0]["val_photos"]
    accuracy, epochs = baseline_accuracy(bench)
    bench.results |= {"baseline_accuracy": accuracy, "baseline_accuracy_epochs": epochs}
    reached = min(run["accuracy"] for run in runs) >= accuracy
    bench.results["fast_reaches_baseline_accuracy"] = int(reached)
    seconds = bench.results["baseline_25_epochs_seconds"]
    bench.record("fast_time_ratio", [seconds / run["seconds"] if reached else 0.0 for run in runs])


def saving(bench: Bench) -> None:
    """(c') What keeping the run safe costs, in three epochs of our seed preset."""
    folder = tree(bench, "saving", 2 * bench.plan.photos)
    found = [measure("saving", folder=folder, epochs=3, **bench.settings) for _ in range(bench.plan.size_repetitions)]
    bench.record("checkpoint_share", [each["saving_seconds"] / each["seconds"] for each in found])


def sizes(bench: Bench) -> None:
    """(d) Cost against size: the same photos 1, 2, 4 and 8 times."""
    times = (1, 2, 4, 8)
    folders = {k: tree(bench, f"size-{k}", bench.plan.size_photos, copies=k) for k in times}
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


def streaming(bench: Bench) -> None:
    """(d') Memory while feeding more and more photos: without a limit, and with one that the fewest fill."""
    most = min(bench.plan.stream_photos, len(bench.split.train))
    folders = {k: tree(bench, f"stream-{k}", k) for k in (most // 10, most // 4, most // 2, most)}
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
        print(f"{resident['peak_megabytes']:.0f} MB more than before {resident['kind']}, ", end="")
        print(f"{limited['peak_megabytes']:.0f} MB {limited['kind']} (limit {limit:.0f} MB)")
    bench.results["memory"] = {"limit_megabytes": limit, "rows": rows}


def startup(bench: Bench) -> None:
    """(e) From starting Python to the end of the first step."""
    folder = tree(bench, "startup", 32)
    found = [measure("startup", folder=folder, timed=True, **bench.settings) for _ in range(bench.plan.repetitions)]
    for part in ("torch_and_torchvision", "imports", "photos_and_model", "first_step"):
        bench.record(f"startup_{part}_seconds", [each[part] for each in found])
    bench.record("startup_seconds", [each["seconds"] for each in found])


def tree(bench: Bench, name: str, train_photos: int, copies: int = 1) -> str:
    """A folder with links to some of the photos, ``train/<class>/`` and ``val/<class>/``, for both sides to read."""
    folder = bench.scratch / name
    chosen = {"train": spread(bench.split.train, train_photos)}
    chosen["val"] = spread(bench.split.val, max(len(bench.audit.photos.classes), len(chosen["train"]) // 4))
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


def spread(rows: tuple[int, ...], count: int) -> list[int]:
    """``count`` of the rows, evenly spread, so that every class is among them."""
    count = min(count, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def baseline(bench: Bench, folder: str, epochs: int) -> list[dict[str, Any]]:
    command = [ROOT / "benchmarks" / "baseline.py", folder, "--backbone", bench.backbone, "--epochs", str(epochs)]
    command += ["--weights", bench.weights] if bench.weights != "none" else []
    return [json.loads(line) for line in _output(command).splitlines()]


def baseline_accuracy(bench: Bench) -> tuple[float, int]:
    """The baseline's mean validation accuracy of its last five epochs, and the number of epochs it was given.

    From the stored log of the whole run on the same photos with the same weights; without one, from a
    run of 2 epochs in a QUICK benchmark, and of all epochs (for an hour) in a full one, which is then stored.
    """
    log = ROOT / "benchmarks" / "baseline" / f"{_baseline_key(bench)}.jsonl"
    if log.is_file():
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    elif bench.plan is QUICK:
        rows = baseline(bench, tree(bench, "throughput", bench.plan.photos), epochs=2)
    else:
        print(f"  the literal baseline trains for {BASELINE_EPOCHS} epochs: this takes long, and is kept", flush=True)
        rows = baseline(bench, tree(bench, "all", len(bench.split.train)), epochs=BASELINE_EPOCHS)
        log.parent.mkdir(exist_ok=True)
        kept = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
        log.write_text("".join(json.dumps({name: row[name] for name in kept}) + "\n" for row in rows))
    return statistics.fmean(row["val_accuracy"] for row in rows[-5:]), len(rows)


def _baseline_key(bench: Bench) -> str:
    weights = "none"
    if bench.weights != "none":
        weights = hashlib.sha256(Path(bench.weights).read_bytes()).hexdigest()[:8]
    return f"{bench.backbone}-{weights}-{bench.audit.fingerprint[:8]}"


def measure(name: str, timed: bool = False, **settings) -> dict[str, Any]:
    """One measurement in a fresh process."""
    if timed:
        settings["began"] = time.time()
    return json.loads(_output(["-m", "benchmarks.measure", name, json.dumps(settings)]).strip().splitlines()[-1])


def _output(command: list) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def circumstances(bench: Bench, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """What the numbers belong to."""
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


def table(results: dict[str, Any]) -> str:
    """The results against the goals, as text."""
    rows = [f"{'':<24} {'median':>9} {'min':>9} {'max':>9}  {'goal':<8} what"]
    for name, meaning in MEANINGS.items():
        low, high = (f"{results[f'{name}_{end}']:.4g}" if f"{name}_{end}" in results else "" for end in ("min", "max"))
        rows.append(f"{name:<24} {results[name]:>9.4g} {low:>9} {high:>9}  {verdict(name, results[name]):<8} {meaning}")
    if results["baseline_accuracy_epochs"] < BASELINE_EPOCHS:
        rows.append(
            f"The baseline had {results['baseline_accuracy_epochs']} of its {BASELINE_EPOCHS} epochs, on some of the "
            "photos: its accuracy is not what it would reach."
        )
    if not results["fast_reaches_baseline_accuracy"]:
        rows.append("fast does not reach the baseline's accuracy here, so its time ratio is given as 0.")
    return "\n".join(rows)


def verdict(name: str, value: float) -> str:
    """``≥ 3 ✓`` if the goal is met, ``≥ 3 ✗`` if not, and nothing where there is none."""
    if name not in GOALS:
        return ""
    sign, goal = GOALS[name]
    met = value >= goal if sign == "≥" else value <= goal
    return f"{sign} {goal:g} {'✓' if met else '✗'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of photos; default: the demo")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="", help="file; default: weights/<backbone>* beside the photos, if there")
    parser.add_argument("--quick", action="store_true", help="fewer photos and repetitions")
    parser.add_argument("--output", default=str(ROOT / "benchmarks"), help="folder for results.json and results.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
