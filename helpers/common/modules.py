"""How a network is run: in which arithmetic, and in which mode."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Compute convolutions and matrix products inside in ``precision``; with float32 nothing changes."""
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model into evaluation mode; afterwards each of its modules has the mode that it had, errors or not."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes.items():
            module.training = mode
