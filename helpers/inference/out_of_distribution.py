"""Detect photos that resemble none of the classes.

ViM (Wang et al., 2022, "ViM: Out-Of-Distribution with Virtual-logit Matching") adds two signs of an unusual photo: its
features lie far from the principal directions of the training photos' features, and its logits are small (energy; Liu
et al., 2020). We deviate from the paper twice. Features are scaled to length 1: that finds as many unknown flowers, and
also pictures of one flat colour, whose features are all small. And distances are measured from the mean of the
training features, not from the point where all logits are 0, which only a linear head defines.

A photo is flagged if its score exceeds that of 95 % of the run's validation photos.
``benchmarks/contenders/ood_rules.py`` compares the rule with others on real photos, leaving out one kind of flower at a
time (``report/results/novelty.json``).
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from helpers.common import tensors
from helpers.common.errors import RunError
from helpers.common.progress import progress
from helpers.data.audit import Audit
from helpers.data.loading.canvases import val_pictures
from helpers.data.loading.loaders import InMemoryLoader, Loaders, val_batch_size
from helpers.data.loading.streaming import StreamingLoader
from helpers.data.split import Split
from helpers.evaluation.features import Activations, collect_activations
from helpers.runs.run import Run

VERSION = 1  # of known.pth
FILE = "known.pth"
FALSE_ALARMS = 0.05  # share of the validation photos that is flagged
DIRECTIONS = 32  # the AUROC hardly depends on it: 16 to 128 give .8304 to .8342; without the scaling 32 give .8375
MAX_TRAIN_PHOTOS = 500  # training photos used: all of them give an AUROC of .8325, these .8307

# Shares of photos flagged in report/results/novelty.json; a test compares them.
FLAGGED_UNKNOWN = (0.12, 0.40)  # of the kind of flower that is found least often, and most often
FLAGGED_KNOWN = 0.06


@dataclass(frozen=True)
class ViM:
    """Virtual-logit matching, fitted to a run: ``(1 + directions) * k`` numbers."""

    centre: torch.Tensor  # float32 (k,): mean of the training photos' features, each of length 1
    directions: torch.Tensor  # float32 (r, k): orthonormal; the principal directions of these features
    weight: float  # of the distance: makes it as large as the largest logit, on average over the training photos
    threshold: float
    train_photos: int
    val_photos: int

    def score(self, activations: Activations) -> torch.Tensor:
        """Return how unusual each photo is: float32 ``(n,)``; larger is more unusual."""
        distance = residual_norm(activations.features, self.centre, self.directions)
        return self.weight * distance - activations.logits.logsumexp(1)

    def is_ood(self, activations: Activations) -> torch.Tensor:
        """Tell which photos resemble none of the classes: bool ``(n,)``."""
        return self.score(activations) > self.threshold

    def __str__(self) -> str:
        low, high = FLAGGED_UNKNOWN
        return (
            f"Flagged photos are more unusual than 95 % of the {self.val_photos:,} validation photos (ViM). A hint: "
            f"our test flagged {100 * low:.0f} to {high:.0%} of unknown flowers and {FLAGGED_KNOWN:.0%} of known ones."
        )


def fit_vim(train: Activations, val: Activations, directions: int = DIRECTIONS) -> ViM:
    """Fit ViM to the activations of training photos, and its threshold to those of the validation photos.

    Args:
        directions: how many to keep; fewer if there are fewer photos or features.
    """
    centre, kept = principal_directions(train.features, directions)
    distance = residual_norm(train.features, centre, kept).mean()
    weight = (train.logits.amax(1).mean() / distance.clamp_min(1e-12)).item()
    vim = ViM(centre, kept, weight, 0.0, len(train.logits), len(val.logits))
    return replace(vim, threshold=threshold_of(vim.score(val)))


def threshold_of(scores: torch.Tensor) -> float:
    """Return the score that at most 5 % of these exceed."""
    return scores.topk(int(FALSE_ALARMS * len(scores)) + 1).values[-1].item()


def principal_directions(features: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean ``(k,)`` and principal directions ``(r, k)`` of features ``(n, k)`` scaled to length 1.

    ``r`` is at most a quarter of the photos and of the features: with as many directions as training photos, all of
    them would lie in the plane.
    """
    unit = F.normalize(features)
    centre = unit.mean(0)
    rows = torch.linalg.svd(unit - centre, full_matrices=False)[2]
    return centre, rows[: min(count, len(features) // 4, features.shape[1] // 4)].contiguous()


def residual_norm(features: torch.Tensor, centre: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Return how far features ``(n, k)``, scaled to length 1, lie from the plane through the centre: ``(n,)``."""
    offset = F.normalize(features) - centre
    return (offset - offset @ directions.T @ directions).norm(dim=1)


def save(vim: ViM, folder: Path) -> None:
    """Save the fitted rule in a run's folder."""
    tensors.save_tensors(folder / FILE, {"version": VERSION, **asdict(vim)})


def load(folder: Path, features: int) -> ViM:
    """Load the rule from a run's folder.

    Args:
        features: how many enter the last layer of the run's model.

    Raises RunError: the file is missing, damaged, of another version, or does not fit the model.
    """
    path, content = folder / FILE, tensors.load_tensors(folder / FILE)
    if not isinstance(content, dict) or content.pop("version", None) != VERSION:
        raise RunError(f"{path} is of another version")
    try:
        vim = ViM(**content)
        residual_norm(torch.zeros(1, features), vim.centre, vim.directions)
        if not all(isinstance(value, float) for value in (vim.weight, vim.threshold)):
            raise TypeError("weight and threshold must be numbers")
    except (TypeError, RuntimeError, AttributeError) as error:
        raise RunError(f"{path} is damaged, or of another model ({str(error).splitlines()[0]})") from error
    return vim


def fit_ood_detector(model: nn.Module, audit: Audit, split: Split, loaders: Loaders, run: Run) -> ViM:
    """Fit ViM to training photos without augmentation and to the validation photos; save it in the run's folder.

    Training photos pass through the validation photos' transform.

    Args:
        model: as it is used after training, ``with_tta``.
    """
    train = training_photos(audit, split, loaders, run)
    vim = fit_vim(
        *(
            collect_activations(model, progress(loader.epoch(), len(loader), description), run.precision)
            for loader, description in ((train, "training photos"), (loaders.val, "validation photos"))
        )
    )
    save(vim, run.folder)
    return vim


def training_photos(audit: Audit, split: Split, loaders: Loaders, run: Run) -> InMemoryLoader | StreamingLoader:
    """Load training photos the way validation photos are loaded; of many, ``MAX_TRAIN_PHOTOS``, evenly spaced."""
    count = min(MAX_TRAIN_PHOTOS, len(split.train))
    rows = [split.train[i] for i in np.linspace(0, len(split.train) - 1, count).astype(int)]
    if isinstance(loaders.val, StreamingLoader):
        transform = loaders.val.dataset.transform
        return StreamingLoader(audit.photos, tuple(rows), transform, run.recipe, run.device, shuffle=False)
    labels = torch.tensor([audit.photos.labels[i] for i in rows], device=run.device)
    pictures = val_pictures(audit, rows, run.recipe).to(run.device)
    return InMemoryLoader(pictures, labels, val_batch_size(run.device))
