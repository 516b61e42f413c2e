"""Evaluation mode is left as it was entered, and autocast does what the precision says."""

import contextlib

import pytest
import torch
from torch import nn

from helpers.common.modules import autocast, evaluation_mode


def test_each_module_gets_its_own_mode_back_even_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    model[1][0].eval()
    before = [module.training for module in model.modules()]
    with contextlib.suppress(ZeroDivisionError), evaluation_mode(model) as same:
        assert same is model
        assert not any(module.training for module in model.modules())
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_matrix_product_is_computed_in_the_precision(precision):
    with autocast(torch.device("cpu"), precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == precision
