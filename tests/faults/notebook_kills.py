"""Headless runs of the notebook: start one, kill it, run it again with the same command, and compare."""

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
    "test_fraction": 0.2,
    "image_size": 32,
    "val_resize": 36,
    "backbone": "squeezenet1_1",
    "weights": "none",
    "lr": 0.001,
    "dropout": 0.5,
    "checkpoint_steps": 2,
    "run": "mine",
}
WAYS = ("kernel killed", "command killed", "SIGTERM", "Ctrl-C")
PATIENCE = 600  # seconds, on a busy machine


def arguments(work_dir: Path) -> list[str]:
    """Return the command line's parameters of a run in this folder."""
    parameters = {"work_dir": work_dir, **PARAMETERS}
    return [word for name, value in parameters.items() for word in ("-p", name, str(value))]


class HeadlessRun:
    """One ``python -m helpers run``, started in a process group of its own."""

    def __init__(self, work_dir: Path, log: Path) -> None:
        command = [sys.executable, "-m", "helpers", "run", *arguments(work_dir)]
        environment = {k: v for k, v in os.environ.items() if k != "FLOWERS_WORK_DIR"}
        self.folder, self.log = work_dir / PARAMETERS["run"], log
        with open(log, "w") as sink:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=sink, stderr=sink, env=environment, start_new_session=True
            )

    def epochs(self) -> int:
        """Return the number of epochs in ``history.csv``."""
        with contextlib.suppress(FileNotFoundError):
            return max(0, len((self.folder / "history.csv").read_text().splitlines()) - 1)
        return 0

    def wait_for_epoch(self, epoch: int) -> None:
        """Wait until ``epoch`` epochs are stored, at least one of them by this run."""
        # The kernel of a killed command trains on for a moment, and may store epochs while this run still waits for it
        # and does not handle signals yet.
        self._wait(lambda: self.kernel() is not None)
        before = self.epochs()
        self._wait(lambda: self.epochs() >= max(epoch, before + 1))

    def kernel(self) -> psutil.Process | None:
        """Return the notebook's kernel, if it runs."""
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(self.process.pid).children():
                if "ipykernel_launcher" in " ".join(each.cmdline()):
                    return each
        return None

    def end(self, way: str) -> None:
        """End it early, in one of ``WAYS``."""
        kernel = self.kernel()
        if way == "kernel killed" and kernel:
            kernel.kill()
        elif way in ("SIGTERM", "Ctrl-C"):
            self.process.send_signal(signal.SIGTERM if way == "SIGTERM" else signal.SIGINT)
        else:
            self.process.kill()

    def finish(self) -> int:
        """Wait for the end and return the exit code."""
        self._wait(lambda: self.process.poll() is not None, must_live=False)
        return self.process.returncode

    def output(self) -> str:
        """Return what was printed so far."""
        return self.log.read_text()

    def _wait(self, reached, must_live: bool = True) -> None:
        end = time.perf_counter() + PATIENCE
        while not reached():
            if must_live and self.process.poll() is not None:
                raise RuntimeError(f"ended too early:\n{self.output()}")
            if time.perf_counter() > end:
                self.process.kill()
                raise RuntimeError(f"hangs:\n{self.output()}")
            time.sleep(0.01)


def digests(folder: Path) -> dict[str, str]:
    """Return SHA-256 of the files that must be bit-identical."""
    names = ("history.csv", "best_model.pth", "best_model.json", "split.csv", "predictions.csv")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def uninterrupted(folder: Path) -> Path:
    """Run to the end without a kill and return the run's folder."""
    run = HeadlessRun(folder, folder / "log")
    if run.finish():
        raise RuntimeError(run.output())
    return run.folder


def kill_often(kills: int, folder: Path, seed: int = 0) -> dict[str, int]:
    """Kill ``kills`` headless runs at random moments, run each again to its end, and count what happened."""
    rng = random.Random(seed)
    for name in ("whole", *map(str, range(kills))):
        (folder / name).mkdir(parents=True)
    start = time.perf_counter()
    expected = digests(uninterrupted(folder / "whole"))
    duration = time.perf_counter() - start
    counts = {"kills": 0, "identical": 0, "lost": 0, "outside": 0}
    for number in range(kills):
        home, way = folder / str(number), WAYS[number % len(WAYS)]
        while True:
            run = HeadlessRun(home, home / "log")
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(rng.uniform(0, 0.95 * duration))
            run.end(way)
            if run.finish():
                break
            shutil.rmtree(home)  # it ended before the kill: try again
            home.mkdir()
        before = files(run.folder)
        run = HeadlessRun(home, home / "log")
        good = run.finish() == 0 and digests(run.folder) == expected
        counts["kills"] += 1
        counts["identical"] += good
        counts["lost"] += len(before - files(run.folder))
        outside = {path.name for path in home.iterdir()} - {"log", "cache", "photos", PARAMETERS["run"]}
        counts["outside"] += len(outside)
        found = "identical" if good else run.output()[-2000:]
        print(f"{way}: {len(before)} files there, {found}", *outside, flush=True)
    return counts


def files(folder: Path) -> set[str]:
    """Return the files of a run, except the spare checkpoint, which a finished run does not keep."""
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return {name for name in found if not name.startswith(".") and name != "previous.ckpt"}


def stored_cells(folder: Path) -> list[dict]:
    """Return the code cells of the executed notebook."""
    cells = json.loads((folder / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]
