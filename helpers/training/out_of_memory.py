"""When memory does not suffice: a message that says which batch would fit."""

from __future__ import annotations

import contextlib
import gc
import traceback
from collections.abc import Callable, Iterator

import torch
from torch import nn

from helpers.common import distributed
from helpers.common.errors import RunError
from helpers.common.modules import autocast
from helpers.recipe import Recipe

# PyTorch's, the C++ library's and oneDNN's words for it, where it is not an exception of its own.
_WORDS = ("allocate memory", "out of memory", "not enough memory", "bad_alloc", "could not create a")


@contextlib.contextmanager
def explain_out_of_memory(
    model: nn.Module, recipe: Recipe, precision: torch.dtype, save: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Turn an out-of-memory error of the training step inside into one that names the batch size that fits.

    Args:
        save: is called before smaller batches are tried: without memory, native code may end the process.

    Raises:
        RunError: memory did not suffice.
    """
    try:
        yield
        return
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        traceback.clear_frames(error.__traceback__)  # they hold the activations
    # Outside of the handler, which would hold the error and with it what we want to be rid of.
    if distributed.world_size() > 1:  # trying would take all of them, and the others wait in the middle of a step
        remedy = "start more processes, or lower batch_size"
    else:
        save()
        print(f"out of memory with batch_size = {recipe.batch_size}: looking for the largest that fits", flush=True)
        fits = largest_batch(model, recipe, precision)
        remedy = f"batch_size = {fits} fits" if fits else "not even a batch of one fits: lower image_size"
    raise RunError(
        f"out of memory with batch_size = {recipe.batch_size} at {recipe.image_size} px: {remedy} "
        f"(a smaller batch wants a smaller lr, in proportion). The last finished epoch is saved. PyTorch said: {said}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what PyTorch raises when a CPU or a GPU has no more memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def largest_batch(model: nn.Module, recipe: Recipe, precision: torch.dtype) -> int:
    """The largest of batch_size / 2, / 4, … with which a training step works; 0 if none does. Spoils gradients."""
    batch = recipe.batch_size // 2
    while batch:
        _clean_up(model)
        try:
            _step(model, batch, recipe.image_size, precision)
            return batch
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
        batch //= 2
    return 0


def _step(network: nn.Module, batch: int, side: int, precision: torch.dtype) -> None:
    device = next(network.parameters()).device
    images = torch.zeros(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    with autocast(device, precision):
        logits = network(images)
    logits.float().sum().backward()


def _clean_up(network: nn.Module) -> None:
    network.zero_grad(set_to_none=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
