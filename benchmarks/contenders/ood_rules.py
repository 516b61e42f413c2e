"""Compare rules for photos of unknown classes.

``python -m benchmarks.contenders.ood_rules --data FOLDER --weights FILE`` makes one kind of flower at a time unknown:
the head is trained on the others, on features of the frozen backbone that are computed once. Of the known photos, three
fifths train the head and fit the rule, one fifth sets the threshold that flags 5 % of it, and one fifth is scored,
together with all photos of the unknown kind; the fifths take turns. Then, with all kinds known, images with no flower.
Writes report/results/novelty.json: numbers only, no photos.
"""

from __future__ import annotations

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
from sklearn.metrics import roc_auc_score

from benchmarks.contenders import frozen_features
from benchmarks.contenders.frozen_features import CPU, FOLDS, cpu_precision, deal_folds, new_model, read_options
from helpers.common import files
from helpers.data.audit import Audit
from helpers.data.loading.canvases import val_picture, val_pictures
from helpers.data.loading.loaders import InMemoryLoader, val_batch_size
from helpers.data.sources.garden_flowers import SPECIES
from helpers.data.sources.garden_photo import draw_photo
from helpers.evaluation.features import Activations, collect_activations
from helpers.inference import out_of_distribution
from helpers.inference.out_of_distribution import MAX_TRAIN_PHOTOS
from helpers.recipe import Recipe
from helpers.runs.environment import git_commit
from helpers.runs.folders import project_root
from helpers.training.linear_probe import FeatureLoader

OUTPUT = "report/results/novelty.json"
CHOSEN = f"ViM, normalized, {out_of_distribution.DIRECTIONS} of {MAX_TRAIN_PHOTOS} photos"
Score = Callable[[Activations], torch.Tensor]  # (n,): the larger, the less like the training photos
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
    CHOSEN: "32 directions, fitted to 500 of the training photos: the rule that a run stores",
}


def main() -> int:
    """Measure every rule and write the numbers."""
    audit, recipe = read_options(__doc__.splitlines()[0])
    model = new_model(recipe, frozen=True).eval()
    print(f"features of {len(audit.photos):,} photos", flush=True)
    features = features_of(model, val_pictures(audit, range(len(audit.photos)), recipe))
    fold, labels = torch.tensor(deal_folds(audit)), torch.tensor(audit.photos.labels)
    flowers = compare(features, labels, fold, audit, recipe)
    for name, row in flowers.items():
        numbers = f"flagged {row['flagged']:.1%}  false alarms {row['false_alarms']:.1%}"
        print(f"{name:<20} AUROC {row['auroc']:.3f}  {numbers}")
    others = flag_others(model, features, labels, fold, recipe)
    files.write_json(project_root() / OUTPUT, facts(recipe.backbone, audit, flowers, others))
    return 0


def compare(
    features: torch.Tensor, labels: torch.Tensor, fold: torch.Tensor, audit: Audit, recipe: Recipe
) -> dict[str, dict[str, Any]]:
    """Return each rule's results on unknown flowers: means over the kinds, with 95 % intervals over the kinds."""
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
    """Return AUROC and the flagged shares of unknown and known photos, for every rule."""
    known, held_out = labels != unknown, (part + 1) % FOLDS
    train = known & (fold != part) & (fold != held_out)
    names = labels[known].unique().tolist()
    renumbered = torch.tensor([names.index(k) if k in names else -1 for k in labels.tolist()])
    head = train_head(features[train], renumbered[train], len(names), recipe)
    subsets = (known & (fold == part), known & (fold == held_out), ~known)
    sets = [activations(head, features[subset]) for subset in subsets]
    out = {}
    for name, score in rules(activations(head, features[train]), renumbered[train]).items():
        threshold_set, ordinary, unusual = (score(each) for each in sets)
        threshold = out_of_distribution.threshold_of(threshold_set)
        flagged, alarms = ((scores > threshold).float().mean().item() for scores in (unusual, ordinary))
        out[name] = (auroc(ordinary, unusual), flagged, alarms)
    return out


def rules(train: Activations, labels: torch.Tensor) -> dict[str, Score]:
    """Fit every rule to the training photos and return their scores by name."""
    table: dict[str, Score] = {
        "maximum probability": lambda given: -given.logits.softmax(1).amax(1),
        "maximum logit": lambda given: -given.logits.amax(1),
        "energy": lambda given: -given.logits.logsumexp(1),
        "Mahalanobis": mahalanobis(F.normalize(train.features), labels),
        "nearest neighbour": nearest(F.normalize(train.features)),
        "ViM": as_published(train),
    }
    for count in (16, 32, 64, 128):
        table[f"ViM, normalized, {count}"] = out_of_distribution.fit_vim(train, train, count).score
    some = torch.linspace(0, len(labels) - 1, MAX_TRAIN_PHOTOS).long()
    table[CHOSEN] = out_of_distribution.fit_vim(Activations(train.features[some], train.logits[some]), train).score
    return table


def mahalanobis(features: torch.Tensor, labels: torch.Tensor, directions: int = 64) -> Score:
    """Score by the distance to the nearest class mean; outside the main directions, the variance is isotropic."""
    means = torch.stack([features[labels == label].mean(0) for label in labels.unique()])
    _, spread, axes = torch.linalg.svd(features - means[labels], full_matrices=False)
    variance, axes = spread.square() / len(features), axes[:directions]
    rest = variance[directions:].sum() / (features.shape[1] - directions)

    def score(given: Activations) -> torch.Tensor:
        offset = F.normalize(given.features)[:, None] - means  # (n, classes, k)
        along = offset @ axes.T
        outside = offset.square().sum(2) - along.square().sum(2)
        return ((along.square() / variance[:directions]).sum(2) + outside / rest).amin(1)

    return score


def nearest(features: torch.Tensor) -> Score:
    """Score by the cosine distance to the nearest training photo. (Of 1, 5, 10 and 50 neighbours, one was best.)"""
    return lambda given: 1 - (F.normalize(given.features) @ features.T).amax(1)


def as_published(train: Activations, directions: int = 32) -> Score:
    """Score by ViM without scaling features to length 1."""
    centre = train.features.mean(0)
    axes = torch.linalg.svd(train.features - centre, full_matrices=False)[2][:directions]

    def distance(given: Activations) -> torch.Tensor:
        offset = given.features - centre
        return (offset - offset @ axes.T @ axes).norm(dim=1)

    weight = train.logits.amax(1).mean() / distance(train).mean()
    return lambda given: weight * distance(given) - given.logits.logsumexp(1)


def train_head(features: torch.Tensor, labels: torch.Tensor, classes: int, recipe: Recipe) -> torch.nn.Module:
    """Train a new head for these classes as the preset ``fast`` does."""
    torch.manual_seed(recipe.seed)
    head = torch.nn.Sequential(torch.nn.Dropout(recipe.dropout), torch.nn.Linear(features.shape[1], classes))
    loader = FeatureLoader(features, labels, recipe.batch_size, recipe.seed)
    return frozen_features.train_head(head, loader, recipe, torch.float32).eval()


@torch.inference_mode()
def activations(head: torch.nn.Module, features: torch.Tensor) -> Activations:
    """Return the features with the head's logits."""
    return Activations(features, head(features))


def flag_others(
    model: torch.nn.Module, features: torch.Tensor, labels: torch.Tensor, fold: torch.Tensor, recipe: Recipe
) -> dict[str, dict[str, Any]]:
    """Return how many images without a flower three of the rules flag, with all kinds known."""
    train = (fold != 0) & (fold != 1)
    head = train_head(features[train], labels[train], len(labels.unique()), recipe)
    table = rules(activations(head, features[train]), labels[train])
    val = activations(head, features[fold == 0])
    rows = {}
    for kind, pictures in other_pictures():
        stacked = torch.from_numpy(np.stack([val_picture(picture, recipe) for picture in pictures]))
        given = activations(head, features_of(model, stacked))
        rows[kind] = {"pictures": len(pictures)} | {
            f"flagged by {name}": int((table[name](given) > out_of_distribution.threshold_of(table[name](val))).sum())
            for name in ("maximum probability", "ViM", CHOSEN)
        }
        print(kind, rows[kind], flush=True)
    return rows


def other_pictures() -> Iterator[tuple[str, list[Image.Image]]]:
    """Yield kinds of images: drawn ones, and one of an installed package, since the repository holds no photos."""
    generator = np.random.default_rng(0)
    drawn = [draw_photo(species, 0, i) for species in SPECIES for i in range(10)]
    noise = [generator.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(20)]
    patches = [generator.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(20)]
    colours = [tuple(int(value) for value in generator.integers(0, 256, 3)) for _ in range(20)]
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    yield "flowers drawn by the demo", drawn
    yield "noise", [Image.fromarray(pixels) for pixels in noise]
    yield "smooth colours", [Image.fromarray(p).resize((320, 240), Image.Resampling.BICUBIC) for p in patches]
    yield "one flat colour", [Image.new("RGB", (320, 240), colour) for colour in colours]
    yield (
        "a chart of this project",
        [Image.open(project_root() / "benchmarks" / "results" / "bench.png").convert("RGB")],
    )
    yield "a portrait (Grace Hopper, of matplotlib)", [Image.open(portrait).convert("RGB")]


def features_of(model: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Return the frozen backbone's features of decoded pictures, float32 ``(n, k)``."""
    loader = InMemoryLoader(pictures, torch.zeros(len(pictures)), val_batch_size(CPU))
    return collect_activations(model, loader.epoch(), cpu_precision()).features.clone()


def auroc(ordinary: torch.Tensor, unusual: torch.Tensor) -> float:
    """Return the probability that an unusual photo scores higher than an ordinary one; ties count half."""
    truth = [0] * len(ordinary) + [1] * len(unusual)
    return float(roc_auc_score(truth, torch.cat([ordinary, unusual]).numpy()))


def student(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval (Student, 1908), the values being a sample of all kinds of flowers."""
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return tuple(round(float(number), 4) for number in (values.mean(), low, high))


def facts(backbone: str, audit: Audit, flowers: dict, others: dict) -> dict[str, Any]:
    """Return the results with the photos, the versions and the command that they were made with."""
    return {
        "command": "python -m benchmarks.contenders.ood_rules --data FOLDER --weights FILE",
        "date": date.today().isoformat(),
        "backbone": backbone,
        "photos": len(audit.photos),
        "data_fingerprint": audit.fingerprint,
        "rounds": f"each of {len(audit.photos.classes)} kinds unknown, {FOLDS} times",
        "packages": {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
        "precision": str(cpu_precision()).removeprefix("torch."),
        "git_commit": git_commit(project_root()),
        "chosen": CHOSEN,
        "unknown_flowers": flowers,
        "other_pictures": others,
    }


if __name__ == "__main__":
    sys.exit(main())
