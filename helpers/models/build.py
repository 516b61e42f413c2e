"""Building the model: a torchvision backbone with its weights, a new head, and what is frozen."""

from pathlib import Path

import torch
from torch import nn
from torchvision import models

from helpers.common.errors import ParameterError, WeightsError
from helpers.common.seeding import seeded
from helpers.common.text import did_you_mean
from helpers.models.depthwise import ease_depthwise
from helpers.models.freezing import freeze
from helpers.models.head import describe_head, find_head, head_module, replace_head
from helpers.models.weights import head_as_ours, imagenet_weights, load_into, match_names, read_weights
from helpers.recipe import Recipe

# These two come with auxiliary classifiers, which fine-tuning does without. Their ImageNet weights expect differently
# normalized images, which they convert to themselves.
_INCEPTION = {"aux_logits": False, "transform_input": True, "init_weights": True}


def build_model(recipe: Recipe, classes: int, weights: str | None = None) -> nn.Module:
    """Build the recipe's model in three steps: backbone, freezing, head. Images ``(n, 3, S, S)`` → ``(n, classes)``.

    Args:
        weights: instead of the recipe's, such as its path seen from the project's root.

    Raises WeightsError: the backbone is unknown, or the weights are missing or do not fit.
    """
    model = build_backbone(recipe.backbone, weights or recipe.weights, recipe.seed)
    freeze(model, recipe.frozen_backbone, recipe.freeze_fraction, recipe.frozen_norms)
    return replace_head(model, classes, recipe.dropout, recipe.seed)


def build_backbone(name: str, weights: str = "imagenet", seed: int = 0) -> nn.Module:
    """Build a torchvision classification model with its own head: images ``(n, 3, S, S)`` → logits ``(n, 1000)``.

    Args:
        name: such as ``resnet18``.
        weights: ``imagenet``, ``none`` (random), or the path of a state dict. That of an earlier run brings its head.
        seed: of the random weights. The caller's random state stays as it is.

    Raises WeightsError: the name is unknown, or the weights are missing or do not fit.
    """
    check_backbone(name)
    with seeded(seed, "backbone"):
        model = _plain_model(name)
    ease_depthwise(model)
    if weights == "imagenet":
        load_into(model, imagenet_weights(name), f"torchvision's {name}")
    elif weights != "none":
        state, source = read_weights(Path(weights)), f"weights = {weights!r}"
        head, layer = find_head(model)
        state = head_as_ours(match_names(state, model), model)
        own_head = state.get(f"{head}.1.weight")  # as replace_head names it
        parts = {key for key in state if key.startswith(head.split(".")[0] + ".") and key not in model.state_dict()}
        fits = own_head is not None and own_head.shape[1:] == layer.weight.shape[1:]
        if fits and parts <= {f"{head}.1.weight", f"{head}.1.bias"}:
            replace_head(model, len(own_head), dropout=0.0)
            print(f"{source}: its head for {len(own_head)} classes comes along, for photos of as many")
        elif parts:
            print(f"{source}: its head is of another kind and is not taken: a fresh one is trained")
        load_into(model, state, source)
    return model


def check_backbone(name: str) -> None:
    """Check that torchvision has a classification model of this name.

    Raises WeightsError: it has none; the message suggests similar names.
    """
    known = models.list_models(module=models)
    if name not in known:
        hint = did_you_mean(name, known, "try resnet18, mobilenet_v2 or efficientnet_b0")
        raise WeightsError(f"backbone {name!r} is unknown to torchvision{hint}")


def check_image_size(recipe: Recipe) -> None:
    """Check that the backbone takes images of the recipe's sizes, by shapes alone.

    Raises ParameterError: it does not, such as a vision transformer, whose size is fixed.
    """
    model = shapes_only(recipe.backbone).eval().to("meta")
    for size, name in {recipe.val_size: "eval_image_size", recipe.image_size: "image_size"}.items():
        try:
            model(torch.empty(1, 3, size, size, device="meta"))
        except Exception as error:  # each backbone has its own
            raise ParameterError(
                f"{name} = {size}: {recipe.backbone} takes no images of {size} px ({str(error).splitlines()[0]}). "
                "Every backbone takes image_size = 224 with val_resize = 256"
            ) from error


def original_head(backbone: str) -> str:
    """Describe the head that the backbone comes with, such as ``fc: Linear(512 → 1000)``."""
    return describe_head(shapes_only(backbone))


def ends_in_head(backbone: str) -> bool:
    """Tell whether the model ends in its head, so that features can be computed without it (not in SqueezeNet)."""
    return head_module(shapes_only(backbone)) is not None


def has_batch_norm(backbone: str) -> bool:
    """Tell whether the backbone has batch normalization."""
    return any(isinstance(module, nn.BatchNorm2d) for module in shapes_only(backbone).modules())


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Count the model's parameters, and those of them that training may change."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trainable in sizes if trainable)


def _plain_model(name: str) -> nn.Module:
    """Build the model as torchvision has it, with random weights and its 1,000-class head."""
    extra = _INCEPTION if name in ("googlenet", "inception_v3") else {}
    return models.get_model(name, weights=None, **extra)


def shapes_only(name: str) -> nn.Module:
    """Build the plain model with parameters on the meta device: right shapes without numbers, in no time."""
    from accelerate import init_empty_weights  # takes a moment, and few need it

    check_backbone(name)
    with seeded(0), init_empty_weights():
        return _plain_model(name)
