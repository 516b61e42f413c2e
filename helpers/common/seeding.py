"""Random numbers that depend on where they are used, not on what was drawn before.

The order and the augmentation of epoch 7 are the same whether or not the run was interrupted before it, and however
many processes read the photos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # finding and splitting photos work without it
    import torch


def derive_seed(seed: int, *place: int | str) -> int:
    """Return a seed in [0, 2**63) for one place of a run, such as ``derive_seed(0, "order", epoch)``."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *place: int | str) -> torch.Generator:
    """Return a CPU generator seeded with ``derive_seed(seed, *place)``."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *place))


@contextmanager
def seeded(seed: int, *place: int | str) -> Iterator[None]:
    """Seed PyTorch's CPU generator with ``derive_seed(seed, *place)`` inside; restore its state afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would reseed the GPUs too, which are not forked here.
        torch.default_generator.manual_seed(derive_seed(seed, *place))
        yield
