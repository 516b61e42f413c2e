"""Compare candidates for the ``fast`` preset.

``python -m benchmarks.contenders.fast_candidates --data FOLDER --weights FILE`` trains the head on frozen features, at
several image sizes, by 5-fold cross-validation on all photos (identical files in one fold); then one more epoch of
everything, on the split of seed 0. Accuracies are those of the last epoch. Writes
benchmarks/results/fast_candidates.json.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders.frozen_features import (
    CPU,
    FOLDS,
    cpu_precision,
    deal_folds,
    new_model,
    read_options,
    train_head,
)
from helpers.data.audit import Audit
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import Split, split_photos
from helpers.evaluation.predictions import predict
from helpers.evaluation.statistics import wilson_interval
from helpers.models.head import head_module
from helpers.recipe import Recipe
from helpers.training import make_loss, make_optimizer, train_one_epoch
from helpers.training.linear_probe import FeatureLoader, select_trained_part
from helpers.training.setup import Extras

SIZES = ((128, 146), (160, 183), (192, 220), (224, 256), (256, 293))  # px: image_size, val_resize
FINE_TUNED = ((128, 146, 1e-3), (224, 256, 1e-3), (224, 256, 3e-3))  # and the learning rate
OUTPUT = Path(__file__).parents[1] / "results" / "fast_candidates.json"


def main() -> int:
    """Measure every candidate and write the rows."""
    audit, fast = read_options(__doc__.splitlines()[0])
    rows = []
    for size, resize in SIZES:
        rows.append(head_alone(audit, replace(fast, image_size=size, val_resize=resize)))
        print(json.dumps(rows[-1]), flush=True)
    for size, resize, lr in FINE_TUNED:
        rows.append(head_then_all(audit, replace(fast, image_size=size, val_resize=resize), lr))
        print(json.dumps(rows[-1]), flush=True)
    text = json.dumps({"backbone": fast.backbone, "photos": len(audit.photos), "rows": rows}, indent=1)
    OUTPUT.write_text(text + "\n", encoding="utf-8")
    return 0


def head_alone(audit: Audit, recipe: Recipe) -> dict[str, Any]:
    """Cross-validate the head on features that are computed once for all folds."""
    start = time.perf_counter()
    model = new_model(recipe, frozen=True)
    everything = Split(tuple(range(len(audit.photos))), tuple(range(len(audit.photos))))
    _, loaders = select_trained_part(model, make_loaders(audit, everything, recipe, CPU), recipe, cpu_precision())
    features, labels = loaders.val.pictures, loaders.val.labels
    seconds = (time.perf_counter() - start) / 2  # every photo was computed twice, for training and for validation
    correct, fold = 0, deal_folds(audit)
    for k in range(FOLDS):
        inside, outside = torch.tensor(fold != k), torch.tensor(fold == k)
        train = FeatureLoader(features[inside], labels[inside], recipe.batch_size, recipe.seed)
        head = train_head(head_module(new_model(recipe, frozen=True)), train, recipe, cpu_precision())
        correct += predict(head, FeatureLoader(features[outside], labels[outside], 64), cpu_precision()).correct
    return result_row(f"head alone, {recipe.image_size} px", correct, len(labels), seconds)


def head_then_all(audit: Audit, recipe: Recipe, lr: float) -> dict[str, Any]:
    """LP-FT (Kumar et al., 2022): the head, then one epoch of everything, its rate falling by half a cosine."""
    start = time.perf_counter()
    loaders = make_loaders(audit, split_photos(audit, 0.8, 0), recipe, CPU)
    model = new_model(recipe, frozen=False)
    _, features = select_trained_part(model, loaders, recipe, cpu_precision())
    train_head(head_module(model), features.train, recipe, cpu_precision())
    tuned = replace(recipe, frozen_backbone=False, lr=lr, epochs=1)
    optimizer = make_optimizer(model, tuned)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(loaders.train))

    def batches():
        for batch in loaders.train.epoch(0):
            yield batch
            schedule.step()

    train_one_epoch(model, batches(), make_loss(), optimizer, Extras(cpu_precision()))
    predictions = predict(model, loaders.val, cpu_precision())
    name = f"head, then 1 epoch of everything, {recipe.image_size} px, lr {lr:g}"
    return result_row(name, predictions.correct, len(predictions.labels), time.perf_counter() - start)


def result_row(name: str, correct: int, photos: int, seconds: float) -> dict[str, Any]:
    """Return one candidate's accuracy with Wilson's 95 % interval, and its time."""
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
