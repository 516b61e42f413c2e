"""Stream photos from disk, decoded and transformed one by one, for data of any size."""

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate
from torchvision.transforms import v2

from helpers.common import distributed
from helpers.common.errors import UserError
from helpers.common.seeding import derive_seed, generator
from helpers.data.decode import load_photo
from helpers.data.image_folder import PhotoSet
from helpers.recipe import Recipe

Key = tuple[int, int]  # epoch, and position among the loader's photos


def epoch_order(photos: int, seed: int | None, epoch: int) -> torch.Tensor:
    """Permute the photos by seed and epoch, int64 ``(photos,)``; without a seed, ascending."""
    if seed is None:
        return torch.arange(photos)
    return torch.randperm(photos, generator=generator(seed, "order", epoch))


class StreamingLoader:
    """Load batches ``(images, labels)`` from disk in ``recipe.workers`` processes."""

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
        self.batch_size = recipe.batch_size
        self.batches: list[list[Key]] = []  # the loader's sampler; refilled by each epoch
        self.dataset = PhotoDataset(photos, indices, transform, recipe)
        self.loader = self._loader()

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield every photo once, from batch ``start`` on, shuffled for training.

        If a worker dies, this process reads the rest: slower, but the same batches.
        """
        n = len(self.labels)
        order = epoch_order(n, self.recipe.seed if self.shuffle else None, epoch)
        shares = distributed.shares(n, self.batch_size)[start:]
        self.batches[:] = [[(epoch, position) for position in order[share].tolist()] for share in shares]
        done = 0
        try:
            for batch in _errors_kept_here(self.loader):
                yield self._on_device(*batch)
                done += 1
            return
        except UserError as error:  # of a worker: PyTorch's message is its whole traceback
            raise type(error)(str(error).strip().splitlines()[-1].split("Error: ", 1)[-1]) from None
        except (RuntimeError, OSError, EOFError) as error:
            if not self.recipe.workers or not _handover_failed(error):
                raise
        # Outside the handler, which would keep the error alive, and with it the workers.
        print("a process that reads photos failed (too little memory, or /dev/shm too small): this one reads them now")
        self.recipe = replace(self.recipe, workers=0)
        self.loader = self._loader()
        del self.batches[:done]
        for batch in self.loader:
            yield self._on_device(*batch)

    def _on_device(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = images.to(self.device, non_blocking=True, memory_format=torch.channels_last)
        return images, labels.to(self.device, non_blocking=True)

    def _loader(self) -> DataLoader:
        return DataLoader(
            self.dataset,
            batch_sampler=_Batches(self.batches),
            collate_fn=_Collate(self.recipe.image_size),
            num_workers=self.recipe.workers,
            persistent_workers=self.recipe.workers > 0,
            pin_memory=self.device.type == "cuda",  # so that copies to the GPU can run beside its work
            generator=generator(self.recipe.seed, "workers"),
        )


def _errors_kept_here(loader: DataLoader) -> Iterator[list[torch.Tensor]]:
    """Iterate over a loader so that a dead worker raises an error only when a batch is requested.

    PyTorch's signal handler would raise anywhere in the main thread, even in the middle of a training step. Without it,
    the loader still checks its workers every five seconds.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return iter(loader)  # where PyTorch installs no handler either
    before = signal.getsignal(signal.SIGCHLD)
    try:
        return iter(loader)
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def _handover_failed(error: Exception) -> bool:
    """Tell whether the error means that a worker is gone, or has too little shared memory."""
    said = str(error)
    if isinstance(error, RuntimeError):
        return "shared memory" in said or ("DataLoader worker" in said and ("killed" in said or "exited" in said))
    # A broken connection to a worker that has just been killed. "Caught" begins the message of a living one: an error
    # of a transform, for instance.
    return isinstance(error, (ConnectionError, EOFError, FileNotFoundError)) and not said.startswith("Caught ")


class PhotoDataset(Dataset):
    """Read photos from disk and transform them. Indexed by ``(epoch, position in indices)``."""

    def __init__(self, photos: PhotoSet, indices: tuple[int, ...], transform: v2.Transform, recipe: Recipe) -> None:
        self.photos, self.indices, self.transform, self.seed = photos, indices, transform, recipe.seed

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, int]:
        epoch, position = key
        index = self.indices[position]
        # The transforms draw from the global generator: seeded per photo, their draws do not depend on the workers.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "augmentation", epoch, position))
            return self.transform(load_photo(self.photos.path(index))), self.photos.labels[index]


class _Batches(Sampler):
    def __init__(self, batches: list[list[Key]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Collate:
    """Collate photos into a batch, which is empty where a process has no share in the last batch."""

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size

    def __call__(self, photos: list[tuple[torch.Tensor, int]]) -> list[torch.Tensor]:
        if photos:
            return default_collate(photos)
        return [torch.empty(0, 3, self.image_size, self.image_size), torch.empty(0, dtype=torch.int64)]
