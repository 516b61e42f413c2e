"""Kill trainings at random moments, resume each, and compare: ``python -m tests.faults.kills --kills 200``.

Every training is forked from this process, which has imported PyTorch already, so that a training takes a fraction of a
second. Half of the kills come at a random time; half within a random write, or before or after a rename or an fsync.
Some are SIGTERM or SIGINT. Each training is then resumed to its end and must equal an uninterrupted one: history, best
model, last model, momenta and schedule, bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch

from helpers.common import files, tensors
from helpers.common.errors import RunError
from helpers.runs import locks
from tests import enable_ctrl_c
from tests.faults import notebook_kills
from tests.tiny import tiny_fit, tiny_loaders, tiny_recipe

STEPS = 2  # between checkpoints
RECIPE = {"epochs": 4, "checkpoint_steps": STEPS}


@dataclass
class Outcome:
    """What happened to the trainings that were killed."""

    kills: Counter = field(default_factory=Counter)
    identical: int = 0
    different: list[str] = field(default_factory=list)
    most_repeated: int = 0
    lost: int = 0
    outside: int = 0
    reads: int = 0

    def __str__(self) -> str:
        ways = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} trainings killed ({ways}), "
            f"{self.identical} resumed bit-identically, at most {self.most_repeated} steps repeated ({STEPS} allowed), "
            f"best model read {self.reads} times meanwhile"
        )


def kill_often(kills: int, folder: Path, seed: int = 0) -> Outcome:
    """Kill ``kills`` trainings in subfolders of ``folder``, resume each, and compare."""
    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    rng, outcome = random.Random(seed), Outcome()
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "whole"
    begin = time.perf_counter()
    if _wait(_fork(whole)) != 0:
        raise RuntimeError("the uninterrupted training failed")
    duration, expected = time.perf_counter() - begin, digests(whole)
    operations = _count_operations(folder / "counted")
    for number in range(kills):
        run = folder / f"{number:04}"
        how = _kill_once(run, rng, duration, operations, outcome)
        outcome.kills[how] += 1
        before = {path.name for path in run.glob("*") if not path.name.startswith(".")} if run.exists() else set()
        code = _wait(_fork(run))
        if code == 0 and digests(run) == expected:
            outcome.identical += 1
        else:
            outcome.different.append(f"{run.name} ({how}): exit code {code}")
        outcome.lost += len(before - {path.name for path in run.glob("*")})
        outcome.lost += len(list(run.glob(".*.tmp")))
        outcome.most_repeated = max(outcome.most_repeated, _repeated_steps(run))
    known = {f"{number:04}" for number in range(kills)} | {"whole", "counted"}
    outcome.outside = len({path.name for path in folder.iterdir()} - known)
    return outcome


def digests(run: Path) -> dict[str, str]:
    """Return SHA-256 of what must be bit-identical; of the checkpoint, its content without times."""
    state = tensors.load_tensors(run / "last.ckpt")
    for name in ("epoch_seconds", "seconds"):
        del state[name]
    found = {name: _sha256((run / name).read_bytes()) for name in ("history.csv", "best_model.pth", "best_model.json")}
    return found | {"last.ckpt": _sha256(repr(_plain(state)).encode())}


def train(run_folder: Path) -> None:
    """Train in this folder to the end, from the beginning or the last checkpoint; ``.steps`` counts every step."""
    run_folder.mkdir(parents=True, exist_ok=True)
    locks.hold(run_folder)
    for rest in run_folder.glob(".*.tmp"):
        rest.unlink()
    log = os.open(run_folder / ".steps", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    tiny_fit(run_folder, tiny_recipe(**RECIPE), after_step=lambda *_: os.write(log, b"s"))


def _kill_once(run: Path, rng: random.Random, duration: float, operations: int, outcome: Outcome) -> str:
    if rng.random() < 0.5:
        victim = _fork(run, die_at=rng.randrange(operations), rng=random.Random(rng.random()))
        if _wait(victim, run, outcome) != -signal.SIGKILL:
            raise RuntimeError("the training did not reach the write at which it was to be killed")
        return "in a write"
    number = rng.choices((signal.SIGKILL, signal.SIGTERM, signal.SIGINT), (6, 2, 2))[0]
    victim, end = _fork(run), time.perf_counter() + rng.uniform(0, duration)
    while time.perf_counter() < end:
        _read_best(run, outcome)
    os.kill(victim, number)
    _wait(victim, run, outcome)
    return number.name


def _fork(run: Path, die_at: int | None = None, rng: random.Random | None = None) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        # The signal handlers of a fresh process, whatever the parent's are.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if die_at is not None:
            _WriteKiller(die_at, rng).install()
        train(run)
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        print(f"{run.name}: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


class _WriteKiller:
    """Kills this process at its n-th write, fsync or rename: before it, within it, or after it."""

    def __init__(self, at: int, rng: random.Random) -> None:
        self.left, self.rng = at, rng

    def install(self) -> None:
        class Os:  # the module as helpers/common/files.py sees it
            def __getattr__(self, name):
                return getattr(os, name)

        seen = Os()
        seen.fsync, seen.replace = self._around(os.fsync), self._around(os.replace)
        files.os = seen
        files.open = self._open

    def _around(self, call):
        def wrapped(*arguments):
            self.left -= 1
            if self.left < 0 and self.rng.random() < 0.5:
                self.kill()
            call(*arguments)
            if self.left < 0:
                self.kill()

        return wrapped

    def _open(self, path, mode):
        file, killer = open(path, mode), self  # noqa: SIM115 (the wrapper below closes it)

        class File:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, content):
                killer.left -= 1
                if killer.left < 0:
                    file.write(content[: killer.rng.randrange(len(content) + 1)])
                    file.flush()
                    killer.kill()
                file.write(content)

            def __getattr__(self, name):
                return getattr(file, name)

        return File()

    def kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _count_operations(run: Path) -> int:
    """Return the number of writes, fsyncs and renames of an uninterrupted training."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        counter = _WriteKiller(10**9, random.Random(0))
        counter.install()
        train(run)
        os.write(writer, str(10**9 - counter.left).encode())
        os._exit(0)
    _wait(child)
    os.close(writer)
    count = int(os.read(reader, 100))
    os.close(reader)
    return count


def _wait(child: int, run: Path | None = None, outcome: Outcome | None = None) -> int:
    """Return the child's exit code, negative for a signal; until then, read the best model again and again."""
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if run is not None and outcome is not None:
            _read_best(run, outcome)
        else:
            time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    raise RuntimeError("a training hangs")


def _read_best(run: Path, outcome: Outcome) -> None:
    if (run / "best_model.pth").exists():
        tensors.load_tensors(run / "best_model.pth")  # raises RunError if it is incomplete
        outcome.reads += 1
    time.sleep(0.002)


def _repeated_steps(run: Path) -> int:
    recipe = tiny_recipe(**RECIPE)
    needed = recipe.epochs * len(tiny_loaders(recipe).train)
    return (run / ".steps").stat().st_size - needed


def _plain(value):
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), _sha256(value.contiguous().numpy().tobytes()))
    if isinstance(value, dict):
        return sorted((str(key), _plain(entry)) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    """Kill as often as the command line says; the exit code is 0 if everything was resumed bit-identically."""
    enable_ctrl_c()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--notebooks", type=int, default=0, help="how many of the kills are of whole headless notebooks"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = kill_often(options.kills - options.notebooks, Path(folder) / "trainings", options.seed)
        except RunError as error:
            print(f"best_model.pth could not be read: {error}")
            return 1
        print(outcome, *outcome.different, sep="\n", flush=True)
        notebooks = {"kills": 0, "identical": 0, "lost": 0, "outside": 0}
        if options.notebooks:
            notebooks = notebook_kills.kill_often(options.notebooks, Path(folder) / "notebooks", options.seed)
    identical = outcome.identical + notebooks["identical"]
    lost, outside = outcome.lost + notebooks["lost"], outcome.outside + notebooks["outside"]
    print(f"{time.perf_counter() - start:.0f} s, {notebooks['kills']} of the kills were of whole notebooks")
    print(
        f"kills {outcome.kills.total() + notebooks['kills']}, resumed bit-identically {identical}, "
        f"files lost {lost}, files outside {outside}"
    )
    good = identical == options.kills and not lost + outside and outcome.most_repeated <= STEPS
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
