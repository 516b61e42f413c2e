"""Every number in the text is one of the run's files, or follows from them: held against each committed run."""

import itertools
import json
import math
import re
from collections import Counter
from pathlib import Path
from statistics import median

import pytest
import torch
from torchvision import models

from helpers.common.text import duration, scientific
from helpers.data.augmentation import train_transform, val_transform
from helpers.evaluation.published import PAPER, PAPER_RIPPLES
from helpers.recipe import Recipe
from helpers.runs.finished import read_run
from tests.report.made_up import said_by

RESULTS = Path(__file__).parents[2] / "report" / "results"
COMMITTED = sorted(path.parent for path in RESULTS.glob("*/results.json"))
NUMBER = re.compile(r"(?<![\w.])[+−-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?(?:·?10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
# What no run holds: AlexNet's 1.2 million photos, 95 % intervals, probabilities above 90%, the example photo's
# 320 × 240 px, and the first epoch's name.
CONSTANTS = {"1.2", "95", "90%", "320", "240", "0"}


class Known(set):
    """Every number that a run's files hold or that follows from them, as people may write it."""

    def learn(self, value):
        if isinstance(value, dict):
            self.learn(list(value.values()))
        elif isinstance(value, list | tuple):
            for each in value:
                self.learn(each)
        elif isinstance(value, str):
            self.update(NUMBER.findall(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            self.update({f"{value:,}", f"{value}"})
        elif isinstance(value, float):
            formats = (":.0%", ":.1%", ":.2%", ":g", ":.2f", ":.3f", ":.4f", ":.1f")
            self.update(("{" + how + "}").format(value) for how in formats)
            self.update({f"{100 * value:.1f}", f"{100 * value:.2f}", scientific(value)})


def wilson(accuracy, n, z=1.959964):
    """Wilson's interval, written out."""
    p = round(accuracy * n) / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def known_numbers(folder):
    """From the files alone: nothing that the report computes is used here."""
    results, recipe, environment = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("results", "recipe", "environment")
    )
    known, settings = Known(CONSTANTS), read_run(folder).recipe
    known.learn([results, recipe, environment, PAPER, Recipe().to_dict()])
    history = [[float(v) for v in line.split(",")] for line in (folder / "history.csv").read_text().split()[1:]]
    known.learn([history, min(row[4] for row in history), len(history) - 1])
    known.learn([int(row[0]) for row in history])
    n, right, seconds = results["val_photos"], results["best_val_correct"], results["epoch_seconds"]
    known.learn([duration(s) for s in (results["training_seconds"], seconds[0], median(seconds), median(seconds[1:]))])
    known.learn(duration(PAPER["training_seconds"]))
    for accuracy in (history[0][5], history[-1][5], results["best_val_accuracy"], results["last_five_mean"]):
        known.learn(wilson(accuracy, n))
    for when in ("first", "best", "last"):
        known.learn(wilson(PAPER[f"{when}_val_accuracy"], PAPER["val_photos"]))
    # What follows: one photo's share, photos that the best epoch flatters by, the largest class, mistakes, widths.
    known.learn([1 / n, results["best_flatters_by"] * n, max(s["photos"] for s in results["class_scores"]) / n])
    known.learn([n - right, 1 - results["best_val_accuracy"], results["interval_high"] - results["interval_low"]])
    known.learn((results["interval_high"] - results["interval_low"]) / 2)
    rows = [line.split(",") for line in (folder / "predictions.csv").read_text().splitlines()[1:]]
    sure = [max(map(float, row[3:])) for row in rows]
    known.learn([[row[0] for row in rows], sure, sum(sure) / n, abs(sum(sure) / n - right / n)])
    known.learn(sum(s > 0.9 and row[1] != row[2] for s, row in zip(sure, rows, strict=True)))
    sides = Counter(tuple(line.rsplit(",", 2)[1:]) for line in (folder / "split.csv").read_text().splitlines()[1:])
    known.learn([list(sides.values()), *([sides[name, "train"] + sides[name, "val"]] for name in results["classes"])])
    crop = recipe["crop_size"]
    known.learn([min(320, crop) * min(240, crop) / crop**2, environment["git_commit"][:12]])
    known.learn(parameter_counts(results, recipe.get("freeze_fraction", 0)))
    known.learn([int(number) for number in re.findall(r"\d+", results["backbone"] + PAPER["backbone"])])
    changed = sum(recipe[name] != value for name, value in Recipe().to_dict().items() if name in recipe)
    known.learn(list(range(13, changed)))  # settings that differ, where there are too many to be written in letters
    known.learn([*PAPER_RIPPLES, (RESULTS / "dataset.json").read_text(), *by_learning_rate(history)])
    known.learn(
        [str(train_transform(settings)), str(val_transform(settings)), *divmod(round(results["training_seconds"]), 60)]
    )
    known.learn([f"{each:.6f}" for row in history for each in (row[1], row[5])])
    low, high = wilson(history[-1][5], n)
    known.learn([low, high, results.get("macro_f1", 0)])
    return known


def by_learning_rate(history):
    """Of the epochs of each learning rate, and of those of the paper's ripples: means, and mean steps of the loss."""
    rates = sorted({f"{row[1]:.3g}" for row in history})
    parts = [[row for row in history if f"{row[1]:.3g}" == rate] for rate in rates]
    for part in [*parts, history[8:14], history]:
        steps = [abs(b[4] - a[4]) for a, b in itertools.pairwise(part)]
        yield from (sum(row[i] for row in part) / max(1, len(part)) for i in (2, 4, 5))
        yield sum(steps) / max(1, len(steps))


def parameter_counts(results, freeze_fraction):
    """All parameters, the head's and its features, and those outside of the frozen blocks (of a MobileNetV2)."""
    network = models.get_model(results["backbone"], num_classes=len(results["classes"]))

    def count(module):
        return sum(p.numel() for p in module.parameters())

    head = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    blocks = [count(block) for block in getattr(network, "features", [])]
    unfrozen = count(network) - sum(blocks[: int(freeze_fraction * len(blocks))])
    return [count(network), count(head), head.in_features, 1000, unfrozen]


def unknown_numbers(folder, known):
    text = said_by(folder).replace(json.loads((folder / "environment.json").read_text())["data_fingerprint"][:12], "")
    return sorted(set(NUMBER.findall(text)) - known)


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_every_number_is_the_runs(folder):
    assert unknown_numbers(folder, known_numbers(folder)) == []


def test_numbers_of_another_run_would_be_noticed():
    known = known_numbers(RESULTS / "fast-mobilenet_v2")
    assert len(unknown_numbers(RESULTS / "demo-mobilenet_v2", known)) > 25
