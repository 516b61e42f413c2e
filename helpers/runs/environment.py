"""``environment.json``: where and with what a run was made."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from helpers.common import device, distributed
from helpers.common.errors import RunError
from helpers.common.files import read_json, write_json
from helpers.models.weights import weights_digest

if TYPE_CHECKING:
    from helpers.runs.run import Run

FILE = "environment.json"
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "matplotlib", "papermill")


def environment(run: Run, fingerprint: str) -> dict[str, Any]:
    """Collect what could make the same recipe give other numbers elsewhere; ``fingerprint`` is the photos'."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in PACKAGES},
        "device": str(run.device),
        "device_name": device.describe(run.device),
        "threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        "precision": str(run.precision).removeprefix("torch."),
        "deterministic": run.recipe.deterministic,
        "seed": run.recipe.seed,
        "data_fingerprint": fingerprint,
        "weights_sha256": weights_digest(run.recipe.backbone, run.locate(run.recipe.weights)),
        "git_commit": git_commit(run.root),
    }


def git_commit(root: Path) -> str:
    """Return the commit of the code, with ``+changes`` if files differ from it; ``unknown`` outside git."""

    def git(*arguments: str) -> str:
        options = {"cwd": root, "capture_output": True, "text": True, "check": True, "timeout": 10}
        return subprocess.run(["git", *arguments], **options).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--", "helpers", "requirements.txt")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def save_environment(folder: Path, facts: dict[str, Any]) -> None:
    """Write the file; other environments that an interrupted run has used before are kept under ``before``."""
    before: dict[str, Any] = {}
    with contextlib.suppress(RunError):
        before = read_environment(folder)
    earlier = before.pop("before", [])
    if before not in ({}, facts):
        earlier = [*earlier, before]
    write_json(folder / FILE, facts | {"before": earlier} if earlier else facts)


def read_environment(folder: Path) -> dict[str, Any]:
    """Read the file. Raises RunError: it is missing or damaged."""
    return read_json(folder / FILE)
