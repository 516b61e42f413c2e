"""Several processes that train one model together, each on its share of every batch.

Everything here does nothing special in a single process, so that the same training loop serves
one device and many. ``helpers/train.py`` starts them; who is who stands in ``torch.distributed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0. The first one alone writes and prints."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    return rank() == 0


def shares(photos: int, batch_size: int) -> list[slice]:
    """This process's positions in each batch of an epoch, dealt out one by one: in the last batch maybe none."""
    starts = range(0, photos, batch_size)
    return [slice(start + rank(), min(start + batch_size, photos), world_size()) for start in starts]


def broadcast_object(decide: Callable[[], Any]) -> Any:
    """What the first process decides, in all of them."""
    answer = [decide() if is_main() else None]
    if world_size() > 1:
        dist.broadcast_object_list(answer)
    return answer[0]


@contextmanager
def main_process_first() -> Iterator[None]:
    """The first process goes ahead; the others follow when it is done."""
    if world_size() > 1 and not is_main():
        dist.barrier()
    yield
    if world_size() > 1 and is_main():
        dist.barrier()


def all_reduce_sum(*values: torch.Tensor | float) -> list[torch.Tensor]:
    """The values, float64, each summed over the processes."""
    sums = torch.stack([torch.as_tensor(value).double() for value in _on_one_device(values)])
    if world_size() > 1:
        dist.all_reduce(sums)
    return list(sums)


def gather_in_order(rows: torch.Tensor, photos: int, batch_size: int) -> torch.Tensor:
    """The rows of all processes, dealt out by ``shares``, in the epoch's order: ``(k, …)`` → ``(photos, …)``."""
    if world_size() == 1:
        return rows
    everything = rows.new_zeros(photos, *rows.shape[1:])
    positions = [torch.arange(photos)[share] for share in shares(photos, batch_size)]
    everything[torch.cat(positions).to(rows.device)] = rows
    dist.all_reduce(everything)
    return everything


def wrap_ddp(network: nn.Module) -> nn.Module:
    """The network, wrapped so that all processes take the same steps as one process with the whole batch would.

    Gradients are averaged over photos, not over processes, and batch normalization takes its statistics from the
    whole batch. Dropout draws other masks than a single process: the results then agree in distribution only.
    """
    if world_size() == 1:
        return network
    if _learns_statistics(network):
        if next(network.parameters()).device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        else:
            _replace_batch_norm(network)  # PyTorch's own works on GPUs only
    return _Shared(network)


class _Shared(DistributedDataParallel):
    """PyTorch's wrapper averages over processes, which weighs photos unequally where shares differ in size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, broadcast_buffers=False)  # nothing to send: they are the same everywhere

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
        self._remember(mean.detach(), variance.detach() * number / (number - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(images.dtype)

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _Sum(torch.autograd.Function):
    """The sum over processes; so is its gradient."""

    @staticmethod
    def forward(ctx, value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


def _learns_statistics(network: nn.Module) -> bool:
    """Whether its batch normalization is trained; that of a frozen backbone has to be left as it is."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return any(norm.weight is not None and norm.weight.requires_grad for norm in norms)


def _replace_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d and child.track_running_stats and child.affine:
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
            # The very same tensors: the optimizer holds the parameters already.
            shared.weight, shared.bias = child.weight, child.bias
            shared.running_mean, shared.running_var = child.running_mean, child.running_var
            shared.num_batches_tracked = child.num_batches_tracked
            shared.training = child.training
            setattr(module, name, shared)
        else:
            _replace_batch_norm(child)


def _on_one_device(values: tuple[torch.Tensor | float, ...]) -> list[torch.Tensor | float]:
    devices = [value.device for value in values if isinstance(value, torch.Tensor)]
    return [torch.as_tensor(value, device=devices[0] if devices else None) for value in values]
