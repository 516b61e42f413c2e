"""A training that takes a moment: 21 pictures of 16 px, a network of four channels."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from helpers.data.loading.canvases import canvas_sides
from helpers.data.loading.loaders import AugmentingLoader, InMemoryLoader, Loaders
from helpers.models import build_backbone, freeze, replace_head
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.run import Run
from helpers.training import fit, make_loss, make_optimizer, make_schedule

CPU = torch.device("cpu")
ROOT = Path(__file__).parent.parent


def tiny_recipe(**changes):
    small = {
        "image_size": 16,
        "crop_size": 16,
        "val_resize": 16,
        "batch_size": 8,
        "epochs": 3,
        "lr": 0.05,
        "vertical_flip": 0.0,
        "rotation": 5.0,
    }
    return Recipe(**small).with_settings(**changes)


def tiny_loaders(recipe, n=21):
    """Bright-above against bright-below pictures; 21 photos leave a ragged last batch of 5."""
    side, _ = canvas_sides(recipe)
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(n) % 2
    canvases = torch.randint(0, 90, (n, 3, side, side), generator=generator)
    for i, label in enumerate(labels):
        half = slice(0, side // 2) if label else slice(side // 2, side)
        canvases[i, :, half] += 150
    canvases = canvases.to(torch.uint8)
    offset = (side - 16) // 2
    pictures = canvases[:, :, offset : offset + 16, offset : offset + 16].contiguous()
    half_sizes = torch.full((n, 2), 100.0)
    return Loaders(
        AugmentingLoader(canvases, half_sizes, labels, recipe),
        InMemoryLoader(pictures, labels, 64),
        ("below", "above"),
        "resident",
        "",
    )


class Tiny(nn.Sequential):
    """A network that is not torchvision's."""


def tiny_model(seed=0):
    torch.manual_seed(seed)
    return Tiny(
        nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(196, 2)
    )


def a_run(folder, recipe):
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder, recipe, folder, CPU, torch.float32)


def tiny_fit(folder, recipe, log=lambda _: None, after_step=None, model=None):
    """Train the tiny model in ``folder``; ``after_step`` is called by the optimizer."""
    model = model or tiny_model()
    optimizer = make_optimizer(model, recipe)
    if after_step:
        optimizer.register_step_post_hook(after_step)
    schedule = make_schedule(optimizer, recipe)
    return fit(model, tiny_loaders(recipe), make_loss(), optimizer, schedule, a_run(folder, recipe), log)


def stop_at(step, number=signal.SIGINT):
    """Called after each step: gives the signal at the n-th."""
    taken = iter(range(10_000))

    def after_step(*_):
        if next(taken) == step:
            signal.raise_signal(number)

    return after_step


def forked(work):
    """Do the work in a process of its own, within a moment; return its exit code, or minus the signal, and its result.

    A new Python would first have to import torch, which takes seconds.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        torch.set_num_threads(1)  # a forked process has none of its parent's threads
        with contextlib.suppress(BaseException):
            for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}.items():
                signal.signal(number, handler)
            os.write(writer, str(work()).encode())
            os._exit(0)
        os._exit(1)
    os.close(writer)
    with open(reader) as result:
        said = result.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@contextlib.contextmanager
def held_elsewhere(folder, name="run"):
    """Hold a lock of the folder in another process, which is killed at the end; yields its number."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            locks.hold(folder, name)
            os.write(writer, b"held")
            time.sleep(60)
        os._exit(1)
    assert os.read(reader, 4) == b"held"
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def start_python(code, *arguments, **options):
    """Start a Python process in the project's folder."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes, **options)


def random_model(name, classes, dropout=0.5, seed=0, weights="none", **frozen):
    """A torchvision model with random weights and a head for so many classes; ``frozen``: arguments of ``freeze``."""
    model = replace_head(build_backbone(name, weights, seed), classes, dropout, seed)
    return freeze(model, **frozen)


def tiny_results(**changes):
    """The numbers without which ``results.json`` is refused."""
    numbers = {"run": "a", "dataset": "photos", "demo": False, "backbone": "resnet18", "classes": ["below", "above"]}
    numbers |= {"photos": 12, "val_photos": 3, "epochs": 1, "training_seconds": 1.0, "last_five_mean": 2 / 3}
    return numbers | {"best_val_accuracy": 2 / 3, "interval_low": 0.2, "interval_high": 0.9} | changes
