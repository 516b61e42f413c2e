"""What the network is asked for in training: the truth, blended (MixUp, CutMix) or seconded by a teacher."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torchvision.transforms import v2

from helpers.common.errors import ParameterError
from helpers.common.modules import autocast
from helpers.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from helpers.data.loading.loaders import Batches
from helpers.runs.run import Run
from helpers.runs.saving import load_best_model, read_model_facts


class Targets:
    """Turns batches ``(images, labels)`` into ``(images, targets)``.

    Targets are the labels themselves, int64 ``(n,)``, or probabilities, float32 ``(n, classes)``.
    """

    def __init__(self, run: Run, classes: tuple[str, ...]) -> None:
        """Raises:
        ParameterError: the teacher does not fit.
        RunError: the teacher cannot be loaded.
        """
        self.recipe, self.classes, self.precision = run.recipe, len(classes), run.precision
        self.teacher = load_teacher(run, classes) if run.recipe.teacher else None
        self.mixes: list[v2.Transform] = []
        if run.recipe.mixup:  # Zhang et al., 2018
            self.mixes.append(v2.MixUp(alpha=run.recipe.mixup, num_classes=len(classes)))
        if run.recipe.cutmix:  # Yun et al., 2019
            self.mixes.append(v2.CutMix(alpha=run.recipe.cutmix, num_classes=len(classes)))

    def __call__(self, batches: Batches) -> Batches:
        """The batches, one by one, so that what they draw at random follows from the seed of their step."""
        for images, labels in batches:
            targets = labels
            if self.mixes and len(images) > 1:
                mix = self.mixes[int(torch.randint(len(self.mixes), ()))]
                images, targets = mix(images, labels)
            if self.teacher is not None:
                targets = self._seconded(images, targets)
            yield images, targets

    @torch.no_grad()
    def _seconded(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Targets, and what the teacher says of the very same pictures (Hinton et al., 2015; Beyer et al., 2022)."""
        with autocast(images.device, self.precision):
            logits = self.teacher(images)
        said = (logits.float() / self.recipe.teacher_temperature).softmax(1)
        if targets.ndim == 1:
            targets = nn.functional.one_hot(targets, self.classes).float()
        return torch.lerp(targets, said, self.recipe.teacher_weight)


def load_teacher(run: Run, classes: tuple[str, ...]) -> nn.Module:
    """The best model of the finished run that the recipe names, to learn from.

    Raises:
        ParameterError: it knows other classes, or saw pictures normalized in another way.
        RunError: the run has saved none, or its files are damaged.
    """
    folder, name = Path(run.locate(run.recipe.teacher)), run.recipe.teacher
    facts = read_model_facts(folder)
    if facts.classes != classes:
        raise ParameterError(
            f"teacher = {name!r} knows {', '.join(facts.classes)}; these photos are of "
            f"{', '.join(classes)}: a teacher of the same classes in the same order is needed"
        )
    if (facts.mean, facts.std) != (IMAGENET_MEAN, IMAGENET_STD):
        raise ParameterError(f"teacher = {name!r} was trained on pictures normalized in another way")
    return load_best_model(folder, run.device).requires_grad_(False)
