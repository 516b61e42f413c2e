"""Augment whole batches on the network's device.

Each photo is decoded once, to uint8 at the scale at which the network sees it. Rotation, crop and flips are then one
affine map, hence one bilinear sampling; brightness, contrast and saturation are matrices over the colour channels,
collapsed into one before and one after the hue shift. Every photo of a batch gets its own parameters (torchvision's v2
gives a batch one).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as T

from helpers.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from helpers.data.loading.canvases import canvas_sides
from helpers.recipe import Recipe

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, as Pillow and torchvision weigh the channels
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


@dataclass(frozen=True)
class AugmentationParams:
    """The random choices for ``n`` photos, in torchvision's terms."""

    angle: torch.Tensor  # (n,) degrees, counter-clockwise
    flip: torch.Tensor  # (n, 2) bool: left-right, top-bottom
    factor: torch.Tensor  # (n, 3) brightness, contrast, saturation; 1 changes nothing
    hue: torch.Tensor  # (n,) turns; 0 changes nothing
    order: torch.Tensor  # (n, 4) the four colour operations in the order applied
    box: torch.Tensor | None = None  # (n, 11, 2) in [0, 1]: ten tries for area and shape of the crop, then its place
    erase: torch.Tensor | None = None  # (n, 12, 2): whether; ten tries for area and shape; place


def sample_params(recipe: Recipe, n: int, generator: torch.Generator) -> AugmentationParams:
    """Draw the random choices for ``n`` photos, distributed as those of ``augmentation.train_transform``."""
    uniform = torch.rand(n, 7, generator=generator, dtype=torch.float64).float()
    jitter = torch.tensor([recipe.brightness, recipe.contrast, recipe.saturation])
    chance = torch.tensor([recipe.horizontal_flip, recipe.vertical_flip])
    low = (1 - jitter).clamp(min=0)
    return AugmentationParams(
        angle=(2 * uniform[:, 0] - 1) * recipe.rotation,
        flip=uniform[:, 1:3] < chance,
        factor=low + uniform[:, 3:6] * (1 + jitter - low),
        hue=(2 * uniform[:, 6] - 1) * recipe.hue,
        order=torch.rand(n, 4, generator=generator).argsort(dim=1),
        box=torch.rand(n, 11, 2, generator=generator) if recipe.crop == "random_resized" else None,
        erase=torch.rand(n, 12, 2, generator=generator) if recipe.random_erasing else None,
    )


def boxes(uniform: torch.Tensor, aspect: torch.Tensor, area: tuple[float, float], ratio: float) -> torch.Tensor:
    """Choose random boxes in photos, as torchvision's ``RandomResizedCrop`` and ``RandomErasing`` do.

    Args:
        uniform: random numbers in [0, 1], ``(n, 11, 2)``: ten tries for area and shape, then the place.
        aspect: width to height of the photos ``(n,)``.
        area: smallest and largest share of the photo.
        ratio: the largest width to height, and the inverse of the smallest.

    Returns:
        float32 ``(n, 4)``: centre x, y in [-1, 1], half width and half height as shares of the photo's. The first
        try that fits counts; if none does, the largest central box of an allowed shape.
    """
    share = area[0] + uniform[:, :10, 0] * (area[1] - area[0])
    shape = torch.exp((2 * uniform[:, :10, 1] - 1) * math.log(ratio)) / aspect[:, None]
    sides = torch.stack([(share * shape).sqrt(), (share / shape).sqrt()], dim=2)  # (n, 10, 2) shares of the photo's
    fits = (sides <= 1).all(2)
    first = fits.int().argmax(1)
    chosen = sides[torch.arange(len(sides)), first]
    bound = aspect.clamp(1 / ratio, ratio) / aspect
    central = torch.stack([bound, 1 / bound], dim=1).clamp(max=1)
    found = fits.any(1)[:, None]
    chosen = torch.where(found, chosen, central)
    place = torch.where(found, 2 * uniform[:, 10] - 1, 0.0) * (1 - chosen)
    return torch.cat([place, chosen], dim=1)


def affine_boxes(params: AugmentationParams, half_sizes: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Express rotation, random resized crop and flips as maps from output to canvas, float32 ``(n, 2, 3)``."""
    aspect = half_sizes[:, 0] / half_sizes[:, 1]
    place, half = boxes(params.box, aspect, (recipe.crop_scale, 1.0), 4 / 3).split(2, dim=1)
    radians = torch.deg2rad(params.angle)
    cos, sin = torch.cos(radians), torch.sin(radians)
    turn = torch.stack([cos, -sin / aspect, sin * aspect, cos], dim=1).view(-1, 2, 2)
    stretch = torch.diag_embed(half * (1.0 - 2.0 * params.flip.float()))
    return torch.cat([turn @ stretch, turn @ place[:, :, None]], dim=2)


def affine(params: AugmentationParams, recipe: Recipe) -> torch.Tensor:
    """Express rotation, central crop and flips as maps from output to canvas, float32 ``(n, 2, 3)``."""
    radians = torch.deg2rad(params.angle)
    cos, sin = torch.cos(radians), torch.sin(radians)
    sign = 1.0 - 2.0 * params.flip.float()
    scale = recipe.image_size / canvas_sides(recipe)[0]
    maps = torch.zeros(len(radians), 2, 3)
    maps[:, 0, 0], maps[:, 0, 1] = cos * sign[:, 0], -sin * sign[:, 1]
    maps[:, 1, 0], maps[:, 1, 1] = sin * sign[:, 0], cos * sign[:, 1]
    return maps * scale


def colour_maps(params: AugmentationParams) -> tuple[torch.Tensor, torch.Tensor]:
    """Collapse the linear colour operations before and after the hue shift.

    Returns:
        Two float32 tensors ``(n, 3, 4)``. The first three columns multiply the channels; the last multiplies the
        photo's mean grey, which contrast mixes in. (Mean grey is linear in the pixels, so it is measured once before
        and once after the hue shift, not per operation.)
    """
    grey = torch.tensor(GREY)
    maps = [torch.eye(3, 4).repeat(len(params.hue), 1, 1) for _ in range(2)]
    gains = [torch.ones(len(params.hue), 1, 1) for _ in range(2)]  # mean grey, relative to the measured
    after_hue = torch.zeros(len(params.hue), dtype=torch.bool)
    for operation in params.order.T:
        brightness, contrast, saturation = (
            torch.where(operation == which, params.factor[:, which], 1.0).view(-1, 1, 1)
            for which in (BRIGHTNESS, CONTRAST, SATURATION)
        )
        for side, here in ((0, ~after_hue), (1, after_hue)):
            new = maps[side] * brightness
            gain = gains[side] * brightness
            new = new * contrast
            new[:, :, 3:] += (1 - contrast) * gain
            new[:, :, :3] = saturation * new[:, :, :3] + (1 - saturation) * (grey @ new[:, :, :3]).unsqueeze(1)
            maps[side] = torch.where(here.view(-1, 1, 1), new, maps[side])
            gains[side] = torch.where(here.view(-1, 1, 1), gain, gains[side])
        after_hue = after_hue | (operation == HUE)
    return maps[0], maps[1]


def shift_hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Shift the hue of ``(n, 3, H, W)`` images in [0, 1] by ``turns`` ``(n,)``, in the HSV model.

    Channel ``c`` of a colour with hue ``h`` (sixths of a turn), value ``v`` and chroma ``d`` is
    ``v - d * clamp(min(k, 4 - k), 0, 1)`` with ``k = (offset_c + h) mod 6``.
    """
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    safe = chroma.clamp(min=1e-8)
    hue = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    ) + 6 * turns.view(-1, 1, 1)
    shifted = torch.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        k = hue + offset
        k -= (k / 6).floor_().mul_(6)  # torch.remainder does the same in five times the time
        torch.minimum(k, 4 - k, out=k).clamp_(0, 1)
        torch.sub(value, k.mul_(chroma), out=shifted[:, channel])
    return shifted


class Augmenter:
    """Augment canvases: uint8 ``(n, 3, side, side)`` → float32 ``(n, 3, S, S)``, normalized."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.size = recipe.image_size
        # Small groups keep the intermediate images in the processor's cache; a GPU takes all at once.
        self.group = 2 if device.type == "cpu" else 1024
        mean = torch.tensor(IMAGENET_MEAN, device=device).view(3, 1)
        std = torch.tensor(IMAGENET_STD, device=device).view(3, 1)
        self.grey = torch.tensor(GREY, device=device)
        self.mean, self.std = mean, std
        self.low, self.high = -mean / std, (1 - mean) / std

    def __call__(self, canvases: torch.Tensor, prepared: dict[str, torch.Tensor]) -> torch.Tensor:
        """Augment canvases with their rows of ``prepare_params``, on the same device."""
        images = torch.empty(len(canvases), 3, self.size, self.size, device=canvases.device).to(
            memory_format=torch.channels_last if canvases.device.type != "cpu" else torch.contiguous_format
        )
        for start in range(0, len(canvases), self.group):
            part = slice(start, start + self.group)
            images[part] = self._augment(canvases[part], {name: rows[part] for name, rows in prepared.items()})
        return images

    def _augment(self, canvases: torch.Tensor, prepared: dict[str, torch.Tensor]) -> torch.Tensor:
        n = len(canvases)
        grid = _grid(prepared["affine"], self.size)
        images = F.grid_sample(canvases.float().div_(255), grid, mode="bilinear", align_corners=False)
        images.mul_(prepared["columns"].view(n, 1, 1, -1)).mul_(prepared["rows"].view(n, 1, -1, 1))
        images = self._recolour(images.flatten(2), prepared["before_hue"]).clamp_(0, 1)
        images = shift_hue(images.view(n, 3, self.size, self.size), prepared["hue"]).flatten(2)
        images = self._recolour(images, prepared["after_hue"], normalize=True)
        images = images.clamp_(self.low, self.high).view(n, 3, self.size, self.size)
        if "erased_columns" in prepared:
            columns, rows = prepared["erased_columns"], prepared["erased_rows"]
            images.masked_fill_(columns.view(n, 1, 1, -1) & rows.view(n, 1, -1, 1), 0)
        return images

    def _recolour(self, pixels: torch.Tensor, maps: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """Apply maps ``(n, 3, 4)`` to ``(n, 3, pixels)``; the last column multiplies the mean grey."""
        mean_grey = (self.grey @ pixels.mean(2).unsqueeze(2)).view(-1, 1, 1)
        matrix, offset = maps[:, :, :3], maps[:, :, 3:] * mean_grey
        if normalize:
            matrix, offset = matrix / self.std, (offset - self.mean) / self.std
        return torch.baddbmm(offset, matrix, pixels)


def prepare_params(
    params: AugmentationParams, half_sizes: torch.Tensor, recipe: Recipe, device: torch.device
) -> dict[str, torch.Tensor]:
    """Turn random choices into what ``Augmenter`` needs for photos of half sizes ``(n, 2)``, on the device."""
    before, after = colour_maps(params)
    prepared = {"before_hue": before, "hue": params.hue, "after_hue": after}
    if recipe.crop == "random_resized":  # a box within the photo: nothing of it is black
        prepared["affine"] = affine_boxes(params, half_sizes, recipe)
        prepared["columns"] = prepared["rows"] = torch.ones(len(half_sizes), recipe.image_size)
    else:
        prepared["affine"] = affine(params, recipe)
        prepared["columns"], prepared["rows"] = (_inside(half, recipe.image_size) for half in half_sizes.T)
    if params.erase is not None:
        prepared["erased_columns"], prepared["erased_rows"] = erased(params.erase, recipe)
    return {name: rows.to(device, non_blocking=True) for name, rows in prepared.items()}


def erased(uniform: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the columns and the rows of each image that the blank rectangle covers, bool ``(n, image_size)`` each."""
    place, half = boxes(uniform[:, 1:], torch.ones(len(uniform)), (0.02, 0.33), 1 / 0.3).split(2, dim=1)
    half = torch.where(uniform[:, 0, :1] < recipe.random_erasing, half, -1.0)
    size = recipe.image_size
    centres = (torch.arange(size) * 2 + 1) / size - 1
    return tuple((centres - place[:, i, None]).abs() < half[:, i, None] for i in range(2))


def _inside(half: torch.Tensor, size: int) -> torch.Tensor:
    """Measure how much of each pixel column lies within ``half`` px of the centre: ``(n,)`` → ``(n, size)``, [0, 1]."""
    distance = (torch.arange(size) - (size - 1) / 2).abs()
    return (half.view(-1, 1) + 0.5 - distance).clamp(0, 1)


def _grid(maps: torch.Tensor, size: int) -> torch.Tensor:
    """Return where to sample each pixel: maps ``(n, 2, 3)`` → ``(n, size, size, 2)``; a faster ``F.affine_grid``."""
    centres = (torch.arange(size, device=maps.device) * 2 + 1) / size - 1
    along = maps[:, :, :1] * centres  # (n, 2, size): what the column adds to x and y; below, what the row adds
    down = maps[:, :, 1:2] * centres + maps[:, :, 2:]
    return (along[:, :, None, :] + down[:, :, :, None]).permute(0, 2, 3, 1)


def normalize(pictures: torch.Tensor) -> torch.Tensor:
    """Normalize uint8 ``(n, 3, H, W)`` as ``augmentation.val_transform`` does, to float32."""
    return T.normalize(T.to_dtype(pictures, torch.float32, scale=True), list(IMAGENET_MEAN), list(IMAGENET_STD))
