"""Training on a frozen backbone's features, computed once: the head alone, which takes seconds.

Also the first half of LP-FT (Kumar et al., 2022). With a few hundred photos of things that ImageNet knows, a linear
probe is often as accurate as fine-tuning everything.
"""

from collections.abc import Iterable

import torch
from torch import nn

from helpers.common.errors import ParameterError
from helpers.data.loading.loaders import InMemoryLoader, Loaders
from helpers.evaluation.features import backbone_features
from helpers.models.averaging import with_tta
from helpers.models.folding import fold_batch_norms
from helpers.models.head import find_head, head_module
from helpers.recipe import Recipe

# Of 4e-4, 3e-3, 1e-2 and 3e-2 the best on MobileNetV2's features of 321 held-out flowers, at 160 px. With a weaker
# penalty the head is so confident that the first steps of fine-tuning, on augmented photos, spoil the backbone.
WEIGHT_PENALTY = 1e-2
OWN = ("head", "freezing", "train_transform")  # with one of these, features may differ from epoch to epoch
AUGMENTED_PASSES = 4  # with random crops, a head that has seen a single pass overfits to those crops


class FeatureLoader(InMemoryLoader):
    """Batches ``(features, labels)`` in memory: ``(n, k)`` instead of images."""

    def images(self, rows: torch.Tensor) -> torch.Tensor:
        return self.pictures[rows]  # a copy, which autograd may use; features are inference tensors


def select_trained_part(
    model: nn.Module, loaders: Loaders, recipe: Recipe, precision: torch.dtype, changed: Iterable[str] = ()
) -> tuple[nn.Module, Loaders]:
    """Return the part of the model that training runs through, and its loaders.

    That is the whole model with the photos, unless the backbone is frozen and sees the same images in every epoch:
    then it is the head with the backbone's features. The head stays a part of the model.

    Args:
        changed: names of what a cell of the notebook changed by hand, as in ``training.changes``.
    """
    fixed = recipe.frozen_backbone and not recipe.augmentation and not {*changed} & {*OWN}
    head = head_module(model) if fixed else None
    if head is None:
        return model, loaders
    train = backbone_features(fold_batch_norms(model), loaders.train, precision)
    # Not folded: in bfloat16 that rounds differently, and the accuracy must be the saved model's. The mean over views
    # of a linear layer's inputs gives the mean of its logits.
    val = backbone_features(with_tta(model, recipe), loaders.val, precision)
    return head, Loaders(
        FeatureLoader(*train, loaders.train.batch_size, recipe.seed),
        FeatureLoader(*val, loaders.val.batch_size),
        loaders.classes,
        loaders.kind,
        f"{train[0].shape[1]} features per photo",
        loaders.train_names,
    )


def fit_head(model: nn.Module, loader, precision: torch.dtype, passes: int = AUGMENTED_PASSES) -> float:
    """Fit the head to the backbone's features by logistic regression: the first half of LP-FT.

    The gradients of a random head would spoil the pretrained backbone (Kumar et al., 2022).

    Args:
        passes: epochs to compute features of; 1 if the images are the same in all of them.

    Returns:
        The accuracy on those features.

    Raises ParameterError: the model does not end in its head (SqueezeNet).
    """
    head = head_module(model)
    if head is None:
        raise ParameterError(
            "linear_probe_first: this backbone averages behind its head. Set linear_probe_first to False"
        )
    parts = [backbone_features(model, loader, precision, epoch) for epoch in range(passes)]
    # cat copies: autograd cannot use inference tensors.
    features, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    layer = find_head(model)[1]
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(layer(features), labels) + WEIGHT_PENALTY * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        return (layer(features).argmax(1) == labels).float().mean().item()
