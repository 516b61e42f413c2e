"""Which parts of a picture drive the prediction: Grad-CAM (Selvaraju et al., 2017)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision import models

from helpers.common.errors import ParameterError
from helpers.common.modules import evaluation_mode
from helpers.data.augmentation import val_transform
from helpers.evaluation.mistakes import ClassifiedPhoto
from helpers.models.averaging import without_tta
from helpers.recipe import Recipe


class Explanation(NamedTuple):
    """A picture as the network saw it, with the saliency of its predicted class and of another one."""

    photo: ClassifiedPhoto
    picture: torch.Tensor  # float32 (3, S, S), normalized
    for_predicted: torch.Tensor  # float32 (S, S) in [0, 1]: see grad_cam
    for_other: torch.Tensor  # float32 (S, S): the same for photo.other


def explain(
    model: nn.Module,
    photos: Sequence[ClassifiedPhoto],
    images: Sequence[Image.Image],
    classes: Sequence[str],
    recipe: Recipe,
) -> list[Explanation]:
    """Compute Grad-CAM of the photos, whose images are given in the same order; none where there is nothing to see."""
    if not photos:
        return []
    transform = val_transform(recipe)
    pictures = torch.stack([transform(image) for image in images])
    on_device = pictures.to(next(model.parameters()).device)
    targets = [photo.predicted for photo in photos], [photo.other[0] for photo in photos]
    try:
        maps = [grad_cam(model, on_device, torch.tensor([classes.index(name) for name in names])) for names in targets]
    except ParameterError as error:  # the run goes on without
        print(error)
        return []
    return [Explanation(*parts) for parts in zip(photos, pictures, *maps, strict=True)]


def grad_cam(model: nn.Module, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Compute where an image raises the score of a class.

    The channels of the last feature map are weighted by how much each raises the class's logit, added, and cut off
    at 0. The map is coarse (7 × 7 for a ResNet at 224 px) and enlarged to the image's size.

    Args:
        model: its train/eval mode is restored. Of a ``TTAModel`` the prediction for the plain view is explained.
        images: float32 ``(n, 3, S, S)``, normalized, on the model's device.
        targets: int64 ``(n,)``: the class to explain for each image.

    Returns:
        float32 ``(n, S, S)`` on the CPU, in [0, 1]: each image's maximum is 1, or 0 if nothing raises the score.

    Raises ParameterError: the backbone does not end in a feature map (vision transformers).
    """
    kept: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        kept[:] = [output]

    with evaluation_mode(without_tta(model)) as model, torch.enable_grad():
        hook = last_feature_map(model, images[:1]).register_forward_hook(keep)
        try:  # images with a gradient give one to frozen networks, too
            logits = model(images.clone().requires_grad_())
        finally:
            hook.remove()
        slopes = torch.autograd.grad(logits.gather(1, targets.to(images.device)[:, None]).sum(), kept)
    features, slope = map(as_map, (*kept, *slopes))
    heat = F.relu((features * slope.mean((2, 3), keepdim=True)).sum(1, keepdim=True))
    heat = F.interpolate(heat.detach().float(), size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    strongest = heat.amax((1, 2), keepdim=True)
    return (heat / strongest.clamp_min(torch.finfo(heat.dtype).tiny)).cpu()


def as_map(output: torch.Tensor) -> torch.Tensor | None:
    """Return what a layer computes of square images as ``(n, channels, h, w)``; None if it has no places.

    Maps have their channels first or, in Swin, last; a ViT's tokens ``(n, 1 + h * w, channels)`` begin with that
    of the class.
    """
    if output.ndim == 4 and output.shape[2] == output.shape[3]:
        return output
    if output.ndim == 4 and output.shape[1] == output.shape[2]:
        return output.permute(0, 3, 1, 2)
    if output.ndim == 3 and (side := math.isqrt(output.shape[1] - 1)) ** 2 == output.shape[1] - 1:
        return output[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    return None


@torch.inference_mode()
def last_feature_map(model: nn.Module, image: torch.Tensor) -> nn.Module:
    """Find the last module, in the order of computation, whose output has more than one place (see ``as_map``).

    Args:
        image: ``(1, 3, S, S)``, to run the model on.

    Raises ParameterError: there is none.
    """
    if isinstance(model, models.VisionTransformer):  # after its last attention, only the class's token counts
        return model.encoder.layers[-1].ln_1
    found: list[nn.Module] = []

    def note(module: nn.Module, inputs: tuple, output: object) -> None:
        places = as_map(output) if isinstance(output, torch.Tensor) and output.ndim == 4 else None
        if places is not None and places.shape[2] > 1:
            found.append(module)

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise ParameterError("nothing to explain: at this image_size the network's maps have a single place")
    return found[-1]
