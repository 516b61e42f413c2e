"""The literal baseline: the assignment's script (``teaching/main.py``), with a stopwatch around its loaders.

ImageFolder, PIL transforms one photo at a time, a DataLoader with two workers, float32, batch 32, default memory format
and allocator. The script imports nothing from this project, so that nothing of ours makes it faster or slower. Prints
one JSON line per epoch.

    python -m benchmarks.contenders.baseline FOLDER --backbone mobilenet_v2 --weights weights.pth --epochs 25

FOLDER holds train/<class>/*.jpg and val/<class>/*.jpg.
"""

import argparse
import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch.utils.data import DataLoader

from teaching import main as script


class Lap(NamedTuple):
    """Seconds of one pass over a loader, the training steps between its batches included."""

    wall: float
    user: float
    system: float


class TimedLoader:
    """A loader that notes how long each pass over it takes."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader, self.laps = loader, []

    def __iter__(self) -> Iterator:
        wall, (user, system) = time.perf_counter(), cpu_seconds()
        yield from self.loader
        user_now, system_now = cpu_seconds()
        self.laps.append(Lap(time.perf_counter() - wall, user_now - user, system_now - system))


def cpu_seconds() -> tuple[float, float]:
    """Return the user and system time of this process and its ended children (the DataLoader's workers)."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime for part in parts), sum(part.ru_stime for part in parts)


def rows(loaders: dict[str, TimedLoader]) -> Iterator[dict[str, Any]]:
    """Return a row per epoch from the laps."""
    photos = {part: len(timed.loader.dataset) for part, timed in loaders.items()}
    for epoch, (train, val) in enumerate(zip(loaders["train"].laps, loaders["val"].laps, strict=True)):
        row = {"epoch": epoch, "photos": photos["train"], "train_seconds": train.wall}
        row |= {"train_cpu_seconds": train.user + train.system, "train_system_seconds": train.system}
        yield row | {"val_seconds": val.wall, "val_photos": photos["val"]}


def main() -> None:
    """Run the script on a folder, and print a line per epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--weights", default=None)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    script.DATA_DIR, script.BACKBONE, script.WEIGHTS = options.folder, options.backbone, options.weights
    script.EPOCHS, script.SEED = options.epochs, options.seed
    timed: dict[str, TimedLoader] = {}
    load_photos = script.load_photos

    def load_timed(folder: str) -> tuple[dict[str, TimedLoader], list[str]]:
        loaders, class_names = load_photos(folder)
        timed.update({part: TimedLoader(loader) for part, loader in loaders.items()})
        return timed, class_names

    script.load_photos = load_timed
    with tempfile.TemporaryDirectory() as script.SAVE_DIR, contextlib.redirect_stdout(sys.stderr):
        script.main()
    for row in rows(timed):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
