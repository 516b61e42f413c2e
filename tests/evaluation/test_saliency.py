"""Grad-CAM against sums done by hand, and on the backbones that it should work with."""

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from helpers.common.errors import ParameterError
from helpers.evaluation.mistakes import ClassifiedPhoto
from helpers.evaluation.saliency import explain, grad_cam, last_feature_map
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe
from tests.tiny import random_model


class Lamp(nn.Module):
    """Looks for bright 4 × 4 blocks (class 1) and for dark ones (class 0): its last map is 4 × 4."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool2d(4)
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.features.weight.data = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])[..., None, None]
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2, bias=False))
        self.head[1].weight.data = torch.eye(2)

    def forward(self, images):
        return self.head(self.features(self.pool(images)).mean((2, 3)))


@pytest.fixture
def picture():
    images = torch.zeros(1, 3, 16, 16)
    images[:, :, :4, 8:12] = 1.0  # a bright block: row 0, column 2
    images[:, :, 8:12, :4] = -0.5  # a dark one: row 2, column 0
    return images


def test_what_speaks_for_a_class_lies_where_it_is(picture):
    bright, dark = grad_cam(Lamp(), picture.repeat(2, 1, 1, 1), torch.tensor([1, 0]))
    assert bright.shape == (16, 16)
    assert divmod(int(bright.argmax()), 16) in {(i, j) for i in range(4) for j in range(8, 12)}
    assert divmod(int(dark.argmax()), 16) in {(i, j) for i in range(8, 12) for j in range(4)}
    assert bright.max() == dark.max() == 1
    assert bright[12:, 12:].max() == 0  # nothing there speaks for it


def test_where_nothing_speaks_for_a_class_the_map_is_dark():
    assert grad_cam(Lamp(), torch.full((1, 3, 16, 16), -1.0), torch.tensor([1])).max() == 0


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_gradients_are_left_alone(picture, training):
    model = Lamp().train(training)
    first, second = (grad_cam(model, picture, torch.tensor([1])) for _ in range(2))
    assert torch.equal(first, second)  # without dropout, whatever the mode
    assert model.training == training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [("resnet18", "layer4"), ("mobilenet_v2", "features"), ("squeezenet1_1", "classifier.2"), ("alexnet", "avgpool")],
)
def test_backbones_frozen_ones_too(backbone, layer):
    model = random_model(backbone, 3, 0.2, backbone=True)
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)).repeat(3, 1, 1, 1)
    found = last_feature_map(model, images[:1])
    assert found is model.get_submodule(layer)
    heat = grad_cam(model, images, torch.arange(3))
    assert heat.shape == (3, 96, 96)
    assert all(each.max() in (0, 1) for each in heat)
    assert heat.max() == 1
    assert heat.std(0).max() > 0  # not the same for all classes


def test_of_several_views_the_plain_picture_is_explained(picture):
    model = Lamp()
    tested = with_tta(model, Recipe(test_flip=True))
    assert tested is not model
    assert torch.equal(*(grad_cam(each, picture, torch.tensor([1])) for each in (model, tested)))


def test_photos_are_explained_as_they_were_validated():
    photo, said = Image.new("RGB", (40, 40), "white"), ClassifiedPhoto(0, "a.jpg", "b", "b", 0.9, "a", 0.1, 0.9)
    recipe = Recipe(image_size=16, crop_size=16, val_resize=16)
    dark = v2.Compose([v2.PILToTensor(), v2.Resize(16), v2.ToDtype(torch.float32), v2.Lambda(torch.zeros_like)])
    (usual,) = explain(Lamp(), [said], [photo], ("a", "b"), recipe)
    (own,) = explain(Lamp(), [said], [photo], ("a", "b"), recipe, dark)
    assert usual.picture.min() > 0
    assert usual.for_predicted.max() == 1
    assert own.picture.shape == (3, 16, 16)
    assert own.picture.abs().max() == 0
    assert own.for_predicted.max() == 0  # nothing in a picture of zeros speaks for anything


def test_a_vision_transformer_is_refused():
    with pytest.raises(ParameterError, match="ends in a feature map"):
        last_feature_map(random_model("vit_b_32", 2, 0.0), torch.zeros(1, 3, 224, 224))
