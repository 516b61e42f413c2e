"""Using a finished run again: its best model, rebuilt from the run folder alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers.common import tensors
from helpers.common.errors import RunError
from helpers.models import build_backbone, replace_head

FACTS = ("backbone", "classes", "dropout", "image_size", "val_resize", "mean", "std")


def read_facts(folder: Path) -> dict[str, Any]:
    """``best_model.json``: backbone, classes, image size, normalization, validation accuracy.

    Raises:
        RunError: the run has saved no model yet, or the file is damaged.
    """
    path = folder / "best_model.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if missing := [name for name in FACTS if name not in facts]:
            raise ValueError(f"{missing[0]} is missing")
        return facts
    except FileNotFoundError as error:
        raise RunError(f"{folder} holds no saved model: train first, or name the folder of another run") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}): train again") from error


def load_best_model(folder: Path, device: torch.device | str = "cpu") -> nn.Module:
    """The best model of a run, on the device, in evaluation mode.

    Raises:
        RunError: the run has saved none yet, or its files are damaged or do not fit each other.
    """
    facts = read_facts(folder)
    weights = tensors.load_tensors(folder / "best_model.pth")
    try:
        model = replace_head(build_backbone(facts["backbone"], "none"), len(facts["classes"]), facts["dropout"])
        model.load_state_dict(weights)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        said = str(error).splitlines()[0]
        raise RunError(f"{folder}: best_model.json and best_model.pth do not fit ({said}): train again") from error
    return model.to(device, memory_format=torch.channels_last).eval()
