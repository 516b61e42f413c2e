"""A frozen backbone's features, computed once: training the head alone then takes seconds.

The first half of LP-FT (Kumar et al., 2022). With a few hundred photos of things that ImageNet knows,
it is often as accurate as fine-tuning everything.
"""

from __future__ import annotations

import torch
from torch import nn

from helpers import processes
from helpers.feeds import Feeds, ResidentFeed
from helpers.model import head_module
from helpers.progress import progress
from helpers.recipe import Recipe


class FeatureFeed(ResidentFeed):
    """Batches ``(features, labels)`` in memory: ``(n, k)`` instead of images."""

    def images(self, rows: torch.Tensor) -> torch.Tensor:
        return self.pictures[rows]  # a copy, which gradients may refer to; the features themselves know of none


def what_is_trained(model: nn.Module, feeds: Feeds, recipe: Recipe, precision: torch.dtype) -> tuple[nn.Module, Feeds]:
    """The part of the model that training runs through, and its feeds.

    That is the whole model with the photos, unless the backbone is frozen and sees the same pictures in
    every epoch: then it is the head, fed with the backbone's features. The head remains the model's own: what
    it learns, the model knows.
    """
    head = head_module(model) if recipe.frozen_backbone and not recipe.augmentation else None
    if head is None:
        return model, feeds
    train, val = (_features(model, head, feed, precision) for feed in (feeds.train, feeds.val))
    return head, Feeds(
        FeatureFeed(*train, feeds.train.batch_size, recipe.seed),
        FeatureFeed(*val, feeds.val.batch_size),
        feeds.classes,
        feeds.kind,
        f"{train[0].shape[1]} features per photo",
        feeds.train_names,
    )


@torch.inference_mode()
def _features(model: nn.Module, head: nn.Module, feed, precision: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """What reaches the head, and the labels, in the order of the feed's first epoch, from all processes."""
    seen: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    was_training = model.training
    model.eval()
    try:
        for images, truth in progress(feed.epoch(0), total=len(feed), description="features"):
            with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
                model(images)
            labels.append(truth)
    finally:
        hook.remove()
        model.train(was_training)
    together = (torch.cat(seen), torch.cat(labels))
    return tuple(processes.in_order(rows, len(feed.labels), feed.batch_size) for rows in together)
