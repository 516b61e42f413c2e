"""Heads that a student writes are saved and rebuilt, or refused before the training."""

import pytest
import torch
from torch import nn

from helpers.common.errors import RunError, WeightsError
from helpers.models import build_backbone
from helpers.models.own_head import head_in_words, own_head
from helpers.recipe import Recipe
from helpers.runs.history import Epoch
from helpers.runs.saving import load_best_model, save_best_model
from tests.tiny import random_model

HEADS = {
    "linear": lambda inputs: nn.Linear(inputs, 5),
    "two layers": lambda inputs: nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 5)),
    "normalized": lambda inputs: nn.Sequential(nn.BatchNorm1d(inputs), nn.Sequential(nn.Linear(inputs, 5))),
}
PLACES = {  # how students replace the last layer of these networks
    "resnet18": lambda model, head: setattr(model, "fc", head(512)),
    "mobilenet_v2": lambda model, head: model.classifier.__setitem__(1, head(1280)),
    "vgg11": lambda model, head: model.classifier.__setitem__(6, head(4096)),
    "densenet121": lambda model, head: setattr(model, "classifier", head(1024)),
    "mobilenet_v3_small": lambda model, head: model.classifier.__setitem__(3, head(1024)),
    "squeezenet1_1": lambda model, head: model.classifier.__setitem__(1, nn.Conv2d(512, 5, 1)),
}


def saved(folder, model, backbone):
    classes = tuple("abcde")
    best = Epoch(0, 0.1, 1.0, 0.5, 1.0, 0.5)
    head = own_head(model, Recipe(backbone=backbone), 5)
    save_best_model(folder, model.state_dict(), Recipe(backbone=backbone), best, classes, head)
    return load_best_model(folder)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_a_students_head_is_rebuilt(tmp_path, backbone, head):
    model = build_backbone(backbone, "none")
    PLACES[backbone](model, HEADS[head])
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(saved(tmp_path, model, backbone)(images), model.eval()(images), atol=1e-5)


@pytest.mark.parametrize("backbone", PLACES)
def test_the_assignments_standard_answer_is_described(backbone):
    model = build_backbone(backbone, "none")
    PLACES[backbone](model, HEADS["linear"])
    head = own_head(model, Recipe(backbone=backbone), 5)
    last = "Conv2d(512 → 5), ReLU, AdaptiveAvgPool2d((1, 1))" if backbone == "squeezenet1_1" else "→ 5)"
    assert head_in_words(head).endswith(last)


@pytest.mark.parametrize(
    ("first", "written"),
    [(nn.Dropout(0.2), "fc: Dropout(0.2), Linear(512 → 5)"), (nn.Tanh(), "fc: Tanh, Linear(512 → 5)")],
)
def test_a_head_with_the_same_parameters_as_the_recipes_is_not_taken_for_it(tmp_path, first, written):
    model = build_backbone("resnet18", "none")
    model.fc = nn.Sequential(first, nn.Linear(512, 5))
    assert head_in_words(own_head(model, Recipe(), 5)) == written
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(saved(tmp_path, model, "resnet18")(images), model.eval()(images), atol=1e-5)


def test_the_recipes_own_head_needs_no_description():
    assert own_head(random_model("resnet18", 5), Recipe(), 5) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: nn.Sequential(model, nn.Linear(1000, 5)), "it is a Sequential"),
        (
            lambda model: setattr(model, "fc", nn.Sequential(nn.Linear(512, 5), nn.Softplus())) or model,
            "its head has a layer Softplus",
        ),
        (lambda model: setattr(model, "conv1", nn.Conv2d(3, 64, 3)) or model, "it differs in more than 'fc'"),
        (lambda model: setattr(model, "fc", nn.Linear(512, 5, bias=False)) or model, "its head has a layer Linear"),
        (
            lambda model: setattr(model, "maxpool", nn.Identity()) or model,
            r"it differs in more than 'fc' \(\(maxpool\): Identity\(\)\)",
        ),
        (
            lambda model: setattr(model.fc, "0", nn.GELU(approximate="tanh")) or model,
            r"it differs in more than 'fc' \(\(0\): GELU\(approximate='tanh'\)\)",
        ),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_with_the_remedy(change, message):
    with pytest.raises(WeightsError, match=f"{message}.*Use resnet18 with replace_head, or with a head of Linear"):
        own_head(change(random_model("resnet18", 5)), Recipe(), 5)


@pytest.mark.parametrize("outputs", [4, 1000])
def test_a_last_layer_for_another_number_of_classes_is_refused(outputs):
    model = build_backbone("resnet18", "none")
    model.fc = nn.Linear(512, outputs)
    with pytest.raises(WeightsError, match=f"the last layer has {outputs:,} outputs for 5 classes: make it one of 5"):
        own_head(model, Recipe(), 5)


@pytest.mark.parametrize("layers", [["Linear", 10**12, 5], ["eval", "1"], ["Linear"], {}, ["Sequential", 5], [[]]])
def test_a_strangers_description_of_a_head_takes_no_memory_and_runs_nothing(tmp_path, layers):
    model = random_model("resnet18", 5)
    head = {"name": "fc", "layers": layers}
    save_best_model(tmp_path, model.state_dict(), Recipe(), Epoch(0, 0.1, 1, 0.5, 1, 0.5), tuple("abcde"), head)
    with pytest.raises(RunError, match="do not fit"):
        load_best_model(tmp_path)
