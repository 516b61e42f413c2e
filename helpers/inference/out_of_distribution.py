"""When a photo looks like none of the classes: a rule that was measured, not supposed.

The rule is ViM (Wang et al., 2022, "ViM: Out-Of-Distribution with Virtual-logit Matching"). It puts two doubts
together: the features lie off the few directions in which the training photos' features differ, and the logits are
small (energy; Liu et al., 2020). Features are scaled to length 1 here: without that it finds as many unknown flowers,
but a picture of one flat colour, whose features are all small, passes.
``benchmarks/contenders/ood_rules.py`` compares it with other
rules on real photos, one kind of flower unknown at a time; ``report/results/novelty.json`` holds what came
out. Noise, colours and a portrait were all flagged there, of 50 flowers drawn for the demo only 2.
A photo is flagged if its doubt exceeds that of 95 % of the run's own validation photos.

No rule knows what it has not seen: a yellow dandelion resembles a sunflower to a network that has learned white seed
heads as dandelions, and may well pass without a flag.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

from helpers.common import files, tensors
from helpers.common.errors import RunError
from helpers.common.progress import progress
from helpers.data.audit import Audit
from helpers.data.augmentation import val_transform
from helpers.data.loading.canvases import val_pictures
from helpers.data.loading.loaders import InMemoryLoader, Loaders, val_batch_size
from helpers.data.loading.streaming import StreamingLoader
from helpers.data.split import Split
from helpers.evaluation.features import Activations, look_at_all
from helpers.recipe import Recipe
from helpers.runs.finished import OWN_TRANSFORM
from helpers.runs.run import Run

VERSION = 1  # of known.pth


FILE = "known.pth"


FALSE_ALARMS = 0.05  # the share of the validation photos that is flagged


# Shares of the photos that were flagged in report/results/novelty.json, which a test holds against these numbers.
FOUND = (0.12, 0.40)  # of those of an unknown kind: the kind least often found, and the one most often found


MISTAKEN = 0.06  # of those of the known kinds


DIRECTIONS = 32  # the AUROC hardly depends on it: 16 to 128 give .8304 to .8342; without the scaling 32 give .8375


@dataclass(frozen=True)
class ViM:
    """The rule with what it has to remember of the training photos: ``(1 + directions) * k`` numbers."""

    centre: torch.Tensor  # float32 (k,): mean of the training photos' features, each of length 1
    directions: torch.Tensor  # float32 (r, k): orthonormal; along them the training photos differ most
    weight: float  # of the distance, such that it weighs as much as the largest logit on the training photos
    threshold: float  # doubts above it are flagged
    train_photos: int
    val_photos: int

    def doubt(self, seen: Activations) -> torch.Tensor:
        """The larger, the less like the training photos: float32 ``(n,)``."""
        return self.weight * off_the_plane(seen.features, self.centre, self.directions) - seen.logits.logsumexp(1)

    def flags(self, seen: Activations) -> torch.Tensor:
        """Which photos look like none of the classes: bool ``(n,)``."""
        return self.doubt(seen) > self.threshold

    def __str__(self) -> str:
        return (
            f"photos less like the {self.train_photos:,} training photos that were looked at than 95 % of the run's "
            f"{self.val_photos:,} validation photos are (ViM). A hint, no proof: measured with a frozen MobileNetV2 "
            f"and five kinds of flowers, {100 * FOUND[0]:.0f} to {FOUND[1]:.0%} of the photos of an unknown kind were "
            f"flagged, and {MISTAKEN:.0%} of the known; of drawn flowers 2 of 50 (report/results/novelty.json)"
        )


@dataclass(frozen=True)
class MaxSoftmax:
    """The rule for runs that remember nothing of their training photos: the largest probability is small.

    Maximum softmax probability (Hendrycks & Gimpel, 2017). It is the weakest of those measured.
    """

    threshold: float  # largest probabilities below it are flagged
    val_photos: int

    def flags(self, seen: Activations) -> torch.Tensor:
        return seen.logits.softmax(1).amax(1) < self.threshold

    def __str__(self) -> str:
        return (
            f"photos whose largest probability is below {self.threshold:.1%}, as for 5 % of the run's "
            f"{self.val_photos:,} validation photos (a weak rule: this run has no {FILE} for a better one)"
        )


Rule = ViM | MaxSoftmax


def learn(train: Activations, val: Activations, directions: int = DIRECTIONS) -> ViM:
    """The rule of a run, from what its model made of training photos and of the validation photos.

    Args:
        directions: how many are kept; fewer if there are fewer photos or features.
    """
    centre, kept = principal_directions(train.features, directions)
    distance = off_the_plane(train.features, centre, kept).mean()
    weight = (train.logits.amax(1).mean() / distance.clamp_min(1e-12)).item()
    rule = ViM(centre, kept, weight, 0.0, len(train.logits), len(val.logits))
    return ViM(centre, kept, weight, threshold_of(rule.doubt(val)), rule.train_photos, rule.val_photos)


def threshold_of(doubts: torch.Tensor) -> float:
    """The doubt that at most 5 % of these exceed."""
    exceed = int(FALSE_ALARMS * len(doubts))
    return doubts.topk(exceed + 1).values[-1].item()


def unsure(probabilities: torch.Tensor) -> MaxSoftmax:
    """The rule that needs nothing but the validation photos' probabilities ``(n, classes)``."""
    return MaxSoftmax(-threshold_of(-probabilities.amax(1)), len(probabilities))


def principal_directions(features: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of features ``(n, k)``, scaled to length 1: their mean ``(k,)``, and the directions in which they differ most.

    Returns:
        Besides the mean ``count`` orthonormal directions ``(r, k)``; fewer if there are less than four times as many
        photos or features: with as many directions as photos, all of these would lie in the plane.
    """
    unit = F.normalize(features)
    centre = unit.mean(0)
    rows = torch.linalg.svd(unit - centre, full_matrices=False)[2]
    return centre, rows[: min(count, len(features) // 4, features.shape[1] // 4)].contiguous()


def off_the_plane(features: torch.Tensor, centre: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Distance ``(n,)`` of features ``(n, k)``, scaled to length 1, from the plane through the centre ``(k,)``."""
    offset = F.normalize(features) - centre
    return (offset - offset @ directions.T @ directions).norm(dim=1)


def save(rule: ViM, folder: Path) -> Path:
    """Keep the rule in a run's folder."""
    tensors.save_tensors(folder / FILE, {"version": VERSION, **asdict(rule)})
    return folder / FILE


def load(folder: Path, features: int) -> ViM:
    """The rule that a run's folder keeps.

    Args:
        features: how many the run's model has before its last layer.

    Raises:
        RunError: there is none, it is damaged, of another version, or does not fit the model.
    """
    path, content = folder / FILE, tensors.load_tensors(folder / FILE)
    if not isinstance(content, dict) or content.pop("version", None) != VERSION:
        raise RunError(f"{path} is of another version")
    try:
        rule = ViM(**content)
        off_the_plane(torch.zeros(1, features), rule.centre, rule.directions)
        if not all(isinstance(value, float) for value in (rule.weight, rule.threshold)):
            raise TypeError("weight and threshold are no numbers")
    except (TypeError, RuntimeError, AttributeError) as error:
        raise RunError(f"{path} is damaged, or of another model ({str(error).splitlines()[0]})") from error
    return rule


MOST = 500  # training photos that are looked at: all give an AUROC of .8325, these .8307 (report/results/novelty.json)


def fit_ood_detector(
    model: nn.Module, audit: Audit, split: Split, feeds: Loaders, run: Run, cache: Path | None = None
) -> ViM:
    """Look at training photos without augmentation, and at the validation photos; keep the rule in the run's folder.

    Training photos are looked at through the transform of the validation feed. If that is not the recipe's, its words
    are kept too: ``finished.read_run`` then says that nobody can show the model a photo in the same way.

    Args:
        model: as it is used after training, ``views.as_tested``.
        cache: folder that keeps decoded photos from run to run; None keeps nothing.
    """
    transform = own_transform(feeds, run.recipe)
    if transform is None:
        (run.folder / OWN_TRANSFORM).unlink(missing_ok=True)
    else:
        files.write_atomically(run.folder / OWN_TRANSFORM, f"{transform}\n".encode())
    train = training_photos(audit, split, feeds.kind, run, cache, transform)
    parts = []
    for feed, words in ((train, "training photos"), (feeds.val, "validation photos")):
        parts.append(look_at_all(model, progress(feed.epoch(), len(feed), words), run.precision))
    rule = learn(*parts)
    save(rule, run.folder)
    return rule


def own_transform(feeds: Loaders, recipe: Recipe) -> v2.Transform | None:
    """The transform of the validation photos if it is not the recipe's: such photos are never resident."""
    if not isinstance(feeds.val, StreamingLoader):
        return None
    transform = feeds.val.dataset.transform
    return None if repr(transform) == repr(val_transform(recipe)) else transform


def training_photos(
    audit: Audit, split: Split, kind: str, run: Run, cache: Path | None, transform: v2.Transform | None = None
) -> InMemoryLoader | StreamingLoader:
    """A feed of training photos as validation photos are seen; of many, ``MOST``, evenly chosen.

    Args:
        transform: of the validation photos, if not the recipe's; for ``kind`` stream.
    """
    rows = np.array(split.train)[np.linspace(0, len(split.train) - 1, min(MOST, len(split.train))).astype(int)].tolist()
    if kind == "stream":
        transform = transform or val_transform(run.recipe)
        return StreamingLoader(audit.photos, tuple(rows), transform, run.recipe, run.device, shuffle=False)
    labels = torch.tensor([audit.photos.labels[i] for i in rows], device=run.device)
    pictures = val_pictures(audit, rows, run.recipe, cache).to(run.device)
    return InMemoryLoader(pictures, labels, val_batch_size(run.device))
