"""Make data loaders: batches of photos for the network, from memory or streamed from disk.

All loaders yield ``(images, labels)`` on the device: float32 ``(n, 3, S, S)``, normalized, and int64 ``(n,)``. The
choice changes the speed, not the meaning: same transforms, same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.transforms import v2

from helpers.common import distributed
from helpers.common.device import free_memory, pick_device
from helpers.common.errors import ParameterError
from helpers.common.seeding import generator
from helpers.data.audit import Audit
from helpers.data.augmentation import is_recipes, train_transform, val_transform
from helpers.data.loading import batch_augmentation
from helpers.data.loading.canvases import canvas_sides, decoded_photos, train_arrays, val_arrays
from helpers.data.loading.derived import Derived
from helpers.data.loading.streaming import StreamingLoader, epoch_order
from helpers.data.split import Split
from helpers.recipe import Recipe

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class InMemoryLoader:
    """Load pictures that are in memory as the network sees them; with a seed, shuffled in each epoch."""

    def __init__(self, pictures: torch.Tensor, labels: torch.Tensor, batch_size: int, seed: int | None = None) -> None:
        self.pictures, self.labels, self.batch_size, self.seed = pictures, labels, batch_size, seed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Batches:
        """Yield every photo once, from batch ``start`` on; the same for the same seed and epoch."""
        order = epoch_order(len(self.labels), self.seed, epoch).to(self.labels.device)
        for share in distributed.shares(len(order), self.batch_size)[start:]:
            yield self.images(order[share]), self.labels[order[share]]

    def images(self, rows: torch.Tensor) -> torch.Tensor:
        """Normalize the pictures of these rows."""
        return batch_augmentation.normalize(self.pictures[rows]).contiguous(memory_format=torch.channels_last)


class AugmentingLoader:
    """Load canvases that are in memory, augmented in batches on the device."""

    def __init__(self, canvases: torch.Tensor, half_sizes: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> None:
        self.canvases, self.half_sizes, self.labels, self.recipe = canvases, half_sizes, labels, recipe
        self.batch_size, self.device = recipe.batch_size, canvases.device
        self.augment = batch_augmentation.Augmenter(recipe, self.device)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Batches:
        """Yield every photo once, shuffled and augmented, from batch ``start`` on; the same for the same epoch."""
        n, seed = len(self.labels), self.recipe.seed
        order = epoch_order(n, seed, epoch)
        params = batch_augmentation.sample_params(self.recipe, n, generator(seed, "augmentation", epoch))
        prepared = batch_augmentation.prepare_params(params, self.half_sizes[order], self.recipe, self.device)
        order = order.to(self.device)
        for share in distributed.shares(n, self.batch_size)[start:]:
            images = self.augment(self.canvases[order[share]], {name: rows[share] for name, rows in prepared.items()})
            yield images.contiguous(memory_format=torch.channels_last), self.labels[order[share]]


@dataclass(frozen=True)
class Loaders:
    """The training and the validation loader of a run."""

    train: AugmentingLoader | InMemoryLoader | StreamingLoader
    val: InMemoryLoader | StreamingLoader
    classes: tuple[str, ...]
    kind: str  # resident or stream
    why: str
    train_names: tuple[str, ...] = ()  # of the training photos, in the order of train.labels
    transforms: tuple[v2.Transform, ...] = ()  # of the training photos, and of the validation photos

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
    """Make the loaders of a split.

    ``pipeline = auto`` keeps the decoded photos in memory if they take at most ``memory_limit_gb`` and half of what is
    free on the device, and if the transforms are the recipe's; otherwise photos are streamed from disk.

    Args:
        train, val: transforms; None: the recipe's.
        cache: folder that keeps decoded photos between runs; None keeps nothing.

    Raises:
        ParameterError: ``pipeline = resident`` with transforms that are not the recipe's; more
            processes than a batch has photos.
    """
    _check_processes(split, recipe)
    train, val = train or train_transform(recipe), val or val_transform(recipe)
    own = own_transforms(recipe, train, val)
    kind, why = _choose_pipeline(recipe, len(split.train), len(split.val), device, bool(own))
    if kind == "resident":
        loaders = _resident(audit, split, recipe, device, cache)
    else:
        loaders = (
            StreamingLoader(audit.photos, split.train, train, recipe, device, shuffle=True),
            StreamingLoader(audit.photos, split.val, val, recipe, device, shuffle=False),
        )
    names = tuple(audit.photos.names[i] for i in split.train)
    return Loaders(*loaders, audit.photos.classes, kind, why, names, (train, val))


def own_transforms(recipe: Recipe, train: v2.Transform, val: v2.Transform) -> dict[str, str]:
    """Return the transforms that are not the recipe's, as text."""
    given = {"train_transform": (train, train_transform(recipe)), "val_transform": (val, val_transform(recipe))}
    return {name: " ".join(repr(used).split()) for name, (used, own) in given.items() if not is_recipes(used, own)}


def derived_for(recipe: Recipe, photos: int) -> list[Derived]:
    """Return what the recipe's loaders keep of so many photos; nothing if they stream."""
    learned = photos - int(recipe.test_fraction * photos)
    train = int(recipe.train_fraction * learned)
    if _choose_pipeline(recipe, train, learned - train, pick_device(recipe.device))[0] == "stream":
        return []
    return [train_arrays(recipe), val_arrays(recipe)] if recipe.augmentation else [val_arrays(recipe)]


def decoded_bytes(train: int, val: int, recipe: Recipe) -> int:
    """Return the bytes of memory that so many decoded training and validation photos take."""
    side = canvas_sides(recipe)[0] if recipe.augmentation else recipe.val_size
    return 3 * (train * side**2 + val * recipe.val_size**2)


def _choose_pipeline(recipe: Recipe, train: int, val: int, device: torch.device, own: bool = False) -> tuple[str, str]:
    """Choose ``resident`` or ``stream``, and say why.

    Args:
        train, val: numbers of photos.
        own: whether a transform is not the recipe's.
    """
    needed = decoded_bytes(train, val, recipe)
    allowed = min(recipe.memory_limit_gb * 1e9, free_memory(device) / 2)
    if recipe.pipeline == "stream":
        return "stream", "as the recipe says"
    if own and recipe.pipeline == "resident":
        raise ParameterError("pipeline = resident takes the recipe's own transforms only: use pipeline = stream")
    if own:
        return "stream", "the transforms are your own"
    if recipe.auto_augment != "none":
        return "stream", "auto_augment takes photos one by one"
    if recipe.pipeline == "auto" and needed > allowed:
        return "stream", f"{needed / 1e9:.2f} GB decoded, {allowed / 1e9:.2f} GB allowed"
    return "resident", f"{needed / 1e9:.2f} GB of decoded photos in memory"


def val_batch_size(device: torch.device) -> int:
    """Return the batch size without gradients: small enough for the processor's cache, or enough to fill a GPU."""
    return 64 if device.type == "cpu" else 512


def _resident(
    audit: Audit, split: Split, recipe: Recipe, device: torch.device, cache: Path | None
) -> tuple[AugmentingLoader | InMemoryLoader, InMemoryLoader]:
    seen = train_arrays(recipe) if recipe.augmentation else val_arrays(recipe)
    wanted = [(seen, split.train), (val_arrays(recipe), split.val)]
    train_photos, val_photos = decoded_photos(audit, wanted, cache)
    train_labels, val_labels = (
        torch.tensor([audit.photos.labels[i] for i in part], device=device) for part in (split.train, split.val)
    )
    if recipe.augmentation:
        canvases = train_photos["canvases"].to(device)
        train = AugmentingLoader(canvases, train_photos["half_sizes"], train_labels, recipe)
    else:
        train = InMemoryLoader(train_photos["pictures"].to(device), train_labels, recipe.batch_size, recipe.seed)
    return train, InMemoryLoader(val_photos["pictures"].to(device), val_labels, val_batch_size(device))


def _check_processes(split: Split, recipe: Recipe) -> None:
    photos = min(recipe.batch_size, len(split.train))
    if distributed.world_size() > photos:
        raise ParameterError(
            f"{distributed.world_size()} processes share each batch of {photos} photos: start at most {photos}, "
            "or raise batch_size (which all of them share)"
        )
