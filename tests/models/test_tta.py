"""Several looks at a photo, and the mean of the answers."""

import pytest
import torch
from torch import nn

from helpers.models import averaging
from tests.tiny import tiny_recipe


class Left(nn.Module):
    """One logit: how bright the left half is."""

    def forward(self, images):
        return images[..., : images.shape[-1] // 2].mean((1, 2, 3))[:, None]


def test_without_views_the_model_is_used_as_it_is():
    model = Left()
    assert averaging.with_tta(model, tiny_recipe()) is model


def test_mirrored_answers_are_averaged():
    images = torch.zeros(2, 3, 64, 64)
    images[0, ..., :32] = 1
    flipped = averaging.with_tta(Left(), tiny_recipe(test_flip=True))(images)
    assert flipped[:, 0].tolist() == pytest.approx([0.5, 0])


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_the_model_s_own(training):
    model = nn.Sequential(Left(), nn.Dropout(0.5)).train(training)
    assert averaging.with_tta(model, tiny_recipe(test_flip=True)).training == training
    assert model[1].training == training
