"""What was tried for the `fast` preset: ``python -m benchmarks.candidates --data FOLDER --weights FILE``.

The head on frozen features, at several sizes of the picture, by 5-fold cross-validation over all
photos (identical files in one fold); and what fine-tuning for one epoch adds to it, on the split of
seed 0. Accuracies are those of the last epoch. Writes benchmarks/candidates.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers.common import device
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import Loaders, make_loaders
from helpers.data.split import Split, split_photos
from helpers.evaluation.predictions import predict
from helpers.evaluation.statistics import wilson_interval
from helpers.models import build_model
from helpers.models.head import head_module
from helpers.recipe import Recipe
from helpers.training.linear_probe import FeatureLoader, select_trained_part
from helpers.training.loop import train_one_epoch
from helpers.training.optimization import make_loss, make_optimizer, make_schedule

FOLDS = 5
SIZES = ((128, 146), (160, 183), (192, 220), (224, 256), (256, 293))
CPU = torch.device("cpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--backbone", default="mobilenet_v2")
    options = parser.parse_args()
    device.prepare(0, True)
    audit = audit_photos(find_photos(options.data))
    fast = Recipe.from_preset("fast", backbone=options.backbone, weights=options.weights)
    rows = []
    for size, resize in SIZES:
        rows.append(head_alone(audit, replace(fast, image_size=size, val_resize=resize)))
        print(json.dumps(rows[-1]), flush=True)
    for size, resize, lr in ((128, 146, 1e-3), (224, 256, 1e-3), (224, 256, 3e-3)):
        rows.append(head_then_all(audit, replace(fast, image_size=size, val_resize=resize), lr))
        print(json.dumps(rows[-1]), flush=True)
    text = json.dumps({"backbone": options.backbone, "photos": len(audit.photos), "rows": rows}, indent=1)
    (Path(__file__).parent / "candidates.json").write_text(text + "\n", encoding="utf-8")
    return 0


def head_alone(audit: Audit, recipe: Recipe) -> dict:
    """The head on features that are computed once for all folds."""
    start = time.perf_counter()
    model = new_model(recipe, frozen=True)
    everything = Split(tuple(range(len(audit.photos))), tuple(range(len(audit.photos))))
    _, feeds = select_trained_part(model, make_loaders(audit, everything, recipe, CPU), recipe, machine_precision())
    features, labels = feeds.val.pictures, feeds.val.labels
    seconds = (time.perf_counter() - start) / 2  # everything was there twice, as training and as validation photos
    correct, fold = 0, folds(audit)
    for k in range(FOLDS):
        inside, outside = torch.tensor(fold != k), torch.tensor(fold == k)
        parts = Loaders(
            FeatureLoader(features[inside], labels[inside], recipe.batch_size, recipe.seed),
            FeatureLoader(features[outside], labels[outside], 64),
            audit.photos.classes,
            "",
            "",
        )
        correct += train_head(new_model(recipe, frozen=True), parts, recipe).correct
    return row(f"head alone, {recipe.image_size} px", correct, len(labels), seconds)


def head_then_all(audit: Audit, recipe: Recipe, lr: float) -> dict:
    """LP-FT: the head first, then one epoch of everything, lr falling by half a cosine within it."""
    start = time.perf_counter()
    split = split_photos(audit, 0.8, 0)
    feeds = make_loaders(audit, split, recipe, CPU)
    model = new_model(recipe, frozen=False)
    _, features = select_trained_part(model, feeds, recipe, machine_precision())
    train_head(model, features, recipe)
    tuned = replace(recipe, frozen_backbone=False, lr=lr, epochs=1)
    optimizer = make_optimizer(model, tuned)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(feeds.train))

    def batches():
        for batch in feeds.train.epoch(0):
            yield batch
            schedule.step()

    train_one_epoch(model, batches(), make_loss(), optimizer, machine_precision())
    predictions = predict(model, feeds.val, machine_precision())
    name = f"head, then 1 epoch of everything, {recipe.image_size} px, lr {lr:g}"
    return row(name, predictions.correct, len(predictions.labels), time.perf_counter() - start)


def train_head(model: nn.Module, feeds: Loaders, recipe: Recipe):
    """Predictions for the validation features after the recipe's epochs."""
    head = head_module(model)
    optimizer = make_optimizer(head, recipe)
    schedule = make_schedule(optimizer, recipe)
    for epoch in range(recipe.epochs):
        train_one_epoch(head, feeds.train.epoch(epoch), make_loss(), optimizer, machine_precision())
        schedule.step()
    return predict(head, feeds.val, machine_precision())


def new_model(recipe: Recipe, frozen: bool) -> nn.Module:
    return build_model(replace(recipe, frozen_backbone=frozen), 5).to(memory_format=torch.channels_last)


def machine_precision() -> torch.dtype:
    return device.pick_precision("auto", CPU)


def folds(audit: Audit) -> np.ndarray:
    """A fold for every photo; identical files have the same."""
    number = {digest: i for i, digest in enumerate(dict.fromkeys(audit.hashes))}
    dealt = np.random.default_rng(0).permutation(len(number)) % FOLDS
    return np.array([dealt[number[digest]] for digest in audit.hashes])


def row(name: str, correct: int, photos: int, seconds: float) -> dict:
    low, high = wilson_interval(correct, photos)
    return {
        "candidate": name,
        "accuracy": correct / photos,
        "low": low,
        "high": high,
        "photos": photos,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
