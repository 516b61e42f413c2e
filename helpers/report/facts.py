"""What the report's sentences ask of a run: its numbers, the network's name and size, photos per class."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from helpers.common.errors import RunError
from helpers.common.text import spelled
from helpers.data.split import read_rows
from helpers.evaluation.published import are_the_flowers, paper, written_name
from helpers.evaluation.statistics import wilson_interval
from helpers.models import count_parameters, describe_head, original_head
from helpers.models.build import build_model
from helpers.recipe import Recipe
from helpers.report.markup import literal
from helpers.runs.finished import FinishedRun


@dataclass(frozen=True)
class Facts:
    """A finished run, and the rows of a comparison if there is one. Strings are literal (see ``markup``)."""

    run: FinishedRun
    comparison: tuple[dict[str, Any], ...] = ()

    @cached_property
    def results(self) -> dict[str, Any]:
        return literal(self.run.results)

    @cached_property
    def environment(self) -> dict[str, Any]:
        return literal(self.run.environment)

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def demo(self) -> bool:
        return self.results["demo"]

    @property
    def flowers(self) -> bool:
        """Whether the classes are the assignment's five flowers."""
        return are_the_flowers(self.results["classes"])

    @property
    def task(self) -> str:
        """What the network learns to classify."""
        number = spelled(len(self.results["classes"]))
        if not self.flowers:
            return f"photos into {number} classes"
        return f"{number} kinds of {'drawn ' if self.demo else ''}flowers"

    @property
    def backbone(self) -> str:
        """Its name as papers write it."""
        return written_name(self.results["backbone"])

    @property
    def paper(self) -> str:
        """The key of the backbone's paper, or of torchvision."""
        return paper(self.results["backbone"])

    @property
    def pretrained(self) -> bool:
        return self.results["weights"] != "none"

    @property
    def weights_file(self) -> str:
        """The file of the weights, without its folder; empty if torchvision brought them."""
        return "" if self.results["weights"] in ("none", "imagenet") else file_name(self.results["weights"])

    @property
    def imagenet(self) -> bool:
        """Whether the weights are ImageNet's: torchvision's, or a file whose name says so."""
        torchvisions = re.fullmatch(rf"{self.results['backbone']}-[0-9a-f]{{8}}\.pth", self.weights_file)
        return self.results["weights"] == "imagenet" or bool(torchvisions) or "imagenet" in self.weights_file.lower()

    @property
    def train_photos(self) -> int:
        """Photos that were trained on."""
        return self.split["train"].total()

    @property
    def last_epochs(self) -> str:
        """What ``last_five_mean`` averages over: ``last five epochs``, or all of fewer."""
        return f"last {spelled(min(5, self.results['epochs']))} epochs"

    @property
    def best_and_mean(self) -> tuple[str, str]:
        """The accuracy of the best epoch and the mean of the last ones, with intervals."""
        r, photos = self.results, self.results["val_photos"]
        best = with_interval(r["best_val_accuracy"], photos, "95 % interval ")
        return best, with_interval(r["last_five_mean"], photos)

    @cached_property
    def network(self) -> tuple[int, int, str, str]:
        """Parameters in total, parameters trained, and the head before and after, in words.

        Raises:
            WeightsError: torchvision does not know the backbone.
        """
        model = build_model(self.recipe, len(self.results["classes"]), weights="none")
        return (*count_parameters(model), original_head(self.recipe.backbone), describe_head(model))

    @cached_property
    def split(self) -> dict[str, Counter[str]]:
        """Photos per class for training (``train``) and validation (``val``), from ``split.csv``.

        Raises:
            PhotosError: the file is missing or damaged.
            RunError: it is of another run than the results.
        """
        path = self.run.folder / "split.csv"
        rows = literal(read_rows(path))
        sides = {side: Counter(row["class"] for row in rows if row["subset"] == side) for side in ("train", "val")}
        train, val = sides["train"].total(), sides["val"].total()
        # A photo on both sides of a given split is dropped from training, but counted in train_photos.
        if val != self.results["val_photos"] or train > self.results["train_photos"]:
            results = f"{self.results['train_photos']} and {self.results['val_photos']}"
            raise RunError(
                f"{path} has {train} training and {val} validation photos, results.json {results}: run again"
            )
        return sides


def file_name(path: str) -> str:
    """Return the last part of a path of any system."""
    return PurePosixPath(path.replace("\\", "/")).name or path


def with_interval(accuracy: float, photos: int, before: str = "") -> str:
    """Write the accuracy on so many photos with Wilson's 95 % interval: ``94.10% (91.0–96.2%)``."""
    low, high = wilson_interval(round(accuracy * photos), photos)
    return f"{accuracy:.2%} ({before}{100 * low:.1f}–{high:.1%})"
