"""Feeds: what brings batches of photos to the network, from memory or from disk.

All kinds yield ``(images, labels)`` on the device: float32 ``(n, 3, S, S)``, normalized, and
int64 ``(n,)``. Which one serves changes the speed, not the meaning: same transforms, same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.transforms import v2

from helpers.common import distributed
from helpers.common.device import free_memory
from helpers.common.errors import ParameterError
from helpers.common.seeding import generator
from helpers.data.audit import Audit
from helpers.data.augmentation import train_transform, val_transform
from helpers.data.loading import batch_augmentation
from helpers.data.loading.canvases import canvas_sides, train_canvases, val_pictures
from helpers.data.loading.streaming import StreamingLoader
from helpers.data.split import Split
from helpers.recipe import Recipe

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class InMemoryLoader:
    """Pictures in memory as the network sees them; shuffled in each epoch if there is a seed."""

    def __init__(self, pictures: torch.Tensor, labels: torch.Tensor, batch_size: int, seed: int | None = None) -> None:
        self.pictures, self.labels, self.batch_size, self.seed = pictures, labels, batch_size, seed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Batches:
        """Every photo once, from batch ``start`` on; the same for the same seed and epoch."""
        order = epoch_order(len(self.labels), self.seed, epoch).to(self.labels.device)
        for share in distributed.shares(len(order), self.batch_size)[start:]:
            yield self.images(order[share]), self.labels[order[share]]

    def images(self, rows: torch.Tensor) -> torch.Tensor:
        return batch_augmentation.normalize(self.pictures[rows]).contiguous(memory_format=torch.channels_last)


class AugmentingLoader:
    """Canvases in memory, augmented in batches on the device."""

    def __init__(self, canvases: torch.Tensor, frames: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> None:
        self.canvases, self.frames, self.labels, self.recipe = canvases, frames, labels, recipe
        self.batch_size, self.device = recipe.batch_size, canvases.device
        self.augment = batch_augmentation.Augmenter(recipe, self.device)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Batches:
        """Every photo once, shuffled and augmented, from batch ``start`` on; the same for the same seed and epoch."""
        n, seed = len(self.labels), self.recipe.seed
        order = epoch_order(n, seed, epoch)
        draws = batch_augmentation.sample_params(self.recipe, n, generator(seed, "augmentation", epoch))
        plan = batch_augmentation.prepare_params(draws, self.frames[order], self.recipe, self.device)
        order = order.to(self.device)
        for share in distributed.shares(n, self.batch_size)[start:]:
            images = self.augment(self.canvases[order[share]], {name: part[share] for name, part in plan.items()})
            yield images.contiguous(memory_format=torch.channels_last), self.labels[order[share]]


@dataclass(frozen=True)
class Loaders:
    """The training and the validation feed of a run, and how they are fed."""

    train: AugmentingLoader | InMemoryLoader | StreamingLoader
    val: InMemoryLoader | StreamingLoader
    classes: tuple[str, ...]
    kind: str  # resident or stream
    why: str
    train_names: tuple[str, ...] = ()  # of the training photos, in the feed's order

    def __str__(self) -> str:
        return (
            f"{len(self.train.labels)} training and {len(self.val.labels)} validation photos, {self.kind}: {self.why}"
        )


def make_loaders(
    audit: Audit,
    split: Split,
    recipe: Recipe,
    device: torch.device,
    train: v2.Transform | None = None,
    val: v2.Transform | None = None,
    cache: Path | None = None,
) -> Loaders:
    """Feeds for this split, by default with the recipe's own transforms.

    ``pipeline = auto`` keeps the decoded photos in memory if they take no more than ``memory_limit_gb``
    and half of what is free on the device, and if the transforms are the recipe's; otherwise photos
    are streamed from disk.

    Args:
        cache: folder that keeps decoded photos from run to run; None keeps nothing.

    Raises:
        ParameterError: ``pipeline = resident`` with transforms that are not the recipe's; more
            processes than a batch has photos.
    """
    _check_processes(split, recipe)
    own = _same(train, train_transform(recipe)) and _same(val, val_transform(recipe))
    listed = recipe.augmentation and recipe.auto_augment != "none"
    if recipe.pipeline == "resident" and not own:
        raise ParameterError("pipeline = 'resident' knows the recipe's own transforms only: use pipeline = stream")
    names = tuple(audit.photos.names[i] for i in split.train)
    needed = decoded_bytes(split, recipe)
    allowed = min(recipe.memory_limit_gb * 1e9, free_memory(device) / 2)
    if recipe.pipeline == "resident" or (recipe.pipeline == "auto" and own and not listed and needed <= allowed):
        feeds = _resident(audit, split, recipe, device, cache)
        why = f"{needed / 1e9:.2f} GB of decoded photos in memory"
        return Loaders(*feeds, audit.photos.classes, "resident", why, names)
    too_large = f"{needed / 1e9:.2f} GB decoded, {allowed / 1e9:.2f} GB allowed"
    why = {"stream": "as asked", "auto": too_large if own else "the transforms are your own"}
    if listed:
        why["auto"] = "auto_augment takes photos one by one"
    streams = (
        StreamingLoader(audit.photos, split.train, train or train_transform(recipe), recipe, device, shuffle=True),
        StreamingLoader(audit.photos, split.val, val or val_transform(recipe), recipe, device, shuffle=False),
    )
    return Loaders(*streams, audit.photos.classes, "stream", why[recipe.pipeline], names)


def decoded_bytes(split: Split, recipe: Recipe) -> int:
    """What the photos of this split take in memory when they are resident."""
    side = canvas_sides(recipe)[0] if recipe.augmentation else recipe.val_size
    return 3 * (len(split.train) * side**2 + len(split.val) * recipe.val_size**2)


def epoch_order(photos: int, seed: int | None, epoch: int) -> torch.Tensor:
    """int64 ``(photos,)``: a permutation that follows from seed and epoch; without a seed, as they are."""
    if seed is None:
        return torch.arange(photos)
    return torch.randperm(photos, generator=generator(seed, "order", epoch))


def val_batch_size(device: torch.device) -> int:
    """Photos per batch where no gradients are kept: as many as the processor's cache likes, or a GPU's threads."""
    return 64 if device.type == "cpu" else 512


def _resident(
    audit: Audit, split: Split, recipe: Recipe, device: torch.device, cache: Path | None
) -> tuple[AugmentingLoader | InMemoryLoader, InMemoryLoader]:
    train_labels, val_labels = (
        torch.tensor([audit.photos.labels[i] for i in part], device=device) for part in (split.train, split.val)
    )
    if recipe.augmentation:
        canvases, frames = train_canvases(audit, split.train, recipe, cache)
        train = AugmentingLoader(canvases.to(device), frames, train_labels, recipe)
    else:
        pictures = val_pictures(audit, split.train, recipe, cache).to(device)
        train = InMemoryLoader(pictures, train_labels, recipe.batch_size, recipe.seed)
    pictures = val_pictures(audit, split.val, recipe, cache).to(device)
    return train, InMemoryLoader(pictures, val_labels, val_batch_size(device))


def _same(given: v2.Transform | None, own: v2.Transform) -> bool:
    return given is None or repr(given) == repr(own)


def _check_processes(split: Split, recipe: Recipe) -> None:
    photos = min(recipe.batch_size, len(split.train))
    if distributed.world_size() > photos:
        raise ParameterError(
            f"{distributed.world_size()} processes share each batch of {photos} photos: start at most {photos}, "
            "or raise batch_size (which all of them share)"
        )
