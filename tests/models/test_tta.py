"""Several looks at a photo, and the mean of the answers."""

import pytest
import torch
from torch import nn

from helpers.models import averaging
from tests.tiny import tiny_recipe


class Left(nn.Module):
    """Logits: how bright the left half is, and how wide the picture."""

    def forward(self, images):
        half = images.shape[-1] // 2
        width = torch.full((len(images),), float(images.shape[-1]))
        return torch.stack([images[..., :half].mean((1, 2, 3)), width], dim=1)


def test_without_views_the_model_is_used_as_it_is():
    model = Left()
    assert averaging.with_tta(model, tiny_recipe()) is model


def test_mirrored_and_scaled_answers_are_averaged():
    images = torch.zeros(2, 3, 64, 64)
    images[0, ..., :32] = 1
    flipped = averaging.with_tta(Left(), tiny_recipe(test_flip=True))(images)
    assert flipped[:, 0].tolist() == pytest.approx([0.5, 0])
    scaled = averaging.with_tta(Left(), tiny_recipe(test_scales=True))(images)
    assert scaled[:, 1].tolist() == [64.0, 64.0]  # of 56, 64 and 72
    assert scaled[0, 0].item() == pytest.approx(1, abs=0.02)
    assert len(averaging.views(images, True, True)) == 6
    assert [view.shape[-1] for view in averaging.views(images, True, True)] == [56, 64, 72] * 2


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_the_model_s_own(training):
    model = nn.Sequential(Left(), nn.Dropout(0.5)).train(training)
    assert averaging.with_tta(model, tiny_recipe(test_flip=True)).training == training
    assert model[1].training == training
