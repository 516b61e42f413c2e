"""Optimizers, their groups and schedules: each does what its name says."""

import itertools

import pytest
import torch
from torch import nn

from helpers.common.errors import ParameterError
from helpers.models import freeze
from helpers.models.freezing import stages
from helpers.models.head import find_head
from helpers.recipe import Recipe
from helpers.training import optimization
from tests.tiny import random_model, tiny_model


def recipe(**changes):
    return Recipe.from_preset("published", **changes)


@pytest.mark.parametrize(
    ("name", "kind", "key", "value"),
    [
        ("sgd", torch.optim.SGD, "nesterov", True),
        ("adam", torch.optim.Adam, "betas", (0.8, 0.999)),
        ("adamw", torch.optim.AdamW, "betas", (0.8, 0.999)),
        ("rmsprop", torch.optim.RMSprop, "momentum", 0.8),
    ],
)
def test_each_name_is_its_optimizer_and_learns(name, kind, key, value):
    model = nn.Linear(3, 2)
    optimizer = optimization.make_optimizer(model, recipe(optimizer=name, momentum=0.8, lr=0.01, weight_decay=0.25))
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group[key]) == (0.01, 0.25, value)
    images, labels = torch.randn(20, 3), torch.arange(20) % 2
    images[:, 0] += 3 * labels
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_the_published_recipe_has_one_group():
    model = random_model("resnet18", 5)
    (group,) = optimization.make_optimizer(model, recipe()).param_groups
    assert len(group["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2", "squeezenet1_1", "efficientnet_b0"])
def test_every_parameter_is_in_one_group_and_the_first_has_the_recipes_rate(backbone):
    model = random_model(backbone, 5)
    groups = optimization.make_optimizer(model, recipe(head_lr=0.1)).param_groups
    ids = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(ids) == sorted(map(id, model.parameters()))
    assert groups[0]["lr"] == 1e-3


def rate_of(groups, parameter):
    return next(g["lr"] for g in groups if any(p is parameter for p in g["params"]))


def test_the_head_can_have_a_rate_of_its_own():
    model = random_model("resnet18", 5)
    groups = optimization.make_optimizer(model, recipe(head_lr=0.2)).param_groups
    assert rate_of(groups, model.conv1.weight) == 1e-3
    assert rate_of(groups, find_head(model)[1].weight) == 0.2


def test_the_learning_rate_is_that_of_the_backbone_unless_the_head_alone_is_trained():
    settings = recipe(head_lr=0.2, lr=0.05)
    assert optimization.learning_rate(optimization.make_optimizer(tiny_model(), recipe(lr=0.05))) == 0.05
    optimizer = optimization.make_optimizer(tiny_model(), settings)
    optimizer.param_groups.reverse()
    assert optimization.learning_rate(optimizer) == 0.05
    frozen = freeze(tiny_model(), fraction=1)
    alone = optimization.make_optimizer(frozen, settings)
    assert [group["name"] for group in alone.param_groups] == ["head"]
    assert optimization.learning_rate(alone) == 0.2


def test_what_is_frozen_is_in_no_group():
    model = random_model("resnet18", 5, fraction=0.5)
    groups = optimization.parameter_groups(model, recipe(head_lr=0.5))
    ids = {id(parameter) for group in groups for parameter in group["params"]}
    frozen = [parameter for stage in stages(model)[:3] for parameter in stage]
    assert not any(id(parameter) in ids for parameter in frozen)
    assert len(ids) == len(list(model.parameters())) - len(frozen)


def rates_of(settings):
    schedule = optimization.make_schedule(optimization.make_optimizer(tiny_model(), settings), settings)
    return optimization.learning_rates(schedule, settings.epochs)


def test_looking_ahead_moves_neither_schedule_nor_weights():
    model, settings = tiny_model(), recipe(lr_step=1)
    optimizer = optimization.make_optimizer(model, settings)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)  # of one's own
    model(torch.rand(2, 3, 16, 16)).sum().backward()
    before = [parameter.clone() for parameter in model.parameters()]
    assert optimization.learning_rates(schedule, 3) == [settings.lr, settings.lr / 2, settings.lr / 4]
    assert (schedule.last_epoch, optimizer.param_groups[0]["lr"]) == (0, settings.lr)
    assert all(map(torch.equal, model.parameters(), before))
    with pytest.raises(
        ParameterError, match="ReduceLROnPlateau needs metrics in each step: use another, such as StepLR"
    ):
        optimization.learning_rates(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), 3)


def test_the_schedules():
    steps = rates_of(recipe(lr_step=3, epochs=7, lr=1.0))
    assert steps == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])
    cycle = rates_of(recipe(schedule="onecycle", epochs=10, lr=1.0))
    assert cycle[0] == pytest.approx(0.1)
    peak = cycle.index(max(cycle))
    assert peak in (2, 3)
    assert 0.95 < cycle[peak] <= 1
    assert cycle[: peak + 1] == sorted(cycle[: peak + 1])
    assert cycle[peak:] == sorted(cycle[peak:], reverse=True)
    assert cycle[-1] < 0.1


def test_the_learning_rate_of_all_25_published_epochs():
    expected = [1e-3] * 7 + [1e-4] * 7 + [1e-5] * 7 + [1e-6] * 4
    assert rates_of(recipe()) == pytest.approx(expected)


def test_the_cosine_warms_up_and_falls():
    rates = rates_of(recipe(schedule="cosine", warmup_epochs=2, epochs=10, lr=0.3))
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert all(a > b for a, b in itertools.pairwise(rates[2:]))
    assert 0 < rates[-1] < 0.03


def test_the_optimizer_is_the_published_one():
    (group,) = optimization.make_optimizer(nn.Linear(2, 2), recipe()).param_groups
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (1e-3, 0.9, True, 5e-4)


def test_frozen_parameters_are_left_out_of_the_optimizer():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    (group,) = optimization.make_optimizer(model, recipe()).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model[1].parameters()]


def test_balanced_weights_count_every_class_alike():
    labels = torch.tensor([0] * 6 + [1] * 2 + [2])
    weight = optimization.class_weights(recipe(class_weights="balanced"), labels, 3)
    assert weight.tolist() == pytest.approx([0.5, 1.5, 3.0])
    assert weight[labels].mean().item() == pytest.approx(1)
    assert optimization.class_weights(recipe(), labels, 3) is None
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    by_class = torch.stack([each[labels == label].mean() for label in range(3)]).mean()
    assert optimization.make_loss(weight=weight)(logits, labels).item() == pytest.approx(by_class.item(), rel=1e-6)
