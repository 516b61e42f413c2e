"""What a report knows of its run beyond the files' own numbers: the network's name and size, photos per class."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from helpers.common.errors import RunError
from helpers.evaluation.published import are_the_flowers, paper, written_name
from helpers.models import build_model, count_parameters, describe_head, original_head
from helpers.recipe import Recipe
from helpers.runs.finished import FinishedRun


@dataclass(frozen=True)
class Facts:
    """A finished run whose recipe and history could be read, and rows of a comparison if there are any."""

    run: FinishedRun
    comparison: tuple[dict[str, Any], ...] = ()

    @property
    def results(self) -> dict[str, Any]:
        return self.run.results

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
        """The name of the file that the weights came from, without its folder; empty if torchvision brought them."""
        return "" if self.results["weights"] in ("none", "imagenet") else _last_part(self.results["weights"])

    @property
    def imagenet(self) -> bool:
        """Whether the weights are ImageNet's: torchvision's, or a file that says so in its name."""
        torchvisions = re.fullmatch(rf"{self.results['backbone']}-[0-9a-f]{{8}}\.pth", self.weights_file)
        return self.results["weights"] == "imagenet" or bool(torchvisions) or "imagenet" in self.weights_file.lower()

    @property
    def dataset(self) -> str:
        """The name of the photos' folder, archive or collection."""
        return _last_part(self.results["dataset"])

    @property
    def train_photos(self) -> int:
        """Photos that training used."""
        return self.split["train"].total() if self.split else self.results["train_photos"]

    @cached_property
    def network(self) -> tuple[int, int, str, str]:
        """Parameters in all, parameters that training changed, the head before and after, in words.

        Raises:
            WeightsError: torchvision does not know the backbone.
        """
        recipe = replace(self.recipe, backbone=self.results["backbone"])
        model = build_model(recipe, len(self.results["classes"]), weights="none")
        return (*count_parameters(model), original_head(self.results["backbone"]), describe_head(model))

    @cached_property
    def split(self) -> dict[str, Counter[str]] | None:
        """Photos of each class on either side (``train``, ``val``), from ``split.csv``; None if it is not there.

        Raises:
            RunError: the file is damaged, or is of other photos than the results.
        """
        path = self.run.folder / "split.csv"
        if not path.is_file():
            return None
        sides: dict[str, Counter[str]] = {"train": Counter(), "val": Counter()}
        try:
            with path.open(encoding="utf-8", newline="", errors="surrogateescape") as file:
                for row in csv.DictReader(file):
                    sides[row["subset"]][row["class"]] += 1
        except (OSError, KeyError, csv.Error) as error:
            raise RunError(f"{path} is damaged ({error!r}): copy it anew from the run, or run again") from error
        # Of photos that lie on both given sides the training copies are left out of the split, but not of the count.
        trained, asked = sides["train"].total(), sides["val"].total()
        if asked != self.results["val_photos"] or trained > self.results["train_photos"]:
            raise RunError(
                f"{path} has {trained} photos to train on and {asked} to validate on, the results "
                f"{self.results['train_photos']} and {self.results['val_photos']}: the files are of different runs; "
                "copy the folder anew"
            )
        return sides


def methods_at_work(r: Recipe) -> dict[str, bool]:
    """The assignment's five augmentation methods in order, and whether the recipe lets each change anything."""
    return {
        "RandomRotation": r.rotation > 0,
        "CenterCrop" if r.crop == "center" else "RandomResizedCrop": True,
        "RandomHorizontalFlip": r.horizontal_flip > 0,
        "RandomVerticalFlip": r.vertical_flip > 0,
        "ColorJitter": max(r.brightness, r.contrast, r.saturation, r.hue) > 0,
    }


def _last_part(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name or path
