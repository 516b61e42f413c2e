"""The new head: in every family of torchvision's classifiers, from its seed, and once only."""

import pytest
import torch
from torch import nn
from torchvision import models

from helpers.common.seeding import derive_seed
from helpers.models import build, describe_head, replace_head
from helpers.models.head import find_head
from tests.tiny import random_model

# One of each kind; RegNets cannot be built without memory, and test_build.py has two of them.
KINDS = {models.get_model_builder(name).__module__: name for name in reversed(models.list_models(module=models))}
KINDS.pop("torchvision.models.regnet")


@pytest.mark.parametrize("backbone", KINDS.values())
def test_every_kind_of_classifier_gets_a_head_for_our_classes(backbone):
    size = 299 if backbone == "inception_v3" else 224
    with torch.device("meta"):  # shapes without numbers: all of them in seconds
        model = build._plain_model(backbone)
        name = find_head(model)[0]
        assert replace_head(model, 5, 0.3) is model
        assert model.eval()(torch.empty(2, 3, size, size)).shape == (2, 5)
    assert describe_head(model).startswith(f"{name}: Dropout(0.3), ")
    assert describe_head(model).endswith(("→ 5)", "→ 5, 1 × 1)"))


def test_head_before_and_after():
    assert build.original_head("resnet18") == "fc: Linear(512 → 1000)"
    assert build.original_head("regnet_y_400mf") == "fc: Linear(440 → 1000)"
    model = random_model("resnet18", 5, 0.5)
    assert describe_head(model) == "fc: Dropout(0.5), Linear(512 → 5)"
    assert build.count_parameters(model) == (11_179_077, 11_179_077)


def test_a_dropout_before_the_old_head_is_replaced_not_doubled():
    model = random_model("mobilenet_v2", 5, 0.3)
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.3]


def test_the_fresh_weights_are_those_of_the_seed():
    model = random_model("resnet18", 5, seed=3)
    torch.manual_seed(derive_seed(3, "head"))
    expected = nn.Linear(512, 5)
    assert torch.equal(model.fc[1].weight, expected.weight)
    assert torch.equal(model.fc[1].bias, expected.bias)


def test_replaced_again_it_keeps_its_weights_for_as_many_classes_and_is_fresh_for_others():
    model = random_model("mobilenet_v2", 5, 0.3)
    names, weight = list(model.state_dict()), find_head(model)[1].weight
    replace_head(model, 5, 0.1, seed=7)
    assert find_head(model)[1].weight is weight
    assert describe_head(model) == "classifier.1: Dropout(0.1), Linear(1280 → 5)"
    replace_head(model, 3, 0.2)
    assert describe_head(model) == "classifier.1: Dropout(0.2), Linear(1280 → 3)"
    assert list(model.state_dict()) == names
