"""What the model is trained to say: labels, blended labels (MixUp, CutMix), and a teacher's predictions."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

from helpers.common.errors import ParameterError
from helpers.common.modules import autocast
from helpers.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from helpers.data.loading.loaders import Batches
from helpers.recipe import Recipe
from helpers.runs.run import Run
from helpers.runs.saving import load_best_model, read_model_facts


def mix_batches(batches: Batches, recipe: Recipe, classes: int) -> Batches:
    """Blend the photos of each batch by MixUp (Zhang et al., 2018) or CutMix (Yun et al., 2019), if the recipe says so.

    Yields ``(images, targets)``: the labels themselves, int64 ``(n,)``, or probabilities, float32 ``(n, classes)``.
    """
    mixes: list[v2.Transform] = []
    if recipe.mixup:
        mixes.append(v2.MixUp(alpha=recipe.mixup, num_classes=classes))
    if recipe.cutmix:
        mixes.append(v2.CutMix(alpha=recipe.cutmix, num_classes=classes))
    for images, targets in batches:
        if mixes and len(images) > 1:
            mix = mixes[int(torch.randint(len(mixes), ()))]
            images, targets = mix(images, targets)
        yield images, targets


class Teacher:
    """A finished run's best model, whose predictions are learned too: distillation (Hinton et al., 2015)."""

    def __init__(self, run: Run, classes: tuple[str, ...]) -> None:
        """Load the model of the run that the recipe names.

        Raises:
            ParameterError: it knows other classes, or was trained on differently normalized images.
            RunError: that run has no saved model, or its files are damaged.
        """
        folder, name = Path(run.locate(run.recipe.teacher)), run.recipe.teacher
        facts = read_model_facts(folder)
        if facts.classes != classes:
            raise ParameterError(
                f"teacher = {name!r} knows {', '.join(facts.classes)}; these photos are of "
                f"{', '.join(classes)}: a teacher of the same classes in the same order is needed"
            )
        if (facts.mean, facts.std) != (IMAGENET_MEAN, IMAGENET_STD):
            raise ParameterError(f"teacher = {name!r} was trained on differently normalized images")
        self.model: nn.Module = load_best_model(folder, run.device).requires_grad_(False)
        self.weight, self.temperature = run.recipe.teacher_weight, run.recipe.teacher_temperature
        self.precision = run.precision

    def distill(self, loss: torch.Tensor, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return ``(1 - weight) · loss + weight · T² · KL(teacher ‖ student)``.

        Both predictions are softened by the temperature ``T``; ``T²`` keeps the gradient's size. The teacher sees the
        very same images (Beyer et al., 2022).

        Args:
            logits: the student's, float32 ``(n, classes)``.
        """
        with torch.no_grad(), autocast(images.device, self.precision):
            expected = self.model(images).float()
        student, teacher = ((each / self.temperature).log_softmax(1) for each in (logits, expected))
        divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * divergence
