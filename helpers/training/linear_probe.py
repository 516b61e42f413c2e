"""A frozen backbone's features, computed once: training the head alone then takes seconds.

The first half of LP-FT (Kumar et al., 2022). With a few hundred photos of things that ImageNet knows,
it is often as accurate as fine-tuning everything.
"""

from __future__ import annotations

import torch
from torch import nn

from helpers.common.errors import ParameterError
from helpers.data.loading.loaders import InMemoryLoader, Loaders
from helpers.evaluation.features import backbone_features
from helpers.models.averaging import with_tta
from helpers.models.head import find_head, head_module
from helpers.recipe import Recipe

# Of 4e-4, 3e-3, 1e-2 and 3e-2 the best on MobileNetV2's features of 321 held-out flowers, at 160 px. A head that is
# pulled less is so sure of what it was fitted to that the first steps of fine-tuning, which show it something else,
# spoil the backbone.
WEIGHT_PENALTY = 1e-2


AUGMENTED_PASSES = 4  # one is too few: with random crops the head then learns these very crops by heart


class FeatureLoader(InMemoryLoader):
    """Batches ``(features, labels)`` in memory: ``(n, k)`` instead of images."""

    def images(self, rows: torch.Tensor) -> torch.Tensor:
        return self.pictures[rows]  # a copy, which gradients may refer to; the features themselves know of none


def select_trained_part(
    model: nn.Module, feeds: Loaders, recipe: Recipe, precision: torch.dtype
) -> tuple[nn.Module, Loaders]:
    """The part of the model that training runs through, and its feeds.

    That is the whole model with the photos, unless the backbone is frozen and sees the same pictures in
    every epoch: then it is the head, fed with the backbone's features. The head remains the model's own: what
    it learns, the model knows.
    """
    head = head_module(model) if recipe.frozen_backbone and not recipe.augmentation else None
    if head is None:
        return model, feeds
    train = backbone_features(model, head, feeds.train, precision)
    # The mean over views of what reaches a linear layer gives the mean of its logits.
    val = backbone_features(with_tta(model, recipe), head, feeds.val, precision)
    return head, Loaders(
        FeatureLoader(*train, feeds.train.batch_size, recipe.seed),
        FeatureLoader(*val, feeds.val.batch_size),
        feeds.classes,
        feeds.kind,
        f"{train[0].shape[1]} features per photo",
        feeds.train_names,
    )


def fit_head(model: nn.Module, feed, precision: torch.dtype, looks: int = AUGMENTED_PASSES) -> float:
    """Fit the head to the features of the feed's first epochs, by logistic regression: the first half of LP-FT.

    A fresh head would send gradients of chance through the backbone, which spoil what it knows (Kumar et al., 2022).

    Args:
        looks: epochs to take features of; one will do if the photos are the same in all of them.

    Returns:
        The share of those photos that it then gets right.

    Raises:
        ParameterError: the model does not end in its head (SqueezeNet).
    """
    head = head_module(model)
    if head is None:
        raise ParameterError(
            "linear_probe_first: this backbone averages behind its head. Set linear_probe_first to False"
        )
    seen = [backbone_features(model, head, feed, precision, epoch) for epoch in range(looks)]
    # cat copies: gradients cannot refer to inference tensors.
    features, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
    layer = find_head(model)[1]
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(layer(features), labels) + WEIGHT_PENALTY * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        return (layer(features).argmax(1) == labels).float().mean().item()
