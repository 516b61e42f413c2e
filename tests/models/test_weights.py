"""Weights: checkpoints as people's trainings write them, and what to write instead of a wrong name."""

import argparse
import copy
import datetime
import functools
import pathlib
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from helpers.common.errors import WeightsError
from helpers.models.build import build_backbone
from helpers.models.head import find_head
from helpers.models.weights import read_weights

BACKBONE = "squeezenet1_1"
HEAD = "classifier.1."


@functools.cache
def donor():
    with torch.random.fork_rng():
        torch.manual_seed(9)
        return models.get_model(BACKBONE, weights=None).state_dict()


def under(prefix, state=None):
    return {prefix + name: value for name, value in (state or donor()).items()}


def without_head():
    return {name: value for name, value in donor().items() if not name.startswith(HEAD)}


def zeros(state=None):
    return {name: torch.zeros_like(value) for name, value in (state or donor()).items()}


def optimizer():
    return {"state": {0: {"exp_avg": torch.ones(3), "step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}


WRAPPED = {
    "general checkpoint": lambda: {"epoch": 3, "model_state_dict": donor(), "optimizer_state_dict": optimizer()},
    "a tensor beside": lambda: {"model_state_dict": donor(), "loss": torch.tensor(0.4)},
    "net": lambda: {"net": under("module."), "acc": 93.1},
    "params": lambda: {"params": donor()},
    "weights": lambda: {"weights": donor()},
    "ema alone": lambda: {"ema": donor(), "optimizer": optimizer()},
    "ema beside": lambda: {"model_ema": {**zeros(), "n_averaged": torch.tensor(1)}, "model": donor()},
    "nested": lambda: {"checkpoint": {"model": {"state_dict": donor()}}},
    "lightning": lambda: {
        "state_dict": under("model."),
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [optimizer()],
    },
    "lightning with a metric": lambda: {"state_dict": {"train_acc.total": torch.zeros(1), **under("net.")}},
    "compiled": lambda: under("_orig_mod."),
    "compiled in DDP": lambda: under("module._orig_mod."),
    "DDP in compiled": lambda: under("_orig_mod.module."),
    "all at once": lambda: {"state_dict": under("module.model.backbone._orig_mod.")},
    "a wrapper inside": lambda: {name.replace("features.", "features.module."): v for name, v in donor().items()},
    "an own name": lambda: under("my_squeeze_net."),
    "mmpretrain": lambda: {
        "meta": {},
        "state_dict": {**under("backbone.", without_head()), "neck.scale": torch.ones(1)},
    },
    "MoCo": lambda: {
        "state_dict": {
            **under("module.encoder_q."),
            **under("module.encoder_k.", zeros()),
            "module.queue": torch.ones(3),
        }
    },
    "float64": lambda: {name: value.double() for name, value in donor().items()},
    "arguments": lambda: {"model": donor(), "args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs"), model="x")},
    "numbers": lambda: {"model": donor(), "best": np.float64(0.93), "on": datetime.timedelta(seconds=3)},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_checkpoints_as_trainings_write_them_are_read(tmp_path, kind, capsys):
    torch.save(WRAPPED[kind](), tmp_path / "w.pth")
    model = build_backbone(BACKBONE, str(tmp_path / "w.pth"))
    for name, value in without_head().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("head", ["head.", "classifier_head.fc."])
def test_a_head_beside_the_backbone_comes_along(tmp_path, capsys, head):
    """As a network saves it that has the backbone as ``self.backbone``, and its own ``self.head``."""
    model = models.get_model("mobilenet_v3_small", weights=None)
    name, layer = find_head(model)
    own = nn.Linear(layer.in_features, 5)
    state = {f"backbone.{key}": v for key, v in model.state_dict().items() if not key.startswith(f"{name}.")}
    state |= {head + "weight": own.weight, head + "bias": own.bias}
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    loaded = build_backbone("mobilenet_v3_small", str(tmp_path / "w.ckpt"))
    assert torch.equal(find_head(loaded)[1].weight, own.weight)
    assert torch.equal(find_head(loaded)[1].bias, own.bias)
    assert "its head for 5 classes comes along" in capsys.readouterr().out


def test_arguments_in_a_checkpoint_are_never_made(tmp_path, monkeypatch):
    """torchvision's own training saves its ``argparse.Namespace``: it is passed over, not built."""
    torch.save({"model": donor(), "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pth")

    def refuse(*_, **__):
        pytest.fail("the class was called")

    monkeypatch.setattr(argparse.Namespace, "__new__", refuse)
    monkeypatch.setattr(argparse.Namespace, "__setstate__", refuse, raising=False)
    assert read_weights(tmp_path / "w.pth").keys() == donor().keys()
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.bin", "W.PTH", "w"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_the_content_decides_not_the_suffix(tmp_path, name, kind):
    state = {"conv.weight": torch.arange(3.0)}
    if kind == "safetensors":
        save_file(state, tmp_path / "x")
    else:
        torch.save(state, tmp_path / "x", _use_new_zipfile_serialization=kind == "zip")
    shutil.move(tmp_path / "x", tmp_path / name)
    assert read_weights(tmp_path / name)["conv.weight"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused_by_name(tmp_path, value):
    state = copy.deepcopy(donor())
    state["features.3.squeeze.weight"][0, 0] = value
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth': 'features\.3\.squeeze\.weight' holds NaN or infinite values"):
        build_backbone(BACKBONE, str(tmp_path / "w.pth"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa"),
            "is a Git LFS pointer",
        ),
        (lambda path: path.write_text("<!doctype html><title>Sign in</title>"), "is an HTML page"),
        (lambda path: path.touch(), "is empty"),
        (
            lambda path: torch.save(nn.Linear(2, 2), path),
            r"an object of torch\.nn\.modules\.linear\.Linear, as a whole model",
        ),
        (lambda path: torch.jit.script(nn.Linear(2, 2)).save(str(path)), "it is a TorchScript program"),
        (lambda path: torch.save(optimizer(), path), "holds no tensors|another architecture"),
    ],
)
def test_what_is_no_state_dict_is_called_by_its_name(tmp_path, content, said):
    content(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"w\.pth' .*{said}"):
        build_backbone(BACKBONE, str(tmp_path / "w.pth"))


def test_another_librarys_names_are_told_from_another_architecture(tmp_path):
    save_file({"resnet.embedder.embedder.convolution.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "w.safetensors")
    with pytest.raises(
        WeightsError, match=r"as another library does: the first .*'resnet\.embedder\..* none is 'features"
    ):
        build_backbone(BACKBONE, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        *((name, "write weights = imagenet") for name in ("DEFAULT", "IMAGENET1K_V1", "Imagenet", "pretrained")),
        ("ResNet18_Weights.IMAGENET1K_V1", "write weights = imagenet"),
        *((name, "write weights = none") for name in ("None", "random", "False")),
        ("https://example.org/w.pth", "is an address.*download the file, and give its path"),
        ("https://download.pytorch.org/models/resnet18-f37072fd.pth", "or write weights = imagenet"),
        (".", "is a folder: give the path of a file in it"),
        ("nowhere/at.all", "does not exist: write imagenet, none, or the path of a file"),
    ],
)
def test_a_wrong_name_is_answered_with_what_to_write(tmp_path, monkeypatch, weights, said):
    monkeypatch.chdir(tmp_path)
    for given in (weights, str(tmp_path / weights)):  # as it is given, and seen from the project's root
        with pytest.raises(WeightsError, match=said):
            build_backbone(BACKBONE, given)
