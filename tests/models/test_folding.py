"""Batch norms folded into convolutions: the same features, and nothing of the model changed."""

import copy

import pytest
import torch
from torch import nn

from helpers.models.folding import fold_batch_norms
from tests.tiny import random_model


def with_statistics(backbone: str) -> nn.Module:
    """A frozen network whose batch norms do something, as after ImageNet."""
    model = random_model(backbone, 3, 0.5, backbone=True)
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.1, 0.1),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.1, 0.1),
            ):
                nn.init.uniform_(tensor, low, high)
    return model


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize(("backbone", "left"), [("resnet18", 0), ("mobilenet_v2", 0), ("densenet121", 62)])
def test_the_outputs_are_the_same_and_the_model_stays_as_it_was(backbone, left):
    model, images = with_statistics(backbone), torch.randn(2, 3, 64, 64)
    model.eval()
    before, weights = model(images), copy.deepcopy(model.state_dict())
    model.train()
    folded = fold_batch_norms(model)
    assert norms(folded) == left, "in DenseNet half of the batch norms stand before a convolution, not behind"
    torch.testing.assert_close(folded(images), before, rtol=1e-4, atol=1e-5)
    assert model.training
    torch.testing.assert_close(model.state_dict(), weights, rtol=0, atol=0)


class Undecided(nn.Module):
    """Its way depends on what it sees, which cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images) if images.mean() > 0 else images


def test_what_cannot_be_folded_is_returned_as_it_is():
    hooked = with_statistics("resnet18")
    hooked.layer1.register_forward_hook(lambda layer, given, out: 2 * out)
    for model in (hooked, Undecided(), random_model("squeezenet1_1", 3, 0.5)):
        assert fold_batch_norms(model) is model
