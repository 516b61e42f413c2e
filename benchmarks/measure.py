"""Take one measurement in a process of its own: ``python -m benchmarks.measure NAME '{"folder": …}'``.

A fresh process each time, so that memory, caches and thread pools of one measurement do not affect the next. The last
line of the output is the result, as JSON.
"""

from __future__ import annotations

import time

STARTED = time.time()  # before the imports, whose time is measured too

import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import replace  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402, F401
from torch import nn  # noqa: E402

LIBRARIES_IMPORTED = time.time()

from benchmarks.contenders.baseline import cpu_seconds  # noqa: E402
from benchmarks.memory import MemorySampler, family_megabytes, peak_megabytes  # noqa: E402
from helpers.common import device  # noqa: E402
from helpers.common.seeding import generator  # noqa: E402
from helpers.data.audit import Audit, audit_photos  # noqa: E402
from helpers.data.decode import load_photo  # noqa: E402
from helpers.data.image_folder import find_photos  # noqa: E402
from helpers.data.loading import batch_augmentation  # noqa: E402
from helpers.data.loading.canvases import half_size, train_canvas  # noqa: E402
from helpers.data.loading.loaders import decoded_bytes, make_loaders  # noqa: E402
from helpers.data.split import Split, split_photos  # noqa: E402
from helpers.models.depthwise import StridedDepthwise  # noqa: E402
from helpers.recipe import Recipe  # noqa: E402
from helpers.runs.run import open_run  # noqa: E402
from helpers.training import assemble, fit, make_loss, train_one_epoch  # noqa: E402
from helpers.training.loop import FitResult  # noqa: E402
from helpers.training.setup import Extras  # noqa: E402
from teaching.main import train_transform as literal_transform  # noqa: E402

ALL_IMPORTED = time.time()


class Workload:
    """A preset on a folder of photos, built as the notebook builds it."""

    def __init__(self, folder: str, preset: str, work_dir: str, backbone: str, weights: str) -> None:
        self.recipe = Recipe.from_preset(preset, backbone=backbone, weights=weights, work_dir=work_dir, run="bench")
        self.audit, self.split = open_photos(folder)
        self.run = open_run(self.recipe)

    def build(self) -> None:
        """Do everything between the photos' files and the first step."""
        self.training = assemble(self.run, self.audit, self.split)
        self.model, self.loaders, _, self.optimizer, _ = self.training

    def time_steps(self, batches) -> tuple[float, float, float]:
        """Train on the batches once and return the seconds: wall, user, system."""
        wall, (user, system) = time.perf_counter(), cpu_seconds()
        train_one_epoch(self.model, batches, make_loss(), self.optimizer, Extras(self.run.precision))
        user_now, system_now = cpu_seconds()
        return time.perf_counter() - wall, user_now - user, system_now - system

    def fit(self) -> FitResult:
        """Train as the recipe says."""
        return fit(*self.training, self.run, log=lambda text: None)


def open_photos(folder: str) -> tuple[Audit, Split]:
    """Return the audited photos of a folder and their split."""
    audit = audit_photos(find_photos(folder))
    return audit, split_photos(audit, 0.8, 0)


def published(epochs: int, **settings) -> dict[str, Any]:
    """Seconds per photo of the last training epoch of ``published``."""
    work = Workload(preset="published", **settings)
    work.build()
    for epoch in range(epochs):
        wall, user, system = work.time_steps(work.loaders.train.epoch(epoch))
    photos = len(work.loaders.train.labels)
    return {
        "seconds": wall / photos,
        "cpu_seconds": (user + system) / photos,
        "system_seconds": system / photos,
        "peak_megabytes": peak_megabytes(),
    }


def ceiling(repetitions: int, **settings) -> dict[str, Any]:
    """Throughput of a training epoch relative to as many steps on one batch in memory."""
    work = Workload(preset="published", **settings)
    work.build()
    batches = list(work.loaders.train.epoch(0))
    full = [batch for batch in batches if len(batch[1]) == work.recipe.batch_size]
    same = [full[0]] * len(full)
    work.time_steps(same)
    ratios = []
    for epoch in range(repetitions):
        synthetic = work.time_steps(same)[0] / (len(same) * work.recipe.batch_size)
        fed = work.time_steps(work.loaders.train.epoch(epoch))[0] / len(work.loaders.train.labels)
        ratios.append(synthetic / fed)
    return {"ratios": ratios}


def depthwise(repetitions: int, steps: int = 4, **settings) -> dict[str, Any]:
    """CPU seconds of training steps with PyTorch's strided depthwise convolutions, relative to ours."""
    work = Workload(preset="published", **settings)
    work.build()
    batches = [next(work.loaders.train.epoch(0))] * steps
    layers = [layer for layer in work.model.modules() if isinstance(layer, StridedDepthwise)]

    def seconds(kind: type[nn.Conv2d]) -> float:
        for layer in layers:
            layer.__class__ = kind
        _, user, system = work.time_steps(batches)
        return user + system

    seconds(nn.Conv2d), seconds(StridedDepthwise)  # warm-up: the first steps choose algorithms and fill pools
    return {"ratios": [seconds(nn.Conv2d) / seconds(StridedDepthwise) for _ in range(repetitions)]}


def augment(repetitions: int, folder: str) -> dict[str, Any]:
    """Measure the published recipe's training transforms on one core, in CPU s per photo: torchvision's, and ours."""
    torch.set_num_threads(1)
    recipe = Recipe()
    device.prepare(0, True)
    audit, split = open_photos(folder)
    photos = [load_photo(audit.photos.path(i)) for i in split.train[:64]]
    canvases = torch.from_numpy(np.stack([train_canvas(photo, recipe) for photo in photos]))
    half_sizes = torch.from_numpy(np.stack([half_size(photo, recipe) for photo in photos]))
    augmenter = batch_augmentation.Augmenter(recipe, torch.device("cpu"))

    def ours() -> None:
        params = batch_augmentation.sample_params(recipe, len(photos), generator(0))
        prepared = batch_augmentation.prepare_params(params, half_sizes, recipe, torch.device("cpu"))
        for start in range(0, len(photos), 32):
            rows = slice(start, start + 32)
            augmenter(canvases[rows], {name: part[rows] for name, part in prepared.items()})

    theirs, mine = [], []
    for _ in range(repetitions + 1):
        theirs.append(cpu_time_of(lambda: [literal_transform(photo) for photo in photos]) / len(photos))
        mine.append(cpu_time_of(ours) / len(photos))
    return {"literal": theirs[1:], "ours": mine[1:]}  # without the warm-up


def cpu_time_of(action: Callable[[], Any]) -> float:
    """Return the CPU seconds that a call takes in this process."""
    start = time.process_time()
    action()
    return time.process_time() - start


def fast(**settings) -> dict[str, Any]:
    """Seconds of ``fast`` from the photos' files to the trained head, with an empty cache."""
    work = Workload(preset="fast", **settings)
    start = time.perf_counter()
    work.build()
    built = time.perf_counter()
    work.fit()
    end = time.perf_counter()
    return {
        "seconds": end - start,
        "decode_and_build_seconds": built - start,
        "train_seconds": end - built,
        "val_photos": len(work.loaders.val.labels),
        "peak_megabytes": peak_megabytes(),
    }


def saving(epochs: int, **settings) -> dict[str, Any]:
    """Seconds of a training with ``published``, and those of them spent on checkpoints at the default interval."""
    work = Workload(preset="published", **settings)
    work.recipe = work.run.recipe = replace(work.recipe, epochs=epochs)
    work.build()
    start = time.perf_counter()
    result = work.fit()
    return {"seconds": time.perf_counter() - start, "saving_seconds": result.saving_seconds}


def size(**settings) -> dict[str, Any]:
    """Seconds per photo of decoding and one training epoch, and the peak memory."""
    work = Workload(preset="published", **settings)
    work.build()
    batch = next(work.loaders.train.epoch(0))
    work.time_steps([batch] * 4)  # warm-up: the first steps choose algorithms and fill pools
    start = time.perf_counter()
    work.loaders = make_loaders(work.audit, work.split, work.recipe, work.run.device)
    work.time_steps(work.loaders.train.epoch(1))
    photos = len(work.loaders.train.labels)
    seconds = (time.perf_counter() - start) / photos
    return {"photos": photos, "seconds": seconds, "peak_megabytes": peak_megabytes()}


def stream(limit: float, folder: str, workers: int = 2) -> dict[str, Any]:
    """Peak memory of decoding and loading all photos once, with at most ``limit`` · 10⁶ bytes for decoded photos."""
    audit, split = open_photos(folder)
    recipe = Recipe(workers=workers, memory_limit_gb=1.001 * limit / 1e3)
    device.prepare(0, True)
    before = family_megabytes()
    with MemorySampler() as memory:
        loaders = make_loaders(audit, split, recipe, torch.device("cpu"))
        for _ in loaders.train.epoch(0):
            pass
    return {
        "kind": loaders.kind,
        "decoded_megabytes": decoded_bytes(len(split.train), len(split.val), recipe) / 1e6,
        "peak_megabytes": memory.peak - before,
    }


def startup(began: float, **settings) -> dict[str, Any]:
    """Seconds from the start of the process (``began``, a Unix time) to the end of the first step."""
    ready = time.time()
    work = Workload(preset="published", **settings)
    work.build()
    built = time.time()
    work.time_steps([next(work.loaders.train.epoch(0))])
    end = time.time()
    return {
        "seconds": end - began,
        "python": STARTED - began,
        "imports": ALL_IMPORTED - STARTED,
        "torch_and_torchvision": LIBRARIES_IMPORTED - STARTED,
        "photos_and_model": built - ready,
        "first_step": end - built,
    }


MEASUREMENTS = {f.__name__: f for f in (published, ceiling, depthwise, augment, fast, saving, size, stream, startup)}


def main() -> int:
    """Print the result of the measurement that the command line names."""
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    with tempfile.TemporaryDirectory() as work_dir:
        if name not in ("augment", "stream"):
            settings["work_dir"] = work_dir
        print(json.dumps(MEASUREMENTS[name](**settings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
