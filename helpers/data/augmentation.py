"""Make the transforms of training and validation photos, from torchvision's.

They are the definition; ``loading.batch_augmentation`` does the same to whole batches, and a test compares the two.
"""

import torch
from torchvision.transforms import InterpolationMode, v2

from helpers.recipe import Recipe

# Mean and standard deviation of ImageNet's photos, per channel (red, green, blue) in [0, 1]. The pretrained backbones
# were trained on photos that were normalized with them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class RecipeTransform(v2.Compose):
    """A recipe's own transform. It is recognized by its type, so nobody else's is mistaken for it."""

    def _get_name(self) -> str:  # to be printed as what it is, torchvision's Compose
        return "Compose"


def five_augmentations(recipe: Recipe) -> list[v2.Transform]:
    """Make the assignment's five augmentation methods, in order; the crop is the recipe's."""
    crop = v2.CenterCrop(recipe.crop_size)
    if recipe.crop == "random_resized":
        crop = v2.RandomResizedCrop(recipe.image_size, (recipe.crop_scale, 1.0), antialias=True)
    return [
        v2.RandomRotation(recipe.rotation),
        crop,
        v2.RandomHorizontalFlip(recipe.horizontal_flip),
        v2.RandomVerticalFlip(recipe.vertical_flip),
        v2.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue),
    ]


def train_transform(recipe: Recipe) -> v2.Compose:
    """Make the training transform: PIL RGB → float32 ``(3, image_size, image_size)``, normalized; random.

    Without ``recipe.augmentation`` it is ``val_transform``.
    """
    if not recipe.augmentation:
        return val_transform(recipe)
    policy = {"trivial": v2.TrivialAugmentWide, "imagenet": v2.AutoAugment}
    transforms = [
        *five_augmentations(recipe),
        *([policy[recipe.auto_augment]()] if recipe.auto_augment in policy else []),
        *_to_tensor(),
        v2.Resize((recipe.image_size, recipe.image_size), antialias=True),
        v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        *([v2.RandomErasing(recipe.random_erasing)] if recipe.random_erasing else []),
    ]
    return RecipeTransform(transforms)


def val_transform(recipe: Recipe) -> v2.Compose:
    """Make the validation transform: PIL RGB → float32 ``(3, val_size, val_size)``, normalized; never random."""
    transforms = [*val_geometry(recipe), *_to_tensor(), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    return RecipeTransform(transforms)


def val_geometry(recipe: Recipe) -> list[v2.Transform]:
    """Make the first half of ``val_transform``: which part of the photo is seen, and at what size."""
    return [
        v2.Resize(recipe.val_resize, interpolation=InterpolationMode.BILINEAR, antialias=True),
        v2.CenterCrop(recipe.val_size),
    ]


def is_recipes(transform: v2.Transform, own: v2.Compose) -> bool:
    """Tell whether a transform is the recipe's ``own``, made by the functions above and not changed since."""

    def state(compose: v2.Compose) -> list[tuple[type, str]]:
        return [(type(each), repr(vars(each))) for each in compose.transforms]

    return type(transform) is RecipeTransform and state(transform) == state(own)


def denormalize(images: torch.Tensor) -> torch.Tensor:
    """Undo the normalization for display: ``(..., 3, H, W)`` → the same, clipped to [0, 1]."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(3, 1, 1)
    return (images.float() * std + mean).clamp(0, 1)


def _to_tensor() -> list[v2.Transform]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
