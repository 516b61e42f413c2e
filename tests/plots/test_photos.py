"""Figures of photos, tested by their data."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from helpers.data.augmentation import train_transform
from helpers.plots import photos
from helpers.recipe import Recipe

DEMO = Recipe.from_preset("demo")


@pytest.mark.parametrize(
    ("size", "share"), [((320, 240), 0.3827), ((448, 448), 1.0), ((900, 700), 1.0), ((224, 448), 0.5)]
)
def test_the_black_border_is_measured(size, share):
    assert photos.filled_share(*size, 448) == pytest.approx(share, abs=1e-4)


def test_the_border_figure_states_the_share():
    figure = photos.black_border(Image.new("RGB", (320, 240), "green"), Recipe.from_preset("published"))
    assert figure.axes[0].get_title() == "photo, 320 × 240 px"
    assert figure.axes[1].get_title() == "training:\n38% of the image is photo"


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_a_recipe_without_the_central_crop_is_not_said_to_train_on_its_border(preset):
    figure = photos.black_border(Image.new("RGB", (320, 240), "green"), Recipe.from_preset(preset))
    assert figure.axes[1].get_title() == "published crop (448 px), not used here:\n38% of the image is photo"


def test_a_transform_of_ones_own_is_not_said_to_train_on_the_recipes_border():
    photo, recipe = Image.new("RGB", (320, 240), "green"), Recipe()
    assert photos.black_border(photo, recipe, train_transform(recipe)).axes[1].get_title().startswith("training:")
    figure = photos.black_border(photo, recipe, v2.Compose([v2.Resize((224, 224))]))
    assert figure.axes[1].get_title().startswith("published crop (448 px), not used here")


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_the_augmentation_grid_shows_the_five_methods_and_is_repeatable(smooth_photos):
    figures = [photos.augmentation_grid(smooth_photos[0], train_transform(DEMO)) for _ in range(2)]
    names = ["photo", "Rotation", "CenterCrop", "HorizontalFlip", "VerticalFlip", "ColorJitter"]
    assert titles(figures[0]) == names + [f"image {i}" for i in range(1, 7)]
    first, second = ([axes.images[0].get_array() for axes in figure.axes] for figure in figures)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert not (first[6] == first[7]).all()


def test_the_augmentation_grid_leaves_out_methods_that_are_off_and_shows_a_users_own(noise_photo):
    best = train_transform(Recipe.from_preset("best"))
    assert titles(photos.augmentation_grid(noise_photo, best))[:4] == [
        "photo", "ResizedCrop", "HorizontalFlip", "ColorJitter"]  # fmt: skip
    own = v2.Compose([v2.RandomGrayscale(1.0), v2.RandomRotation(90), v2.ToImage(), v2.ToDtype(torch.float32, True)])
    assert titles(photos.augmentation_grid(noise_photo, own))[:3] == ["photo", "Grayscale", "Rotation"]


def test_without_augmentation_the_one_training_image_is_drawn_once(noise_photo):
    figure = photos.augmentation_grid(noise_photo, train_transform(Recipe.from_preset("fast")))
    assert titles(figure) == ["photo", "training image, the same in every epoch"]


def test_class_samples_has_a_row_per_class(smooth_photos):
    figure = photos.class_samples({"a": smooth_photos[:3], "b": smooth_photos[:2]})
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 0, 0, 1, 1, 0, 0, 0]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["a", "b"]


def test_what_the_network_sees_is_random_in_training_alone(noise_photo):
    flat = Image.new("RGB", (60, 40), "green")
    figure = photos.what_the_network_sees({"rose": noise_photo, "tulip": flat}, DEMO)
    names = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert names == ["photo", "training", "another epoch", "validation"]
    first, second, val = (figure.axes[5 * row].images[0].get_array() for row in (1, 2, 3))
    assert first.shape == second.shape == val.shape == (112, 112, 3)
    assert not np.array_equal(first, second)
    plain = photos.what_the_network_sees({"rose": noise_photo, "tulip": flat}, Recipe.from_preset("fast"))
    assert [axes.get_ylabel() for axes in plain.axes if axes.get_ylabel()] == ["photo", "training", "validation"]


def test_pairs_stand_side_by_side():
    red, blue = (Image.new("RGB", (60, 40), colour) for colour in ("red", "blue"))
    figure = photos.pairs([(red, blue)], ["rose: identical\ntraining"])
    picture = figure.axes[0].images[0].get_array()
    assert picture[50, 10].tolist() == [255, 0, 0]
    assert picture[50, -10].tolist() == [0, 0, 255]
    assert figure.axes[0].get_title() == "rose: identical\ntraining"
    assert "no near-duplicates" in photos.pairs([], []).axes[0].texts[0].get_text()


def test_the_pictures_of_the_strip_are_equally_high_whatever_their_shape(noise_photo):
    strip = photos.augmentation_strip(noise_photo, Recipe())
    strip.canvas.draw()
    boxes = [axes.get_window_extent() for axes in strip.axes]
    assert len({round(box.width / box.height, 1) for box in boxes}) == 2
    for edge in ("y0", "y1"):
        assert np.ptp([getattr(box, edge) for box in boxes]) < 2  # px
