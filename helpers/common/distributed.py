"""Several processes that train one model together, each on its share of every batch.

In a single process everything here does nothing special, so the same training loop serves one device and many.
``accelerate launch -m helpers train`` starts the processes; ``torch.distributed`` knows their number and ranks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Tell whether this is the first process, which alone writes and prints."""
    return rank() == 0


def shares(photos: int, batch_size: int) -> list[slice]:
    """Return this process's positions in each batch of an epoch, dealt out one by one; the last may be empty."""
    starts = range(0, photos, batch_size)
    return [slice(start + rank(), min(start + batch_size, photos), world_size()) for start in starts]


def broadcast_object(decide: Callable[[], Any]) -> Any:
    """Call ``decide`` in the first process, and return its result in all of them."""
    result = [decide() if is_main() else None]
    if world_size() > 1:
        dist.broadcast_object_list(result)
    return result[0]


@contextmanager
def main_process_first() -> Iterator[None]:
    """Let the other processes wait until the first one has left this context."""
    if world_size() > 1 and not is_main():
        dist.barrier()
    yield
    if world_size() > 1 and is_main():
        dist.barrier()


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the type that sums over photos are kept in: float64, but float32 on Apple's GPUs, which have no other."""
    return torch.float32 if device.type == "mps" else torch.float64


def all_reduce_sum(*values: torch.Tensor | float) -> list[torch.Tensor]:
    """Sum each value over the processes. Returns scalars of ``sum_dtype``, on the device of the first tensor."""
    device = next((value.device for value in values if isinstance(value, torch.Tensor)), torch.device("cpu"))
    sums = torch.stack([torch.as_tensor(value, dtype=sum_dtype(device), device=device) for value in values])
    if world_size() > 1:
        dist.all_reduce(sums)
    return list(sums)


def gather_in_order(rows: torch.Tensor, photos: int, batch_size: int) -> torch.Tensor:
    """Gather the rows of all processes, dealt out by ``shares``, in the epoch's order: ``(k, …)`` → ``(photos, …)``."""
    if world_size() == 1:
        return rows
    everything = rows.new_zeros(photos, *rows.shape[1:])
    positions = [torch.arange(photos)[share] for share in shares(photos, batch_size)]
    everything[torch.cat(positions).to(rows.device)] = rows
    dist.all_reduce(everything)
    return everything


def wrap_ddp(model: nn.Module) -> nn.Module:
    """Wrap the model so that all processes take the steps that one process with the whole batch would take.

    Gradients are averaged over photos, not over processes, and batch normalization takes its statistics from the whole
    batch; layers whose statistics are frozen stay as they are. Dropout draws other masks than a single process: the
    results then agree in distribution only.
    """
    if world_size() == 1:
        return model
    _share_batch_norm(model)
    return _PhotoWeightedDDP(model)


class _PhotoWeightedDDP(DistributedDataParallel):
    """PyTorch's wrapper averages over processes, which weighs photos unequally where shares differ in size."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, broadcast_buffers=False)  # they are the same everywhere

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = super().forward(images)
        if self.training:
            photos = torch.tensor([float(len(images))], device=images.device)
            together = photos.clone()
            dist.all_reduce(together)
            weight = photos * world_size() / together  # stays on the device: nobody waits for it
            # At the start of the backward pass, since batch normalization mixes the processes' gradients on the way.
            logits.register_hook(lambda gradient: gradient * weight.to(gradient.dtype))
        return logits


def _share_batch_norm(model: nn.Module) -> None:
    """Replace each ``BatchNorm2d`` by one that shares its statistics: PyTorch's own on GPUs, ours elsewhere.

    Subclasses are left alone: ``models.freezing`` marks the layers that keep their statistics by one.
    """
    for name, child in model.named_children():
        if type(child) is not nn.BatchNorm2d:
            _share_batch_norm(child)
        elif child.weight.device.type == "cuda":
            setattr(model, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            child.__class__ = SharedBatchNorm


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalization (Ioffe and Szegedy, 2015) with the mean and variance of all processes' photos."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(images)
        pixels = images.float()
        axes = (0, 2, 3)
        number = _Sum.apply(pixels.new_tensor([pixels.numel() / pixels.shape[1]]))
        mean = _Sum.apply(pixels.sum(axes)) / number
        centred = pixels - mean.view(1, -1, 1, 1)
        variance = _Sum.apply(centred.square().sum(axes)) / number
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(images.dtype)


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient is summed too. ``torch.distributed.nn.functional.all_reduce`` is deprecated."""

    @staticmethod
    def forward(ctx, value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.apply(gradient)
