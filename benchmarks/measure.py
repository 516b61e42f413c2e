"""One measurement in a process of its own: ``python -m benchmarks.measure NAME '{"folder": …}'``.

A fresh process each time, so that memory, caches and thread pools of one measurement do not help
or harm the next. The last line of the output is the result, as JSON.
"""

from __future__ import annotations

import time

BEGINNING = time.time()  # before the imports, whose time is measured as well

import json  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402, F401
from torch import nn  # noqa: E402

LIBRARIES = time.time()

from benchmarks.baseline import data_transforms  # noqa: E402
from helpers.common import device  # noqa: E402
from helpers.common.seeding import generator  # noqa: E402
from helpers.data.audit import Audit, audit_photos  # noqa: E402
from helpers.data.decode import load_photo  # noqa: E402
from helpers.data.image_folder import find_photos  # noqa: E402
from helpers.data.loading import batch_augmentation  # noqa: E402
from helpers.data.loading.canvases import half_size, train_canvas  # noqa: E402
from helpers.data.loading.loaders import Loaders, decoded_bytes, make_loaders  # noqa: E402
from helpers.data.split import Split, split_photos  # noqa: E402
from helpers.models.depthwise import StridedDepthwise  # noqa: E402
from helpers.recipe import Recipe  # noqa: E402
from helpers.runs.run import open_run  # noqa: E402
from helpers.training.loop import fit, train_one_epoch  # noqa: E402
from helpers.training.optimization import make_loss  # noqa: E402
from helpers.training.setup import assemble  # noqa: E402

IMPORTED = time.time()


class Bench:
    """A recipe on a folder of photos, ready to train, built as the notebook builds it."""

    def __init__(self, folder: str, preset: str, work_dir: str, backbone: str, weights: str) -> None:
        self.recipe = Recipe.from_preset(preset, backbone=backbone, weights=weights, work_dir=work_dir, run="bench")
        self.audit, self.split = look_at(folder)
        self.run = open_run(self.recipe)
        self.device = self.run.device

    def build(self) -> None:
        """Everything from the photos' files to the first step."""
        self.model, self.feeds, self.optimizer, self.schedule = assemble(self.run, self.audit, self.split)

    def pass_over(self, batches) -> tuple[float, float, float]:
        """Seconds of one training pass over the batches: wall, user, system."""
        wall, (user, system) = time.perf_counter(), cpu_seconds()
        train_one_epoch(self.model, batches, make_loss(), self.optimizer, self.run.precision)
        user_now, system_now = cpu_seconds()
        return time.perf_counter() - wall, user_now - user, system_now - system


def look_at(folder: str) -> tuple[Audit, Split]:
    audit = audit_photos(find_photos(folder))
    return audit, split_photos(audit, 0.8, 0)


def cpu_seconds() -> tuple[float, float]:
    """User time and system time of this process and of its ended children."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime for part in parts), sum(part.ru_stime for part in parts)


def peak_megabytes() -> float:
    """The largest resident size so far, in 10⁶ bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def seed(epochs: int, **settings) -> dict[str, Any]:
    """Seconds per photo of the last training pass of the seed recipe."""
    bench = Bench(preset="seed", **settings)
    bench.build()
    for epoch in range(epochs):
        wall, user, system = bench.pass_over(bench.feeds.train.epoch(epoch))
    photos = len(bench.feeds.train.labels)
    return {
        "seconds": wall / photos,
        "cpu_seconds": (user + system) / photos,
        "system_seconds": system / photos,
        "peak_megabytes": peak_megabytes(),
    }


def ceiling(repetitions: int, **settings) -> dict[str, Any]:
    """Our training pass against the same number of steps on one batch that is there already."""
    bench = Bench(preset="seed", **settings)
    bench.build()
    batches = list(bench.feeds.train.epoch(0))
    full = [batch for batch in batches if len(batch[1]) == bench.recipe.batch_size]
    same = [full[0]] * len(full)
    bench.pass_over(same)
    ratios = []
    for epoch in range(repetitions):
        synthetic = bench.pass_over(same)[0] / (len(same) * bench.recipe.batch_size)
        fed = bench.pass_over(bench.feeds.train.epoch(epoch))[0] / len(bench.feeds.train.labels)
        ratios.append(synthetic / fed)
    return {"ratios": ratios}


def depthwise(repetitions: int, **settings) -> dict[str, Any]:
    """CPU seconds of training steps with PyTorch's own strided depthwise convolutions against those with ours."""
    bench = Bench(preset="seed", **settings)
    bench.build()
    batches = [next(bench.feeds.train.epoch(0))] * 4
    layers = [layer for layer in bench.model.modules() if isinstance(layer, StridedDepthwise)]

    def seconds(kind: type[nn.Conv2d]) -> float:
        for layer in layers:
            layer.__class__ = kind
        _, user, system = bench.pass_over(batches)
        return user + system

    seconds(nn.Conv2d), seconds(StridedDepthwise)  # the first steps choose algorithms and fill pools
    return {"ratios": [seconds(nn.Conv2d) / seconds(StridedDepthwise) for _ in range(repetitions)]}


def augment(repetitions: int, folder: str) -> dict[str, Any]:
    """The seed recipe's training transforms on one core: torchvision's on PIL photos, and ours."""
    torch.set_num_threads(1)
    recipe = Recipe()
    device.prepare(0, True)
    audit, split = look_at(folder)
    photos = [load_photo(audit.photos.path(i)) for i in split.train[:64]]
    literal = data_transforms()["train"]
    canvases = torch.from_numpy(np.stack([train_canvas(photo, recipe) for photo in photos]))
    frames = torch.from_numpy(np.stack([half_size(photo, recipe) for photo in photos]))
    augmenter = batch_augmentation.Augmenter(recipe, torch.device("cpu"))

    def ours() -> None:
        draws = batch_augmentation.sample_params(recipe, len(photos), generator(0))
        plan = batch_augmentation.prepare_params(draws, frames, recipe, torch.device("cpu"))
        for start in range(0, len(photos), 32):
            rows = slice(start, start + 32)
            augmenter(canvases[rows], {name: part[rows] for name, part in plan.items()})

    theirs, mine = [], []
    for _ in range(repetitions + 1):
        theirs.append(cpu_of(lambda: [literal(photo) for photo in photos]) / len(photos))
        mine.append(cpu_of(ours) / len(photos))
    return {"literal": theirs[1:], "ours": mine[1:]}  # the first of each was for warming up


def cpu_of(action: Callable[[], Any]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def fast(**settings) -> dict[str, Any]:
    """The fast preset from the photos' files to the trained head, with nothing cached."""
    bench = Bench(preset="fast", **settings)
    start = time.perf_counter()
    bench.build()
    decoded = time.perf_counter()
    history = fit(
        bench.model, bench.feeds, make_loss(), bench.optimizer, bench.schedule, bench.run, log=lambda text: None
    )
    end = time.perf_counter()
    return {
        "seconds": end - start,
        "decode_and_build_seconds": decoded - start,
        "train_seconds": end - decoded,
        "accuracy": history.last_five_mean,
        "val_photos": len(bench.feeds.val.labels),
        "peak_megabytes": peak_megabytes(),
    }


def saving(epochs: int, **settings) -> dict[str, Any]:
    """The share of the training's time that writing checkpoints takes, at the default interval."""
    bench = Bench(preset="seed", **settings)
    bench.recipe = bench.run.recipe = replace(bench.recipe, epochs=epochs)
    bench.build()
    start = time.perf_counter()
    fit(bench.model, bench.feeds, make_loss(), bench.optimizer, bench.schedule, bench.run, log=lambda text: None)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "saving_seconds": bench.run.saving_seconds}


def size(**settings) -> dict[str, Any]:
    """Seconds per photo, decoding included, of one pass over the photos; and the memory it took."""
    bench = Bench(preset="seed", **settings)
    bench.build()
    batch = next(bench.feeds.train.epoch(0))
    bench.pass_over([batch] * 4)  # the first steps choose algorithms and fill pools, whatever the size
    start = time.perf_counter()
    bench.feeds = make_loaders(bench.audit, bench.split, bench.recipe, bench.device)
    bench.pass_over(bench.feeds.train.epoch(1))
    photos = len(bench.feeds.train.labels)
    seconds = (time.perf_counter() - start) / photos
    return {"photos": photos, "seconds": seconds, "peak_megabytes": peak_megabytes()}


def stream(limit: float, folder: str, workers: int = 2) -> dict[str, Any]:
    """Memory while photos are decoded and fed once, if they may take ``limit`` · 10⁶ bytes."""
    audit, split = look_at(folder)
    recipe = Recipe(workers=workers, memory_limit_gb=1.001 * limit / 1e3)
    device.prepare(0, True)
    before = memory_of_all()
    with Watch() as watch:
        feeds: Loaders = make_loaders(audit, split, recipe, torch.device("cpu"))
        for _ in feeds.train.epoch(0):
            pass
    return {
        "kind": feeds.kind,
        "decoded_megabytes": decoded_bytes(split, recipe) / 1e6,
        "peak_megabytes": watch.most - before,
    }


class Watch:
    """Samples the memory of this process and its children, every 50 ms."""

    def __enter__(self) -> Watch:
        self.most = memory_of_all()
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
            megabytes = memory_of_all()
            children = {child.pid for child in psutil.Process().children(recursive=True)}
            if children != self.children:
                # While processes are forked, pages are counted for the parent before and for the children after.
                self.children, self.since = children, time.perf_counter()
            if time.perf_counter() - self.since > 0.5:
                self.most = max(self.most, megabytes)


def memory_of_all() -> float:
    """Memory of this process and its children in 10⁶ bytes; pages that they share count once."""
    process = psutil.Process()
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            full = each.memory_full_info()
            total += getattr(full, "pss", full.rss)
        except psutil.Error:  # it has just ended
            pass
    return total / 1e6


def startup(began: float, **settings) -> dict[str, Any]:
    """From the start of the process to the end of the first step, on a handful of photos."""
    ready = time.time()
    bench = Bench(preset="seed", **settings)
    bench.build()
    built = time.time()
    batch = next(bench.feeds.train.epoch(0))
    bench.pass_over([batch])
    end = time.time()
    return {
        "seconds": end - began,
        "python": BEGINNING - began,
        "imports": IMPORTED - BEGINNING,
        "torch_and_torchvision": LIBRARIES - BEGINNING,
        "photos_and_model": built - ready,
        "first_step": end - built,
    }


MEASUREMENTS = {f.__name__: f for f in (seed, ceiling, depthwise, augment, fast, saving, size, stream, startup)}


def main() -> int:
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    with tempfile.TemporaryDirectory() as work_dir:
        if name not in ("augment", "stream"):
            settings["work_dir"] = work_dir
        print(json.dumps(MEASUREMENTS[name](**settings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
