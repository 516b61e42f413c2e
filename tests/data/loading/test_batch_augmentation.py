"""The batched augmentation against torchvision's, photo by photo, given the same parameters.

The tolerances are mean absolute differences per pixel, on the scale 0 … 255. What remains comes
from torchvision sampling the nearest pixel when it rotates, and from Pillow rounding to whole
numbers after each operation. Without rotation ours is a little sharper: it is made for the
photos as training sees them, which are all rotated (test_as_sharp_as_torchvision_makes_it).
"""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as T

from helpers.common.seeding import generator
from helpers.data.augmentation import denormalize, val_transform
from helpers.data.loading import batch_augmentation
from helpers.data.loading.canvases import canvas_sides, half_size, train_canvas, val_picture
from helpers.data.sources.garden_flowers import SPECIES
from helpers.data.sources.garden_photo import draw_photo
from helpers.recipe import Recipe

PUBLISHED = Recipe.from_preset("published")
CPU = torch.device("cpu")
SHAPES = [(30, 500), (500, 30), (390, 1077), (61, 40), (901, 700), (256, 256), (1, 1)]


def literally(photo, params, i, recipe=PUBLISHED):
    """The published recipe's training transforms with given parameters, by torchvision's functions."""
    photo = T.center_crop(T.rotate(photo, float(params.angle[i])), [recipe.crop_size] * 2)
    photo = T.horizontal_flip(photo) if params.flip[i, 0] else photo
    photo = T.vertical_flip(photo) if params.flip[i, 1] else photo
    operations = (T.adjust_brightness, T.adjust_contrast, T.adjust_saturation, T.adjust_hue)
    values = [*params.factor[i].tolist(), float(params.hue[i])]
    for operation in params.order[i].tolist():
        photo = operations[operation](photo, values[operation])
    return T.resize(T.to_dtype(T.to_image(photo), torch.float32, scale=True), [recipe.image_size] * 2, antialias=True)


def neutral(n, **changes):
    """Draws that change nothing, except for what is given."""
    params = batch_augmentation.AugmentationParams(
        angle=torch.zeros(n),
        flip=torch.zeros(n, 2, dtype=torch.bool),
        factor=torch.ones(n, 3),
        hue=torch.zeros(n),
        order=torch.arange(4).repeat(n, 1),
    )
    return dataclasses.replace(params, **changes)


def ours(photos, params, recipe=PUBLISHED):
    canvases = torch.from_numpy(np.stack([train_canvas(photo, recipe) for photo in photos]))
    half_sizes = torch.from_numpy(np.stack([half_size(photo, recipe) for photo in photos]))
    prepared = batch_augmentation.prepare_params(params, half_sizes, recipe, CPU)
    return denormalize(batch_augmentation.Augmenter(recipe, CPU)(canvases, prepared))


def difference(photos, params):
    expected = torch.stack([literally(photo, params, i) for i, photo in enumerate(photos)])
    return 255 * (ours(photos, params) - expected).abs().mean().item()


def only(params, n, column):
    factor = torch.ones(n, 3)
    factor[:, column] = params.factor[:, column]
    return neutral(n, factor=factor, order=params.order)


@pytest.fixture(scope="module", params=["drawn", "real"])
def photos(request, smooth_photos):
    return smooth_photos if request.param == "drawn" else request.getfixturevalue("real_photos")


@pytest.mark.parametrize(
    ("operation", "tolerance"),
    [
        ("nothing", 1.5),
        ("rotation", 2.0),
        ("flips", 1.5),
        ("brightness", 1.6),
        ("contrast", 1.6),
        ("saturation", 1.6),
        ("hue", 1.6),
        ("colour", 2.0),
        ("all", 2.2),
    ],
)
def test_same_parameters_same_picture(photos, operation, tolerance):
    n = len(photos)
    params = batch_augmentation.sample_params(PUBLISHED, n, generator(3))
    chosen = {
        "nothing": neutral(n),
        "rotation": neutral(n, angle=params.angle),
        "flips": neutral(n, flip=params.flip),
        "brightness": only(params, n, batch_augmentation.BRIGHTNESS),
        "contrast": only(params, n, batch_augmentation.CONTRAST),
        "saturation": only(params, n, batch_augmentation.SATURATION),
        "hue": neutral(n, hue=params.hue),
        "colour": neutral(n, factor=params.factor, hue=params.hue, order=params.order),
        "all": params,
    }[operation]
    assert difference(photos, chosen) < tolerance


def sharpness(pictures):
    """Mean absolute difference of neighbouring pixels, on the scale 0 … 255."""
    return 255 * pictures.diff(dim=3).abs().mean().item()


def test_as_sharp_as_torchvision_makes_it(real_photos):
    """Sampling twice would blur; a network trained on blurred photos is examined on sharp ones."""
    params = batch_augmentation.sample_params(PUBLISHED, len(real_photos), generator(3))
    literal = torch.stack([literally(photo, params, i) for i, photo in enumerate(real_photos)])
    assert sharpness(ours(real_photos, params)) == pytest.approx(sharpness(literal), rel=0.05)


def test_a_wrong_sign_would_be_noticed(smooth_photos):
    """The comparison can fail: the mirrored angle is far outside the tolerance."""
    n = len(smooth_photos)
    params = neutral(n, angle=torch.full((n,), 20.0))
    mirrored = neutral(n, angle=torch.full((n,), -20.0))
    expected = torch.stack([literally(photo, mirrored, i) for i, photo in enumerate(smooth_photos)])
    assert 255 * (ours(smooth_photos, params) - expected).abs().mean().item() > 4


@pytest.mark.parametrize("changes", [{}, {"val_resize": 146, "eval_image_size": 128}, {"val_resize": 224}])
def test_validation_pictures_are_exactly_the_literal_ones(photos, changes):
    recipe = dataclasses.replace(PUBLISHED, **changes)
    for photo in [*photos, *(photos[0].resize(size) for size in SHAPES)]:
        picture = torch.from_numpy(val_picture(photo, recipe))
        assert torch.equal(batch_augmentation.normalize(picture[None])[0], val_transform(recipe)(photo))


@pytest.mark.parametrize("changes", [{}, {"crop_size": 96}, {"rotation": 10.0}])
def test_canvases_are_exactly_the_centre_of_the_photo_resized(photos, changes):
    """Across, then down; only what is not black is computed."""
    recipe = dataclasses.replace(PUBLISHED, **changes)
    side, full = canvas_sides(recipe)
    for photo in [*photos, *(photos[0].resize(size) for size in SHAPES)]:
        centre = T.center_crop(photo, [full, full])
        expected = centre.resize((side, full), Image.Resampling.BICUBIC).resize((side, side), Image.Resampling.BICUBIC)
        assert np.array_equal(train_canvas(photo, recipe), np.asarray(expected).transpose(2, 0, 1))


def test_each_photo_of_a_batch_gets_its_own_parameters(smooth_photos):
    params = batch_augmentation.sample_params(PUBLISHED, 4, generator(0))
    images = ours([smooth_photos[0]] * 4, params)
    assert all(not torch.equal(images[0], other) for other in images[1:])


def test_draws_are_distributed_as_torchvisions():
    params = batch_augmentation.sample_params(PUBLISHED, 20_000, generator(1))
    assert -30 <= params.angle.min() < -29.9
    assert 29.9 < params.angle.max() <= 30
    assert params.flip.float().mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert params.factor.mean(0).tolist() == pytest.approx([1, 1, 1], abs=0.01)
    assert params.factor.min() >= 0.8
    assert params.factor.max() <= 1.2
    assert params.hue.min() >= -0.1
    assert params.hue.max() <= 0.1
    orders, counts = params.order.unique(dim=0, return_counts=True)
    assert len(orders) == 24
    assert counts.float().std() / counts.float().mean() < 0.1


def test_the_same_generator_draws_the_same():
    first, second = (batch_augmentation.sample_params(PUBLISHED, 5, generator(7, "augmentation", 2)) for _ in range(2))
    assert first.box is first.erase is None
    assert all(
        torch.equal(getattr(first, name), getattr(second, name)) for name in ("angle", "flip", "factor", "order")
    )


@pytest.mark.parametrize("turns", [0.0, 1.0, -1.0])
def test_a_whole_turn_of_hue_changes_nothing(turns):
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(batch_augmentation.shift_hue(images, torch.full((2,), turns)), images, atol=1e-5)


def test_a_third_of_a_turn_makes_red_green():
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert batch_augmentation.shift_hue(red, torch.tensor([1 / 3])).flatten().tolist() == pytest.approx(
        [0, 1, 0], abs=1e-6
    )


def test_the_canvas_holds_all_that_rotation_can_reach():
    """A white photo larger than the canvas stays white at every angle: no black corner comes in."""
    from PIL import Image

    white = Image.new("RGB", (900, 900), "white")
    angles = torch.linspace(-30, 30, 7)
    assert ours([white] * 7, neutral(7, angle=angles)).min() > 0.99


def test_the_grid_is_the_library_s():
    maps = torch.randn(3, 2, 3, generator=generator(4))
    expected = torch.nn.functional.affine_grid(maps, [3, 3, 11, 11], align_corners=False)
    assert torch.allclose(batch_augmentation._grid(maps, 11), expected, atol=1e-5)


WHOLE = Recipe.from_preset("published", crop="random_resized", crop_scale=0.3, rotation=0.0)


def random_resized(photo, params, i, recipe):
    """The box that was drawn for a photo, cut out, resized and flipped by torchvision."""
    aspect = torch.tensor([photo.width / photo.height])
    x, y, w, h = batch_augmentation.boxes(params.box[i : i + 1], aspect, (recipe.crop_scale, 1.0), 4 / 3)[0].tolist()
    left, top = (1 + x - w) / 2 * photo.width, (1 + y - h) / 2 * photo.height
    turned = T.rotate(T.to_image(photo).float(), float(params.angle[i]), interpolation=T.InterpolationMode.BILINEAR)
    cut = T.resized_crop(
        turned, round(top), round(left), round(h * photo.height), round(w * photo.width), [recipe.image_size] * 2
    )
    cut = T.horizontal_flip(cut) if params.flip[i, 0] else cut
    return (T.vertical_flip(cut) if params.flip[i, 1] else cut) / 255


@pytest.mark.parametrize(("rotation", "tolerance"), [(0.0, 4.0), (30.0, 5.0)])
def test_random_resized_crops_are_torchvisions_given_the_same_box(photos, rotation, tolerance):
    recipe = dataclasses.replace(WHOLE, rotation=rotation)
    n = len(photos)
    drawn = batch_augmentation.sample_params(recipe, n, generator(3, "boxes"))
    params = neutral(n, angle=drawn.angle, flip=drawn.flip, box=drawn.box)
    expected = torch.stack([random_resized(photo, params, i, recipe) for i, photo in enumerate(photos)])
    assert 255 * (ours(photos, params, recipe) - expected).abs().mean().item() < tolerance


@pytest.fixture(params=["drawn", "real"])
def detailed_photos(request):
    """Photos of a few hundred px, as those of the course."""
    if request.param == "real":
        return request.getfixturevalue("real_photos")
    return [draw_photo(species, 5, i) for i, species in enumerate(SPECIES)]


def test_random_resized_crops_are_as_sharp_as_torchvisions(detailed_photos):
    """Mean gradient and mean second difference, over four crops of each photo."""
    ratios = []
    for draw in range(4):
        drawn = batch_augmentation.sample_params(WHOLE, len(detailed_photos), generator(draw, "sharp"))
        params = neutral(len(detailed_photos), box=drawn.box)
        theirs = [random_resized(photo, params, i, WHOLE) for i, photo in enumerate(detailed_photos)]
        pair = ours(detailed_photos, params, WHOLE), torch.stack(theirs)
        ratios.append([[sum(p.diff(n=n, dim=d).abs().mean() for d in (2, 3)) for p in pair] for n in (1, 2)])
    (our_first, their_first), (our_second, their_second) = torch.tensor(ratios).sum(0)
    assert 0.97 < our_first / their_first < 1.08
    assert 0.95 < our_second / their_second < 1.15


def test_boxes_are_distributed_as_torchvisions():
    """Share of the photo and shape of the box, over 4,000 params of each, on a wide photo."""
    from torchvision.transforms import v2

    aspect, n = 1.6, 4000
    torch.manual_seed(0)
    crop = v2.RandomResizedCrop(64, (0.3, 1.0))
    image = torch.empty(3, 500, 800)
    theirs = [crop.make_params([image]) for _ in range(n)]
    share = torch.tensor([p["height"] * p["width"] / 400_000 for p in theirs])
    shape = torch.tensor([p["width"] / p["height"] for p in theirs])
    left = torch.tensor([p["left"] / 800 for p in theirs])
    boxes = batch_augmentation.boxes(torch.rand(n, 11, 2), torch.full((n,), aspect), (0.3, 1.0), 4 / 3)
    assert (boxes[:, 2:] <= 1 + 1e-6).all()
    assert (boxes[:, :2].abs() + boxes[:, 2:] <= 1 + 1e-5).all()
    mine = boxes[:, 2] * boxes[:, 3], boxes[:, 2] / boxes[:, 3] * aspect, (1 + boxes[:, 0] - boxes[:, 2]) / 2
    for found, expected in zip(mine, (share, shape, left), strict=True):
        for quantile in (0.1, 0.5, 0.9):
            assert found.quantile(quantile).item() == pytest.approx(expected.quantile(quantile).item(), abs=0.03)


def test_an_impossible_shape_falls_back_to_the_largest_central_box():
    boxes = batch_augmentation.boxes(torch.full((1, 11, 2), 0.999), torch.tensor([4.0]), (0.9, 1.0), 4 / 3)
    assert boxes[0].tolist() == pytest.approx([0, 0, 1 / 3, 1])  # as high as the photo, 4/3 as wide


def test_erased_rectangles_have_torchvisions_size_and_frequency():
    recipe = dataclasses.replace(PUBLISHED, random_erasing=0.4, image_size=64, val_resize=64)
    params = batch_augmentation.sample_params(recipe, 4000, generator(1, "erase")).erase
    columns, rows = batch_augmentation.erased(params, recipe)
    area = columns.sum(1) * rows.sum(1) / 64**2
    assert (area > 0).float().mean().item() == pytest.approx(0.4, abs=0.03)
    hit = area[area > 0]
    assert hit.mean().item() == pytest.approx((0.02 + 0.33) / 2, abs=0.02)
    assert hit.max() < 0.37


def test_what_is_erased_is_the_mean_colour_and_the_rest_is_untouched(noise_photo):
    recipe = dataclasses.replace(PUBLISHED, random_erasing=1.0)
    drawn = batch_augmentation.sample_params(recipe, 1, generator(1, "erase"))
    clean = ours([noise_photo], dataclasses.replace(drawn, erase=None), recipe)
    erased = ours([noise_photo], drawn, recipe)
    columns, rows = batch_augmentation.erased(drawn.erase, recipe)
    inside = (columns[0][None, :] & rows[0][:, None]).expand(3, -1, -1)
    mean = torch.tensor(batch_augmentation.IMAGENET_MEAN).view(3, 1, 1).expand(3, 224, 224)
    assert torch.allclose(erased[0][inside], mean[inside], atol=1e-5)
    assert torch.equal(erased[0][~inside], clean[0][~inside])
