"""Feeds: what brings batches of photos to the network, from memory or from disk.

Both kinds yield ``(images, labels)`` on the device: float32 ``(n, 3, S, S)``, normalized, and
int64 ``(n,)``. Which one serves changes the speed, not the meaning: same transforms, same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from helpers import resident
from helpers.augment import train_transform, val_transform
from helpers.decode import load_photo
from helpers.errors import ParameterError
from helpers.photos import PhotoSet
from helpers.recipe import Recipe
from helpers.seeds import derive_seed, generator
from helpers.split import Split

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Feeds:
    """The training and the validation feed of a run, and how they are fed."""

    train: ResidentTrainFeed | StreamFeed
    val: ResidentValFeed | StreamFeed
    classes: tuple[str, ...]
    kind: str  # resident or stream
    why: str

    def __str__(self) -> str:
        return (
            f"{len(self.train.labels)} training and {len(self.val.labels)} validation photos, {self.kind}: {self.why}"
        )


def open_feeds(
    photos: PhotoSet,
    split: Split,
    recipe: Recipe,
    device: torch.device,
    train: v2.Transform | None = None,
    val: v2.Transform | None = None,
) -> Feeds:
    """Feeds for this split, by default with the recipe's own transforms.

    ``pipeline = auto`` keeps the decoded photos in memory if they fit into ``memory_limit_gb``
    and the transforms are the recipe's; otherwise photos are streamed from disk.

    Raises:
        ParameterError: ``pipeline = resident`` with transforms that are not the recipe's.
    """
    own = _same(train, train_transform(recipe)) and _same(val, val_transform(recipe))
    gigabytes = _decoded_bytes(split, recipe) / 1e9
    if recipe.pipeline == "resident" and not own:
        raise ParameterError("pipeline = 'resident' knows the recipe's own transforms only: use pipeline = stream")
    fits = gigabytes <= recipe.memory_limit_gb
    if recipe.pipeline == "resident" or (recipe.pipeline == "auto" and own and fits):
        feeds = _resident(photos, split, recipe, device)
        return Feeds(*feeds, photos.classes, "resident", f"{gigabytes:.2f} GB of decoded photos in memory")
    why = {"stream": "as asked", "auto": f"{gigabytes:.2f} GB decoded" if own else "the transforms are your own"}
    streams = (
        StreamFeed(photos, split.train, train or train_transform(recipe), recipe, device, shuffle=True),
        StreamFeed(photos, split.val, val or val_transform(recipe), recipe, device, shuffle=False),
    )
    return Feeds(*streams, photos.classes, "stream", why[recipe.pipeline])


class ResidentTrainFeed:
    """Canvases in memory, augmented in batches on the device."""

    def __init__(self, canvases: torch.Tensor, frames: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> None:
        self.canvases, self.frames, self.labels, self.recipe = canvases, frames, labels, recipe
        self.device = canvases.device
        self.augment = resident.Augmenter(recipe, self.device)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.recipe.batch_size)

    def epoch(self, epoch: int) -> Batches:
        """Every photo once, shuffled and augmented; the same for the same seed and epoch."""
        n, seed = len(self.labels), self.recipe.seed
        order = torch.randperm(n, generator=generator(seed, "order", epoch))
        draws = resident.draw(self.recipe, n, generator(seed, "augmentation", epoch))
        plan = resident.epoch_plan(draws, self.frames[order], self.recipe, self.device)
        order = order.to(self.device)
        for start in range(0, n, self.recipe.batch_size):
            rows = slice(start, start + self.recipe.batch_size)
            images = self.augment(self.canvases[order[rows]], {name: part[rows] for name, part in plan.items()})
            yield images.contiguous(memory_format=torch.channels_last), self.labels[order[rows]]


class ResidentValFeed:
    """Validation pictures in memory; large batches, since no gradients are kept."""

    def __init__(self, pictures: torch.Tensor, labels: torch.Tensor) -> None:
        self.pictures, self.labels = pictures, labels
        self.batch_size = 64 if pictures.device.type == "cpu" else 512

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch: int = 0) -> Batches:
        for pictures, labels in zip(
            self.pictures.split(self.batch_size), self.labels.split(self.batch_size), strict=True
        ):
            yield resident.normalize(pictures).contiguous(memory_format=torch.channels_last), labels


class PhotoDataset(Dataset):
    """Photos from disk through a transform. Indexed by ``(epoch, position in indices)``."""

    def __init__(self, photos: PhotoSet, indices: tuple[int, ...], transform: v2.Transform, seed: int) -> None:
        self.photos, self.indices, self.transform, self.seed = photos, indices, transform, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, int]:
        epoch, position = key
        index = self.indices[position]
        # The transforms draw from the global generator. Seeding it per photo makes their draws
        # independent of how many workers share the photos.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "augmentation", epoch, position))
            return self.transform(load_photo(self.photos.path(index))), self.photos.labels[index]


class StreamFeed:
    """Photos read, decoded and transformed one by one in worker processes, for data of any size."""

    def __init__(
        self,
        photos: PhotoSet,
        indices: tuple[int, ...],
        transform: v2.Transform,
        recipe: Recipe,
        device: torch.device,
        shuffle: bool,
    ) -> None:
        self.labels = torch.tensor([photos.labels[i] for i in indices])
        self.recipe, self.device, self.shuffle = recipe, device, shuffle
        self.keys: list[tuple[int, int]] = []  # the loader's sampler; refilled by each epoch
        self.loader = DataLoader(
            PhotoDataset(photos, indices, transform, recipe.seed),
            batch_size=recipe.batch_size,
            sampler=_Keys(self.keys),
            num_workers=recipe.workers,
            persistent_workers=recipe.workers > 0,
            pin_memory=device.type == "cuda",
            generator=generator(recipe.seed, "workers"),
        )

    def __len__(self) -> int:
        return -(-len(self.labels) // self.recipe.batch_size)

    def epoch(self, epoch: int = 0) -> Batches:
        n = len(self.labels)
        order = torch.arange(n)
        if self.shuffle:
            order = torch.randperm(n, generator=generator(self.recipe.seed, "order", epoch))
        self.keys[:] = [(epoch, position) for position in order.tolist()]
        for images, labels in self.loader:
            images = images.to(self.device, non_blocking=True, memory_format=torch.channels_last)
            yield images, labels.to(self.device, non_blocking=True)


class _Keys(torch.utils.data.Sampler):
    def __init__(self, keys: list[tuple[int, int]]) -> None:
        self.keys = keys

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


def _same(given: v2.Transform | None, own: v2.Transform) -> bool:
    return given is None or repr(given) == repr(own)


def _decoded_bytes(split: Split, recipe: Recipe) -> int:
    side, _ = resident.canvas_sides(recipe)
    return 3 * (len(split.train) * side**2 + len(split.val) * recipe.image_size**2)


def _resident(
    photos: PhotoSet, split: Split, recipe: Recipe, device: torch.device
) -> tuple[ResidentTrainFeed, ResidentValFeed]:
    side, _ = resident.canvas_sides(recipe)
    canvases = torch.empty(len(split.train), 3, side, side, dtype=torch.uint8)
    frames = torch.empty(len(split.train), 2)
    pictures = torch.empty(len(split.val), 3, recipe.image_size, recipe.image_size, dtype=torch.uint8)

    def store_train(row: int, path: Path) -> None:
        photo = load_photo(path)
        canvases[row] = torch.from_numpy(resident.train_canvas(photo, recipe))
        frames[row] = torch.from_numpy(resident.frame(photo, recipe))

    def store_val(row: int, path: Path) -> None:
        pictures[row] = torch.from_numpy(np.array(resident.val_picture(load_photo(path), recipe)))

    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the interpreter's lock
        list(pool.map(store_train, range(len(split.train)), map(photos.path, split.train)))
        list(pool.map(store_val, range(len(split.val)), map(photos.path, split.val)))
    train_labels, val_labels = (
        torch.tensor([photos.labels[i] for i in part], device=device) for part in (split.train, split.val)
    )
    return (
        ResidentTrainFeed(canvases.to(device), frames, train_labels, recipe),
        ResidentValFeed(pictures.to(device), val_labels),
    )
