"""Whole headless notebooks, killed and run again with the same command."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
NOTEBOOK = "flower_classification.ipynb"
EPOCHS = 14
PARAMETERS = {
    "epochs": EPOCHS,
    "demo_photos": 30,
    "image_size": 32,
    "val_resize": 36,
    "backbone": "squeezenet1_1",
    "weights": "none",
    "lr": 0.001,
    "dropout": 0.5,
    "checkpoint_steps": 2,
    "run": "killed",
}
WAYS = ("kernel killed", "command killed", "SIGTERM", "Ctrl-C")
PATIENCE = 200  # seconds


class Life:
    """One headless run, started in a process group of its own."""

    def __init__(self, work_dir: Path, log: Path) -> None:
        command = [sys.executable, "-m", "helpers", "run", "-p", "work_dir", str(work_dir)]
        for name, value in PARAMETERS.items():
            command += ["-p", name, str(value)]
        environment = {k: v for k, v in os.environ.items() if k != "FLOWERS_WORK_DIR"}
        self.folder, self.log = work_dir / PARAMETERS["run"], log
        with open(log, "w") as sink:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=sink, stderr=sink, env=environment, start_new_session=True
            )

    def epochs(self) -> int:
        """Epochs of which the history is on disk."""
        with contextlib.suppress(FileNotFoundError):
            return max(0, len((self.folder / "history.csv").read_text().splitlines()) - 1)
        return 0

    def wait_for_epoch(self, epoch: int) -> None:
        # An epoch of its own at least: the kernel of a killed command goes on for a moment, and writes epochs while the
        # next command, which waits for it, does not even hear signals yet.
        self._wait(lambda: self.kernel() is not None)
        before = self.epochs()
        self._wait(lambda: self.epochs() >= max(epoch, before + 1))

    def kernel(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(self.process.pid).children():
                if "ipykernel_launcher" in " ".join(each.cmdline()):
                    return each
        return None

    def end(self, way: str) -> None:
        """Make it end before its time."""
        kernel = self.kernel()
        if way == "kernel killed" and kernel:
            kernel.kill()
        elif way in ("SIGTERM", "Ctrl-C"):
            self.process.send_signal(signal.SIGTERM if way == "SIGTERM" else signal.SIGINT)
        else:
            self.process.kill()

    def finish(self) -> int:
        """The exit code."""
        self._wait(lambda: self.process.poll() is not None, must_live=False)
        return self.process.returncode

    def said(self) -> str:
        return self.log.read_text()

    def _wait(self, reached, must_live: bool = True) -> None:
        end = time.perf_counter() + PATIENCE
        while not reached():
            if must_live and self.process.poll() is not None:
                raise RuntimeError(f"ended too early:\n{self.said()}")
            if time.perf_counter() > end:
                self.process.kill()
                raise RuntimeError(f"hangs:\n{self.said()}")
            time.sleep(0.01)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that must be the same to the bit."""
    names = ("history.csv", "best_model.pth", "best_model.json", "split.csv", "predictions.csv")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def whole(folder: Path) -> tuple[dict[str, str], float]:
    """An undisturbed run's digests, and how long it took."""
    start = time.perf_counter()
    life = Life(folder, folder / "log")
    if life.finish():
        raise RuntimeError(life.said())
    return digests(life.folder), time.perf_counter() - start


def kill_often(kills: int, folder: Path, seed: int = 0) -> dict[str, int]:
    """Kill ``kills`` headless runs at random moments, and run each again until it is finished."""
    dice = random.Random(seed)
    for name in ("whole", *map(str, range(kills))):
        (folder / name).mkdir(parents=True)
    expected, duration = whole(folder / "whole")
    counts = {"kills": 0, "identical": 0, "lost": 0, "outside": 0}
    for number in range(kills):
        home, way = folder / str(number), WAYS[number % len(WAYS)]
        while True:
            life = Life(home, home / "log")
            with contextlib.suppress(subprocess.TimeoutExpired):
                life.process.wait(dice.uniform(0, 0.95 * duration))
            life.end(way)
            if life.finish():
                break
            shutil.rmtree(home)  # it was faster than the kill: nothing was tried
            home.mkdir()
        before = files(life.folder)
        life = Life(home, home / "log")
        good = life.finish() == 0 and digests(life.folder) == expected
        counts["kills"] += 1
        counts["identical"] += good
        counts["lost"] += len(before - files(life.folder))
        outside = {path.name for path in home.iterdir()} - {"log", "cache", "photos", PARAMETERS["run"]}
        counts["outside"] += len(outside)
        print(f"{way}: {len(before)} files there, {'identical' if good else life.said()[-2000:]}", *outside, flush=True)
    return counts


def files(folder: Path) -> set[str]:
    """Files of a run, other than the checkpoints' spare copy, which a finished run does without."""
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return {name for name in found if not name.startswith(".") and name != "previous.ckpt"}


def stored_notebook(folder: Path) -> list[dict]:
    """The code cells of the executed notebook."""
    cells = json.loads((folder / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]
