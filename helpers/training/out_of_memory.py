"""Out of memory: a message that says which batch size fits."""

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

# How PyTorch, the C++ library and oneDNN say it, where they have no exception of its own.
_MESSAGES = ("allocate memory", "out of memory", "not enough memory", "bad_alloc", "could not create a")


@contextlib.contextmanager
def explain_out_of_memory(
    model: nn.Module, recipe: Recipe, precision: torch.dtype, save: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Turn an out-of-memory error of the training step inside into one that names the batch size that fits.

    Args:
        save: is called before smaller batches are tried, since native code may end the process without memory.

    Raises RunError: memory did not suffice.
    """
    try:
        yield
        return
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        traceback.clear_frames(error.__traceback__)  # they hold the activations
    # Outside of the handler, which would hold the error and with it the activations.
    if distributed.world_size() > 1:  # the others wait in the middle of a step
        remedy = "start more processes, or lower batch_size"
    else:
        save()
        print(f"out of memory with batch_size = {recipe.batch_size}: looking for the largest that fits", flush=True)
        fits = largest_batch(model, recipe, precision)
        remedy = f"batch_size = {fits} fits" if fits else "not even a batch of one fits: lower image_size"
    raise RunError(
        f"out of memory with batch_size = {recipe.batch_size} at {recipe.image_size} px: {remedy} "
        f"(a smaller batch wants a smaller lr, in proportion). The last finished epoch is saved. PyTorch said: {reason}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether this is what PyTorch raises when a CPU or a GPU has no more memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES)


def largest_batch(model: nn.Module, recipe: Recipe, precision: torch.dtype) -> int:
    """Find the largest of batch_size / 2, / 4, … with which a training step works; 0 if none does. Clears gradients."""
    batch = recipe.batch_size // 2
    while batch:
        model.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            _try_step(model, batch, recipe.image_size, precision)
            return batch
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
        batch //= 2
    return 0


def _try_step(model: nn.Module, batch: int, image_size: int, precision: torch.dtype) -> None:
    device = next(model.parameters()).device
    images = torch.zeros(batch, 3, image_size, image_size, device=device).contiguous(memory_format=torch.channels_last)
    with autocast(device, precision):
        logits = model(images)
    logits.float().sum().backward()
