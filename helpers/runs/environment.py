"""A run's folder: what every run leaves behind, and how an interrupted one goes on."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from helpers.common import device, distributed
from helpers.runs.run import Run


def environment(run: Run, fingerprint: str) -> dict[str, Any]:
    """What could make the same recipe give other numbers elsewhere."""
    packages = ("torch", "torchvision", "numpy", "pillow", "matplotlib", "papermill")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in packages},
        "device": str(run.device),
        "device_name": device.describe(run.device),
        "threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        "precision": str(run.precision).removeprefix("torch."),
        "deterministic": run.recipe.deterministic,
        "seed": run.recipe.seed,
        "data_fingerprint": fingerprint,
        "git_commit": git_commit(run.root),
    }


def git_commit(root: Path) -> str:
    """The commit of the code, with ``+changes`` if files differ from it; ``unknown`` outside git."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "helpers", "requirements.txt"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+changes" if changed else "")
