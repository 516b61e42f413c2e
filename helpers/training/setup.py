"""Everything that a training needs, from a run, an audit and a split; the notebook does it cell by cell."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from helpers.data.audit import Audit
from helpers.data.loading.loaders import Loaders, make_loaders
from helpers.data.split import Split
from helpers.models import build_model
from helpers.runs.run import Run
from helpers.training.optimization import make_optimizer, make_schedule


class Training(NamedTuple):
    """What ``fit`` takes."""

    model: nn.Module  # on the run's device
    feeds: Loaders
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler


def assemble(run: Run, audit: Audit, split: Split, cache: Path | None = None) -> Training:
    """Feeds, model, optimizer and schedule as the run's recipe says.

    Raises:
        UserError: the photos, the weights or a setting cannot be used.
    """
    recipe = run.recipe
    feeds = make_loaders(audit, split, recipe, run.device, cache=cache)
    model = build_model(recipe, len(audit.photos.classes), run.locate(recipe.weights))
    model = model.to(run.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(model, recipe)
    return Training(model, feeds, optimizer, make_schedule(optimizer, recipe))
