"""The literal transforms: the published lists in order, and no leak from one into the other."""

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from helpers.data.augmentation import IMAGENET_MEAN, denormalize, train_transform, val_transform
from helpers.recipe import Recipe

PUBLISHED = Recipe.from_preset("published")


def names(compose):
    return [type(transform).__name__ for transform in compose.transforms]


def test_training_transforms_are_the_published_ones_in_order():
    transforms = train_transform(PUBLISHED).transforms
    assert names(train_transform(PUBLISHED)) == [
        "RandomRotation",
        "CenterCrop",
        "RandomHorizontalFlip",
        "RandomVerticalFlip",
        "ColorJitter",
        "ToImage",
        "ToDtype",
        "Resize",
        "Normalize",
    ]
    rotation, crop, left_right, top_bottom, jitter, _, _, resize, normalize = transforms
    assert rotation.degrees == [-30.0, 30.0]
    assert crop.size == (448, 448)
    assert (left_right.p, top_bottom.p) == (0.5, 0.5)
    assert (jitter.brightness, jitter.contrast, jitter.saturation) == ((0.8, 1.2),) * 3
    assert jitter.hue == (-0.1, 0.1)
    assert (resize.size, resize.antialias) == ([224, 224], True)
    assert (normalize.mean, normalize.std) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_validation_transforms_are_the_published_ones_in_order():
    assert names(val_transform(PUBLISHED)) == ["Resize", "CenterCrop", "ToImage", "ToDtype", "Normalize"]
    resize, crop = val_transform(PUBLISHED).transforms[:2]
    assert (resize.size, crop.size) == ([256], (224, 224))


def test_validation_is_never_random_and_training_is(noise_photo):
    torch.manual_seed(0)
    assert torch.equal(val_transform(PUBLISHED)(noise_photo), val_transform(PUBLISHED)(noise_photo))
    assert not torch.equal(train_transform(PUBLISHED)(noise_photo), train_transform(PUBLISHED)(noise_photo))


@pytest.mark.parametrize(("name", "kind"), [("trivial", "TrivialAugmentWide"), ("imagenet", "AutoAugment")])
def test_automatic_augmentation_comes_after_the_five_and_changes_the_picture(noise_photo, name, kind):
    plain = {"rotation": 0.0, "horizontal_flip": 0.0, "vertical_flip": 0.0, "hue": 0.0}
    plain |= {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    without, automatic = (
        train_transform(Recipe.from_preset("published", **plain, auto_augment=each)) for each in ("none", name)
    )
    assert names(automatic) == [*names(without)[:5], kind, *names(without)[5:]]
    torch.manual_seed(0)
    pictures = [automatic(noise_photo) for _ in range(8)]
    assert all(picture.shape == (3, 224, 224) and picture.isfinite().all() for picture in pictures)
    assert sum(not torch.equal(picture, without(noise_photo)) for picture in pictures) >= 4
    assert not torch.equal(pictures[0], pictures[1])


def test_the_two_transforms_share_nothing():
    train, val = train_transform(PUBLISHED).transforms, val_transform(PUBLISHED).transforms
    assert not any(a is b for a in train for b in val)
    assert not {type(t).__name__ for t in val} & {
        "RandomRotation",
        "ColorJitter",
        "RandomHorizontalFlip",
        "RandomVerticalFlip",
    }


@pytest.mark.parametrize("make", [train_transform, val_transform])
@pytest.mark.parametrize("size", [(320, 240), (180, 240), (20, 20), (900, 700)])
def test_shape_type_and_finite_values_for_any_photo_size(make, size):
    image = make(PUBLISHED)(Image.new("RGB", size, (200, 100, 50)))
    assert (image.shape, image.dtype) == ((3, 224, 224), torch.float32)
    assert image.isfinite().all()


def test_a_flat_grey_photo_is_normalized_by_hand():
    image = val_transform(PUBLISHED)(Image.new("RGB", (300, 300), (128, 128, 128)))
    expected = (128 / 255 - IMAGENET_MEAN[0]) / 0.229
    assert image[0].mean().item() == pytest.approx(expected, abs=1e-5)


def test_denormalize_undoes_normalize():
    pixels = torch.rand(2, 3, 5, 5)
    normalized = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(pixels)
    assert torch.allclose(denormalize(normalized), pixels, atol=1e-6)
