"""Figures, tested by their data: nobody compares PNGs."""

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from helpers.plots import answers, evaluation, photos, training
from helpers.recipe import Recipe
from helpers.runs.history import Epoch, History

DEMO = Recipe.from_preset("demo")
HISTORY = History(
    [Epoch(0, 0.1, 1.5, 0.3, 1.2, 0.5), Epoch(1, 0.1, 1.0, 0.6, 0.8, 0.9), Epoch(2, 0.01, 0.8, 0.7, 0.9, 0.8)]
)


def test_curves_show_the_history_and_mark_the_best_epoch():
    figure = training.training_curves(HISTORY)
    loss, accuracy = figure.axes
    assert loss.lines[0].get_ydata() == pytest.approx([1.5, 1.0, 0.8])
    assert loss.lines[1].get_ydata() == pytest.approx([1.2, 0.8, 0.9])
    assert accuracy.lines[1].get_ydata() == pytest.approx([0.5, 0.9, 0.8])
    assert accuracy.lines[2].get_xdata()[0] == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "best epoch (1)"
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss")


def test_the_confusion_matrix_writes_every_count():
    (axes,) = evaluation.confusion(torch.tensor([[5, 1], [0, 7]]), ("cat", "dog")).axes
    assert [text.get_text() for text in axes.texts] == ["5", "1", "0", "7"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


@pytest.mark.parametrize(
    ("size", "share"), [((320, 240), 0.3827), ((448, 448), 1.0), ((900, 700), 1.0), ((224, 448), 0.5)]
)
def test_the_black_border_is_measured(size, share):
    assert photos.filled_share(Image.new("RGB", size), 448) == pytest.approx(share, abs=1e-4)


def test_the_border_figure_states_the_share(smooth_photos):
    figure = photos.black_border(Image.new("RGB", (320, 240), "green"), Recipe.from_preset("seed"))
    assert "38% of it is photo" in figure.axes[1].get_title()


def test_the_augmentation_grid_shows_the_five_methods_and_is_repeatable(smooth_photos):
    figures = [photos.augmentation_grid(smooth_photos[0], DEMO) for _ in range(2)]
    titles = [axes.get_title() for axes in figures[0].axes[:6]]
    assert titles == ["before", "Rotation", "CenterCrop", "HorizontalFlip", "VerticalFlip", "ColorJitter"]
    first, second = ([axes.images[0].get_array() for axes in figure.axes] for figure in figures)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert not (first[6] == first[7]).all()


def test_class_samples_has_a_row_per_class(smooth_photos):
    figure = photos.class_samples({"a": smooth_photos[:3], "b": smooth_photos[:2]})
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["a", "b"]


def test_learning_rates_are_drawn_on_a_logarithmic_axis():
    (axes,) = training.learning_rate_curve([0.1, 0.1, 0.01]).axes
    assert axes.get_yscale() == "log"
    assert axes.lines[0].get_ydata() == pytest.approx([0.1, 0.1, 0.01])


def test_a_prediction_shows_every_class_with_its_probability(smooth_photos):
    figure = answers.photo_prediction(smooth_photos[0], torch.tensor([0.25, 0.75]), ("a", "b"))
    assert [bar.get_width() for bar in figure.axes[1].patches] == pytest.approx([0.25, 0.75])
    assert [text.get_text() for text in figure.axes[1].texts] == ["25.0%", "75.0%"]


def test_figures_are_closed_so_that_a_notebook_shows_them_once():
    before = plt.get_fignums()
    training.training_curves(HISTORY)
    assert plt.get_fignums() == before
