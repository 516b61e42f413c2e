"""Where in a picture a network finds reasons for a class: Grad-CAM (Selvaraju et al., 2017), by captum."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from helpers.common.errors import ParameterError
from helpers.data.augmentation import val_transform
from helpers.evaluation.answers import ClassifiedPhoto
from helpers.models.averaging import TTAModel
from helpers.recipe import Recipe


class Reason(NamedTuple):
    """A picture as the network saw it, and what in it speaks for what the network said, and for another class."""

    answer: ClassifiedPhoto
    picture: torch.Tensor  # float32 (3, S, S), normalized
    said: torch.Tensor  # float32 (S, S) in [0, 1]: see grad_cam
    other: torch.Tensor  # the same for the true class of a mistake, and for the second choice otherwise

    @property
    def other_class(self) -> str:
        return self.answer.other if self.answer.right else self.answer.truth


def explain(
    model: nn.Module,
    answers: Sequence[ClassifiedPhoto],
    photos: Sequence[Image.Image],
    classes: Sequence[str],
    recipe: Recipe,
    transform: v2.Transform | None = None,
) -> list[Reason]:
    """Grad-CAM of these answers, a photo for each.

    Args:
        transform: through which the photos were validated, if not the recipe's.

    Raises:
        ParameterError: see ``grad_cam``.
    """
    if not answers:
        return []
    transform = transform or val_transform(recipe)
    pictures = torch.stack([transform(photo) for photo in photos])
    others = [answer.other if answer.right else answer.truth for answer in answers]
    maps = [
        grad_cam(model, pictures.to(next(model.parameters()).device), torch.tensor([classes.index(c) for c in names]))
        for names in ([answer.said for answer in answers], others)
    ]
    return [Reason(*parts) for parts in zip(answers, pictures, *maps, strict=True)]


def grad_cam(model: nn.Module, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """What speaks for a class, place by place.

    The channels of the last map are weighted by how much each raises the class's logit, added, and cut off at 0. The
    map is coarse (7 × 7 for a ResNet at 224 px) and made as large as the picture.

    Args:
        model: of an ``TTAModel`` one, what it says of the plain picture is explained: neither mirrored nor at another
            scale. Its train/eval mode is restored.
        images: float32 ``(n, 3, S, S)``, normalized, on the model's device.
        targets: int64 ``(n,)``: of which class.

    Returns:
        float32 ``(n, S, S)`` on the CPU, in [0, 1]: the strongest place of a picture is 1, unless nothing speaks for
        the class, where all is 0.

    Raises:
        ParameterError: the backbone keeps no map of places up to its end (vision transformers).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its progress bars, of which there are none here, would like Jupyter's widgets
        from captum.attr import LayerGradCam

    if isinstance(model, TTAModel):
        model = model.model
    was_training = model.training
    model.eval()
    try:
        layer = last_map(model, images[:1])
        with torch.enable_grad():
            heat = LayerGradCam(model, layer).attribute(images, targets.to(images.device), relu_attributions=True)
    finally:
        model.train(was_training)
    heat = F.interpolate(heat.detach().float(), size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    strongest = heat.amax((1, 2), keepdim=True)
    return (heat / strongest.clamp_min(torch.finfo(heat.dtype).tiny)).cpu()


@torch.inference_mode()
def last_map(model: nn.Module, image: torch.Tensor) -> nn.Module:
    """The last module of a network, in the order of computing, whose output still knows places.

    Args:
        image: ``(1, 3, S, S)``, to see the modules work.

    Returns:
        The module, which gives ``(1, channels, h, w)`` with ``h * w > 1``.

    Raises:
        ParameterError: there is none, or a sequence of tokens follows it.
    """
    seen: list[tuple[nn.Module, torch.Size]] = []

    def look(module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, torch.Tensor):
            seen.append((module, output.shape))

    hooks = [module.register_forward_hook(look) for module in model.modules()]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    for module, shape in reversed(seen):
        if len(shape) == 4 and shape[2] * shape[3] > 1:
            return module
        if len(shape) == 3:
            break
    raise ParameterError("Grad-CAM needs a backbone that ends in a map of places: resnet18, mobilenet_v2 and the like")
