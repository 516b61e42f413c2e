"""What the studies of frozen features share: options, model, folds, and training a head."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from helpers.common import device
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import InMemoryLoader
from helpers.models.build import build_model
from helpers.recipe import Recipe
from helpers.training import make_loss, make_optimizer, make_schedule, train_one_epoch
from helpers.training.setup import Extras

FOLDS = 5
CPU = torch.device("cpu")


def read_options(description: str) -> tuple[Audit, Recipe]:
    """Return the audited photos and the ``fast`` recipe that the command line asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--backbone", default="mobilenet_v2")
    options = parser.parse_args()
    device.prepare(0, True)
    audit = audit_photos(find_photos(options.data))
    return audit, Recipe.from_preset("fast", backbone=options.backbone, weights=options.weights)


def new_model(recipe: Recipe, frozen: bool) -> nn.Module:
    """Build the recipe's network for five classes."""
    return build_model(replace(recipe, frozen_backbone=frozen), 5).to(memory_format=torch.channels_last)


def cpu_precision() -> torch.dtype:
    """Return the precision that ``auto`` means on this processor."""
    return device.pick_precision("auto", CPU)


def deal_folds(audit: Audit) -> np.ndarray:
    """Return a fold for every photo, int64 ``(n,)``; identical files are in the same."""
    number = {digest: i for i, digest in enumerate(dict.fromkeys(audit.hashes))}
    dealt = np.random.default_rng(0).permutation(len(number)) % FOLDS
    return np.array([dealt[number[digest]] for digest in audit.hashes])


def train_head(head: nn.Module, loader: InMemoryLoader, recipe: Recipe, precision: torch.dtype) -> nn.Module:
    """Train a head on stored features, with the recipe's optimizer, schedule and epochs, and return it."""
    optimizer = make_optimizer(head, recipe)
    schedule = make_schedule(optimizer, recipe)
    for epoch in range(recipe.epochs):
        train_one_epoch(head, loader.epoch(epoch), make_loss(), optimizer, Extras(precision))
        schedule.step()
    return head
