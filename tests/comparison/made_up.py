"""Made-up results, for the tests of what is said about results."""

import numpy as np

from helpers.comparison.results import FOLD_RULE, correctness
from helpers.comparison.verdicts import photo_differences
from helpers.evaluation import statistics

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENDS = ("difference_mean", "difference_low", "difference_high")


def row(name, accuracy=0.9, gain=None, half=0.01, **more):
    """A row of comparison.json; ``gain`` is the difference to seed with an interval of ``half`` to each side."""
    numbers = {"recipe": name, "backbone": "mobilenet_v2", "folds": 5, "seeds": 1, "photos": 1000, "train_photos": 800}
    numbers |= {"accuracy_mean": accuracy, "accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02}
    numbers |= dict(zip(ENDS, (None, None, None) if gain is None else (gain, gain - half, gain + half), strict=True))
    numbers |= {"seconds_per_run": 100.0, "image_size": 96, "epochs": 6, "cost": "96 px, 6 epochs", "settings": {}}
    numbers |= {"weights_sha256": "abc"}
    return numbers | {"fold_rule": FOLD_RULE, "commit": COMMIT, "machine": "abacus"} | more


PUBLISHED = row("published", 0.90, 0.0, half=0.0)
ROWS = [
    PUBLISHED,
    row("fast", 0.93, 0.03),
    row("published + CutMix", 0.87, -0.03),
    row("published + MixUp", 0.905, 0.005),
]
SEARCH = {
    "preset": "best",
    "changed": {},
    "backbone": "mobilenet_v2",
    "cost": "96 px, 6 epochs",
    "fold_rule": FOLD_RULE,
    "commit": COMMIT,
    "machine": "abacus",
    "importances": {"lr": 0.8, "dropout": 0.2},
    "trials": [
        {"trial": 2, "state": "pruned", "accuracy": 0.99, "folds": 1, "settings": {"lr": 0.1, "dropout": 0.1}},
        {"trial": 0, "state": "complete", "accuracy": 0.9, "folds": 3, "settings": {"lr": 0.01, "dropout": 0.5}},
        {"trial": 1, "state": "complete", "accuracy": 0.8, "folds": 3, "settings": {"lr": 0.02, "dropout": 0.4}},
    ],
}


def photos_of(**correct):
    """Rows of photos.csv: every photo a scene of its own; classes and five folds in turn."""
    number = len(next(iter(correct.values())))
    facts = [{"name": f"{i}.jpg", "class": ("rose", "tulip")[i % 2], "scene": i, "fold": i % 5} for i in range(number)]
    return [fact | {name: float(each[i]) for name, each in correct.items()} for i, fact in enumerate(facts)]


def some_photos():
    """100 photos: published is wrong about 0-19, best about 0-4, fast about 10-29, best - MixUp about 0-29."""
    where = np.arange(100)
    wrong = {
        "published": where < 20,
        "best": where < 5,
        "fast": (where >= 10) & (where < 30),
        "best - MixUp": where < 30,
    }
    return photos_of(**{name: 1 - each for name, each in wrong.items()})


def rows_of(photos, *names):
    """The rows whose numbers these photos give."""
    gains = {name: statistics.bootstrap(*photo_differences(photos, "published", name)[:2]) for name in names}
    means = {name: correctness(photos, name).mean() for name in names}
    return [row(n, means[n], photos=len(photos)) | dict(zip(ENDS, gains[n], strict=True)) for n in names]
