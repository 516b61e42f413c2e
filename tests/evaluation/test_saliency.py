"""Grad-CAM against sums done by hand, and on the backbones that it should work with."""

import re

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from helpers.common.errors import ParameterError
from helpers.data.augmentation import val_transform
from helpers.evaluation.mistakes import ClassifiedPhoto
from helpers.evaluation.saliency import as_map, explain, grad_cam, last_feature_map
from helpers.models.averaging import with_tta
from helpers.models.build import check_image_size, shapes_only
from helpers.plots.predictions import saliency
from helpers.recipe import Recipe
from helpers.runs import open_run
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
    (explained,) = explain(Lamp(), [said], [photo], ("a", "b"), recipe)
    assert torch.equal(explained.picture, val_transform(recipe)(photo))
    assert explained.for_predicted.max() == 1


# A small model of each family that torchvision has, and the layer that is explained at 224 px.
FAMILIES = {
    "alexnet": "avgpool",
    "convnext_tiny": "features",
    "densenet121": "features",
    "efficientnet_b0": "features",
    "efficientnet_v2_s": "features",
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "maxvit_t": "blocks.3",
    "mnasnet0_5": "layers",
    "mobilenet_v2": "features",
    "mobilenet_v3_small": "features",
    "regnet_y_400mf": "trunk_output",
    "resnet18": "layer4",
    "resnext50_32x4d": "layer4",
    "shufflenet_v2_x0_5": "conv5",
    "squeezenet1_1": "classifier.2",
    "swin_t": "permute",
    "swin_v2_t": "permute",
    "vgg11": "avgpool",
    "vit_b_32": "encoder.layers.encoder_layer_11.ln_1",
    "wide_resnet50_2": "layer4",
}


def test_every_family_of_torchvision_is_known():
    families = {re.match(r"(wide_|mobilenet_v\d|efficientnet(_v2)?|[a-z]+(_v2)?)", name)[0] for name in FAMILIES}
    for name in models.list_models(module=models):
        assert name.startswith(tuple(families)), name


@pytest.mark.parametrize("backbone", FAMILIES)
def test_every_family_has_a_layer_to_explain_and_takes_the_usual_size(backbone):
    """By shapes alone, without numbers."""
    check_image_size(Recipe(backbone=backbone))
    model = shapes_only(backbone).eval().to("meta")
    assert last_feature_map(model, torch.empty(1, 3, 224, 224, device="meta")) is model.get_submodule(
        FAMILIES[backbone]
    )


@pytest.mark.parametrize(
    ("backbone", "size", "places"),
    [("vit_b_32", 224, 7), ("maxvit_t", 224, 7), ("swin_t", 224, 7), ("swin_t", 32, 2), ("convnext_tiny", 32, 2)]
    + [("densenet121", 64, 2)],  # its last map goes through a ReLU in place
)
def test_tokens_and_maps_with_channels_last_are_explained_by_place(backbone, size, places):
    model = random_model(backbone, 2, 0.0)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    heat = grad_cam(model, images, torch.tensor([0, 1]))
    assert heat.shape == (2, size, size)
    assert heat.amax() == 1
    kept = []
    last_feature_map(model, images[:1]).register_forward_hook(lambda *parts: kept.append(as_map(parts[2])))
    model.eval()(images)
    assert kept[0].shape[2:] == (places, places)
    assert kept[0].shape[1] > places  # channels are no places


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backbone": "vit_b_16", "image_size": 96}, "image_size = 96: vit_b_16 takes no images of 96 px"),
        ({"backbone": "maxvit_t", "image_size": 64}, "image_size = 64: maxvit_t takes no images of 64 px"),
        ({"backbone": "inception_v3", "image_size": 64}, "image_size = 64: inception_v3"),
        ({"backbone": "vit_b_16", "eval_image_size": 256}, "eval_image_size = 256: vit_b_16"),
    ],
)
def test_a_size_that_the_backbone_cannot_take_is_refused_at_the_parameter(tmp_path, settings, said):
    with pytest.raises(ParameterError, match=rf"{said}.*image_size = 224 with val_resize = 256"):
        open_run(Recipe(**settings), tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_explained_the_run_goes_on(capsys):
    photo, said = Image.new("RGB", (40, 40), "white"), ClassifiedPhoto(0, "a.jpg", "b", "b", 0.9, "a", 0.1, 0.9)
    recipe = Recipe(image_size=16, crop_size=16, val_resize=16)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    assert explain(flat, [said], [photo], ("a", "b"), recipe) == []
    assert "nothing to explain: at this image_size" in capsys.readouterr().out
    assert saliency([])
