"""The best model of a run: its weights, ``best_model.pth``, and what one must know to use them, ``best_model.json``."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers.common import tensors
from helpers.common.errors import RunError, UserError
from helpers.common.files import read_json, write_json
from helpers.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from helpers.models import build_backbone, replace_head
from helpers.models.own_head import set_own_head
from helpers.recipe import Recipe
from helpers.runs.history import Epoch

WEIGHTS, FACTS = "best_model.pth", "best_model.json"
SHARED = ("backbone", "dropout", "image_size", "val_resize")  # settings that using the model takes


@dataclass(frozen=True)
class ModelFacts:
    """What ``best_model.json`` holds."""

    backbone: str  # torchvision's name
    classes: tuple[str, ...]  # in the order of the logits
    dropout: float
    image_size: int  # px
    val_resize: int  # px
    mean: tuple[float, ...]  # of red, green and blue, for pixels in [0, 1]
    std: tuple[float, ...]
    epoch: int
    val_accuracy: float  # share of the validation photos
    head: dict[str, Any] | None = None  # one of the user's own, see ``models.own_head``

    def differs_from(self, recipe: Recipe) -> list[str]:
        """List the settings in which the model is not the recipe's: its files then come from different runs."""
        return [name for name in SHARED if getattr(self, name) != getattr(recipe, name)]


def save_best_model(
    folder: Path,
    weights: dict[str, torch.Tensor],
    recipe: Recipe,
    best: Epoch,
    classes: tuple[str, ...],
    head: dict[str, Any] | None = None,
) -> None:
    """Write the weights, then the facts: where these are, the weights are whole."""
    tensors.save_tensors(folder / WEIGHTS, weights)
    settings = {name: getattr(recipe, name) for name in SHARED}
    result = {"epoch": best.epoch, "val_accuracy": best.val_accuracy}
    facts = ModelFacts(**settings, **result, classes=classes, mean=IMAGENET_MEAN, std=IMAGENET_STD, head=head)
    write_json(folder / FACTS, dataclasses.asdict(facts))


def read_model_facts(folder: Path) -> ModelFacts:
    """Read ``best_model.json``. Raises RunError: the run has saved no model yet, or the file is damaged."""
    path = folder / FACTS
    if not path.exists():
        raise RunError(f"{folder} holds no saved model: train first, or name the folder of another run")
    values = {"head": None} | read_json(path)
    try:
        lists = {name: tuple(values[name]) for name in ("classes", "mean", "std")}
        return ModelFacts(**{f.name: values[f.name] for f in dataclasses.fields(ModelFacts)} | lists)
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error!r}): train again") from error


def load_best_model(folder: Path, device: torch.device | str = "cpu") -> nn.Module:
    """Rebuild the best model of a run from its folder alone, on the device, in evaluation mode.

    Raises RunError: the run has saved none yet, or its files are damaged or do not fit each other.
    """
    facts = read_model_facts(folder)
    weights = tensors.load_tensors(folder / WEIGHTS)
    try:
        model = build_backbone(facts.backbone, "none")
        if facts.head:
            set_own_head(model, facts.head)
        else:
            replace_head(model, len(facts.classes), facts.dropout)
        model.load_state_dict(weights, assign=facts.head is not None)
    except (UserError, ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{folder}: {FACTS} and {WEIGHTS} do not fit ({reason}): train again") from error
    return model.to(device, memory_format=torch.channels_last).eval()
