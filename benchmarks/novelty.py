"""Rules for photos of none of the classes, compared: ``python -m benchmarks.novelty --data FOLDER --weights FILE``.

One kind of flower at a time is unknown: the head is trained on the others, on features of the frozen backbone that are
computed once. Of the known photos three fifths train the head and the rule, one fifth sets the threshold that flags 5 %
of it, and one fifth is asked, together with all photos of the unknown kind; every fifth in every part. Then, with
all kinds known, pictures of no flower. Writes report/results/novelty.json: numbers alone, no photos.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import stats

from benchmarks.candidates import CPU, FOLDS, folds, machine_precision, new_model
from helpers.common import device, files
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.canvases import val_picture, val_pictures
from helpers.data.loading.loaders import InMemoryLoader, val_batch_size
from helpers.data.sources import garden
from helpers.evaluation.features import Activations, look_at_all
from helpers.inference import out_of_distribution
from helpers.inference.out_of_distribution import MOST
from helpers.recipe import Recipe
from helpers.runs.environment import git_commit
from helpers.runs.run import project_root
from helpers.training.linear_probe import FeatureLoader
from helpers.training.loop import train_one_epoch
from helpers.training.optimization import make_loss, make_optimizer, make_schedule

OUTPUT = "report/results/novelty.json"
CHOSEN = f"ViM, normalized, {out_of_distribution.DIRECTIONS} of {MOST} photos"
Doubt = Callable[[Activations], torch.Tensor]  # (n,): the larger, the less like the training photos
SOURCES = {
    "maximum probability": "Hendrycks & Gimpel, 2017",
    "maximum logit": "Hendrycks et al., 2022",
    "energy": "Liu et al., 2020",
    "Mahalanobis": "Lee et al., 2018; shared covariance of normalized features, 64 directions and an equal rest",
    "nearest neighbour": "Sun et al., 2022; of normalized features",
    "ViM": "Wang et al., 2022; 32 directions",
    "ViM, normalized, 16": "the same of normalized features; 16 directions",
    "ViM, normalized, 32": "32 directions",
    "ViM, normalized, 64": "64 directions",
    "ViM, normalized, 128": "128 directions",
    CHOSEN: "32 directions, learned from 500 of the training photos: what a run remembers",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--backbone", default="mobilenet_v2")
    options = parser.parse_args()
    device.prepare(0, True)
    audit = audit_photos(find_photos(options.data))
    recipe = Recipe.from_preset("fast", backbone=options.backbone, weights=options.weights)
    model = new_model(recipe, frozen=True).eval()
    print(f"features of {len(audit.photos):,} photos", flush=True)
    features = features_of(model, val_pictures(audit, range(len(audit.photos)), recipe))
    fold, labels = torch.tensor(folds(audit)), torch.tensor(audit.photos.labels)
    flowers = compare(features, labels, fold, audit, recipe)
    for name, row in flowers.items():
        print(
            f"{name:<20} AUROC {row['auroc']:.3f}  flagged {row['flagged']:.1%}  false alarms {row['false_alarms']:.1%}"
        )
    others = flag_others(model, features, labels, fold, recipe)
    files.write_json(project_root() / OUTPUT, facts(options.backbone, audit, flowers, others))
    return 0


def compare(
    features: torch.Tensor, labels: torch.Tensor, fold: torch.Tensor, audit: Audit, recipe: Recipe
) -> dict[str, dict[str, Any]]:
    """For every rule what it makes of unknown flowers, on average over the kinds, with 95 % intervals over kinds."""
    kinds = range(len(audit.photos.classes))
    measured = [[one_round(features, labels, fold, kind, part, recipe) for part in range(FOLDS)] for kind in kinds]
    rows = {}
    for name in SOURCES:
        # (kinds, 3): AUROC, share of the unknown flagged, share of the known flagged
        values, base = (
            np.array([[r[n] for r in kind] for kind in measured]).mean(1) for n in (name, next(iter(SOURCES)))
        )
        row: dict[str, Any] = {"source": SOURCES[name]}
        for i, number in enumerate(("auroc", "flagged", "false_alarms")):
            row[number], row[f"{number}_low"], row[f"{number}_high"] = student(values[:, i])
        row["auroc_gain"], row["auroc_gain_low"], row["auroc_gain_high"] = student(values[:, 0] - base[:, 0])
        row["kinds"] = {
            audit.photos.classes[kind]: {"auroc": round(values[kind, 0], 4), "flagged": round(values[kind, 1], 4)}
            for kind in kinds
        }
        rows[name] = row
    return rows


def one_round(
    features: torch.Tensor, labels: torch.Tensor, fold: torch.Tensor, unknown: int, part: int, recipe: Recipe
) -> dict[str, tuple[float, float, float]]:
    """AUROC and the flagged shares of unknown and known photos, for every rule."""
    known, asked = labels != unknown, (part + 1) % FOLDS
    train = known & (fold != part) & (fold != asked)
    names = labels[known].unique().tolist()
    renumbered = torch.tensor([names.index(k) if k in names else -1 for k in labels.tolist()])
    head = train_head(features[train], renumbered[train], len(names), recipe)
    sets = [seen_by(head, features[chosen]) for chosen in (known & (fold == part), known & (fold == asked), ~known)]
    out = {}
    for name, doubt in rules(seen_by(head, features[train]), renumbered[train]).items():
        threshold_set, held_out, strange = (doubt(seen) for seen in sets)
        threshold = out_of_distribution.threshold_of(threshold_set)
        flagged, alarms = ((doubts > threshold).float().mean().item() for doubts in (strange, held_out))
        out[name] = (auroc(held_out, strange), flagged, alarms)
    return out


def rules(train: Activations, labels: torch.Tensor) -> dict[str, Doubt]:
    """The rules by name, as they follow from the training photos."""
    table: dict[str, Doubt] = {
        "maximum probability": lambda seen: -seen.logits.softmax(1).amax(1),
        "maximum logit": lambda seen: -seen.logits.amax(1),
        "energy": lambda seen: -seen.logits.logsumexp(1),
        "Mahalanobis": mahalanobis(F.normalize(train.features), labels),
        "nearest neighbour": nearest(F.normalize(train.features)),
        "ViM": as_published(train),
    }
    for count in (16, 32, 64, 128):
        table[f"ViM, normalized, {count}"] = out_of_distribution.learn(train, train, count).doubt
    some = torch.linspace(0, len(labels) - 1, MOST).long()
    table[CHOSEN] = out_of_distribution.learn(Activations(train.features[some], train.logits[some]), train).doubt
    return table


def mahalanobis(features: torch.Tensor, labels: torch.Tensor, directions: int = 64) -> Doubt:
    """Distance to the nearest class mean; beside the main directions the spread is taken to be the same everywhere."""
    means = torch.stack([features[labels == label].mean(0) for label in labels.unique()])
    _, spread, axes = torch.linalg.svd(features - means[labels], full_matrices=False)
    variance, axes = spread.square() / len(features), axes[:directions]
    rest = variance[directions:].sum() / (features.shape[1] - directions)

    def doubt(seen: Activations) -> torch.Tensor:
        offset = F.normalize(seen.features)[:, None] - means  # (n, classes, k)
        along = offset @ axes.T
        beside = offset.square().sum(2) - along.square().sum(2)
        return ((along.square() / variance[:directions]).sum(2) + beside / rest).amin(1)

    return doubt


def nearest(features: torch.Tensor) -> Doubt:
    """Cosine distance to the nearest training photo. (Of 1, 5, 10 and 50 neighbours, one was best.)"""
    return lambda seen: 1 - (F.normalize(seen.features) @ features.T).amax(1)


def as_published(train: Activations, directions: int = 32) -> Doubt:
    """ViM without the scaling of features to length 1."""
    centre = train.features.mean(0)
    axes = torch.linalg.svd(train.features - centre, full_matrices=False)[2][:directions]

    def distance(seen: Activations) -> torch.Tensor:
        offset = seen.features - centre
        return (offset - offset @ axes.T @ axes).norm(dim=1)

    weight = train.logits.amax(1).mean() / distance(train).mean()
    return lambda seen: weight * distance(seen) - seen.logits.logsumexp(1)


def train_head(features: torch.Tensor, labels: torch.Tensor, classes: int, recipe: Recipe) -> torch.nn.Module:
    """A head for these classes, trained as the preset ``fast`` trains it."""
    torch.manual_seed(recipe.seed)
    head = torch.nn.Sequential(torch.nn.Dropout(recipe.dropout), torch.nn.Linear(features.shape[1], classes))
    optimizer = make_optimizer(head, recipe)
    schedule, feed = make_schedule(optimizer, recipe), FeatureLoader(features, labels, recipe.batch_size, recipe.seed)
    for epoch in range(recipe.epochs):
        train_one_epoch(head, feed.epoch(epoch), make_loss(), optimizer, torch.float32)
        schedule.step()
    return head.eval()


@torch.inference_mode()
def seen_by(head: torch.nn.Module, features: torch.Tensor) -> Activations:
    return Activations(features, head(features))


def flag_others(
    model: torch.nn.Module, features: torch.Tensor, labels: torch.Tensor, fold: torch.Tensor, recipe: Recipe
) -> dict[str, dict[str, Any]]:
    """With all kinds known: how many pictures of no flower three of the rules flag."""
    train = (fold != 0) & (fold != 1)
    head = train_head(features[train], labels[train], len(labels.unique()), recipe)
    table, val = rules(seen_by(head, features[train]), labels[train]), seen_by(head, features[fold == 0])
    rows = {}
    for kind, pictures in other_pictures():
        stacked = torch.from_numpy(np.stack([val_picture(picture, recipe) for picture in pictures]))
        seen = seen_by(head, features_of(model, stacked))
        rows[kind] = {"pictures": len(pictures)} | {
            f"flagged by {name}": int((table[name](seen) > out_of_distribution.threshold_of(table[name](val))).sum())
            for name in ("maximum probability", "ViM", CHOSEN)
        }
        print(kind, rows[kind], flush=True)
    return rows


def other_pictures() -> Iterator[tuple[str, list[Image.Image]]]:
    """Few, since no photos may be in the repository: what draws itself, and what comes with an installed package."""
    generator = np.random.default_rng(0)
    drawn = [garden.draw_photo(species, 0, i) for species in garden.SPECIES for i in range(10)]
    noise = [generator.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(20)]
    patches = [generator.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(20)]
    colours = [tuple(int(value) for value in generator.integers(0, 256, 3)) for _ in range(20)]
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    yield "flowers drawn by the demo", drawn
    yield "noise", [Image.fromarray(pixels) for pixels in noise]
    yield "smooth colours", [Image.fromarray(p).resize((320, 240), Image.Resampling.BICUBIC) for p in patches]
    yield "one flat colour", [Image.new("RGB", (320, 240), colour) for colour in colours]
    yield "a chart of this project", [Image.open(project_root() / "benchmarks" / "results.png").convert("RGB")]
    yield "a portrait (Grace Hopper, of matplotlib)", [Image.open(portrait).convert("RGB")]


def features_of(model: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    feed = InMemoryLoader(pictures, torch.zeros(len(pictures)), val_batch_size(CPU))
    return look_at_all(model, feed.epoch(), machine_precision()).features.clone()


def auroc(known: torch.Tensor, strange: torch.Tensor) -> float:
    """The chance that a strange photo gets more doubt than a known one; ties count half."""
    difference = strange[:, None] - known[None]
    return ((difference > 0).float() + (difference == 0).float() / 2).mean().item()


def student(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval (Student, 1908), the values being a sample of all kinds of flowers."""
    margin = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return tuple(round(float(number), 4) for number in (values.mean(), values.mean() - margin, values.mean() + margin))


def facts(backbone: str, audit: Audit, flowers: dict, others: dict) -> dict[str, Any]:
    """What was measured, on what, with what, and how to do it again."""
    return {
        "command": "python -m benchmarks.novelty --data FOLDER --weights FILE",
        "date": date.today().isoformat(),
        "backbone": backbone,
        "photos": len(audit.photos),
        "data_fingerprint": audit.fingerprint,
        "rounds": f"each of {len(audit.photos.classes)} kinds unknown, {FOLDS} times",
        "packages": {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
        "precision": str(machine_precision()).removeprefix("torch."),
        "git_commit": git_commit(project_root()),
        "chosen": CHOSEN,
        "unknown_flowers": flowers,
        "other_pictures": others,
    }


if __name__ == "__main__":
    sys.exit(main())
