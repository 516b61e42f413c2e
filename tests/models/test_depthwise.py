"""Strided depthwise convolutions: the same layer, in another arithmetic."""

import copy
import pickle

import pytest
import torch
from torch import nn

from helpers.models.depthwise import StridedDepthwise, ease_depthwise
from tests.tiny import random_model


def test_only_strided_depthwise_convolutions_change_and_no_weight_does():
    layers = {
        "depthwise": nn.Conv2d(4, 4, 3, stride=2, groups=4),
        "wider": nn.Conv2d(4, 8, 3, stride=(1, 2), groups=4),
        "without stride": nn.Conv2d(4, 4, 3, groups=4),
        "grouped": nn.Conv2d(4, 4, 3, stride=2, groups=2),
        "full": nn.Conv2d(4, 4, 3, stride=2),
        "one channel": nn.Conv2d(1, 4, 3, stride=2),
    }
    model = nn.ModuleDict(layers)
    before = copy.deepcopy(model.state_dict())
    ease_depthwise(model)
    assert {name for name, layer in model.items() if isinstance(layer, StridedDepthwise)} == {"depthwise", "wider"}
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert isinstance(pickle.loads(pickle.dumps(copy.deepcopy(model)))["depthwise"], StridedDepthwise)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_it_computes_in_float32_and_answers_in_the_precision_of_autocast(precision):
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
    eased = copy.deepcopy(plain)
    ease_depthwise(eased)
    images = torch.randn(2, 8, 9, 9)
    ours, exact = images.clone().requires_grad_(), images.clone().requires_grad_()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        out = eased(ours)
    expected = plain(exact)
    assert out.dtype == precision
    assert torch.equal(out, expected.to(precision))
    out.float().sum().backward(), expected.sum().backward()
    assert torch.equal(ours.grad, exact.grad)  # no product or sum was rounded to eight bits
    assert torch.equal(eased.weight.grad, plain.weight.grad)


def test_without_a_gradient_it_is_the_plain_layer():
    plain = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
    eased = copy.deepcopy(plain)
    ease_depthwise(eased)
    images = torch.randn(2, 8, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(eased(images), plain(images))
        with torch.no_grad():
            assert torch.equal(eased(images.requires_grad_()), plain(images))


def test_every_strided_depthwise_layer_of_mobilenet_is_eased():
    model = random_model("mobilenet_v2", 5, 0.2)
    strides = [module.stride for module in model.modules() if isinstance(module, StridedDepthwise)]
    assert strides == [(2, 2)] * 4
    assert not any(isinstance(module, StridedDepthwise) for module in random_model("resnet18", 5, 0.2).modules())
