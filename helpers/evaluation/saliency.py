"""Which parts of a picture drive the prediction: Grad-CAM (Selvaraju et al., 2017), by captum."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision.transforms import v2

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
    transform: v2.Transform | None = None,
) -> list[Explanation]:
    """Compute Grad-CAM of the photos, whose images are given in the same order.

    Args:
        transform: that the photos were validated through, if not the recipe's.

    Raises ParameterError: see ``grad_cam``.
    """
    if not photos:
        return []
    transform = transform or val_transform(recipe)
    pictures = torch.stack([transform(image) for image in images])
    on_device = pictures.to(next(model.parameters()).device)
    targets = [photo.predicted for photo in photos], [photo.other[0] for photo in photos]
    maps = [grad_cam(model, on_device, torch.tensor([classes.index(name) for name in names])) for names in targets]
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum asks for Jupyter's widgets, for progress bars that are not shown here
        from captum.attr import LayerGradCam

    with evaluation_mode(without_tta(model)) as model, torch.enable_grad():
        layer = last_feature_map(model, images[:1])
        heat = LayerGradCam(model, layer).attribute(images, targets.to(images.device), relu_attributions=True)
    heat = F.interpolate(heat.detach().float(), size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    strongest = heat.amax((1, 2), keepdim=True)
    return (heat / strongest.clamp_min(torch.finfo(heat.dtype).tiny)).cpu()


@torch.inference_mode()
def last_feature_map(model: nn.Module, image: torch.Tensor) -> nn.Module:
    """Find the last module, in the order of computation, whose output has more than one place.

    Args:
        image: ``(1, 3, S, S)``, to run the model on.

    Returns:
        The module, whose output is ``(1, channels, h, w)`` with ``h * w > 1``.

    Raises ParameterError: there is none, or a sequence of tokens follows it.
    """
    outputs: list[tuple[nn.Module, torch.Size]] = []

    def note(module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, torch.Tensor):
            outputs.append((module, output.shape))

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    for module, shape in reversed(outputs):
        if len(shape) == 4 and shape[2] * shape[3] > 1:
            return module
        if len(shape) == 3:
            break
    raise ParameterError("Grad-CAM needs a backbone that ends in a feature map: resnet18, mobilenet_v2 and the like")
