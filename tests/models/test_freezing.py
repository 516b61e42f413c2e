"""What is frozen stays, to the bit, and in every kind of backbone it is a fair share of it."""

import copy
import pickle

import pytest
import torch
from torchvision import models

from helpers.models import build, head
from helpers.models.freezing import stages
from tests.tiny import random_model


def one_step(model):
    """A step of training on noise; the model's state before and after it."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    model(noise).square().sum().backward()
    torch.optim.SGD(trained, lr=0.1).step()
    return before, model.state_dict()


def test_frozen_norms_keep_their_statistics_and_learn_their_scales():
    for frozen in (True, False):
        before, after = one_step(random_model("resnet18", 5, 0.0, norms=frozen))
        statistics = [name for name in after if name.endswith(("running_mean", "running_var"))]
        assert len(statistics) == 40
        assert all(torch.equal(before[name], after[name]) == frozen for name in statistics)
        assert not torch.equal(before["layer1.0.bn1.weight"], after["layer1.0.bn1.weight"])


def test_the_first_stages_stay_as_they_are_and_the_others_do_not():
    before, after = one_step(random_model("mobilenet_v2", 5, 0.0, fraction=0.6))
    same = {name for name in after if torch.equal(before[name], after[name])}
    early = {name for name in after if name.startswith("features.") and int(name.split(".")[1]) < 11}
    assert early <= same
    assert not [name for name in same - early if name.endswith(("weight", "running_mean", "running_var"))]


@pytest.mark.parametrize(
    ("backbone", "count"),
    [
        ("resnet18", 6),
        ("resnet50", 11),
        ("mobilenet_v2", 19),
        ("squeezenet1_1", 9),
        ("vit_b_16", 15),
        ("maxvit_t", 7),
        ("swin_t", 9),
        ("convnext_tiny", 9),
    ],
)
def test_stages_of_old_and_new_backbones(backbone, count):
    with torch.device("meta"):
        model = models.get_model(backbone)
        head.replace_head(model, 5, 0.0)
    found = stages(model)
    assert len(found) == count
    sizes = [sum(parameter.numel() for parameter in stage) for stage in found]
    assert (
        sum(sizes) + sum(p.numel() for p in head.find_head(model)[1].parameters()) == build.count_parameters(model)[0]
    )
    assert sum(sizes[: int(0.6 * count)]) < 0.6 * sum(sizes)
    assert max(sizes) < 0.8 * sum(sizes)


def test_a_frozen_backbone_stays_to_the_bit_in_training_mode():
    before, after = one_step(random_model("resnet18", 5, 0.0, backbone=True))
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"fc.1.weight", "fc.1.bias"}


def test_a_frozen_model_can_be_copied_and_pickled_and_stays_frozen():
    model = random_model("resnet18", 5, norms=True)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not twin.train().bn1.training
        assert twin.layer1.training


def test_a_transformer_is_frozen_from_its_input_on():
    model = random_model("vit_b_32", 5, 0.0, fraction=0.6)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert {"class_token", "encoder.pos_embedding", "conv_proj.weight"} <= frozen
    layers = {name.split(".")[2] for name in frozen if name.startswith("encoder.layers.")}
    assert layers == {f"encoder_layer_{n}" for n in range(7)}
