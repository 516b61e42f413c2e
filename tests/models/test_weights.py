"""Weights: checkpoints as people's trainings write them, and what to write instead of a wrong name."""

import argparse
import copy
import datetime
import functools
import hashlib
import pathlib
import shutil
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from helpers.common.errors import WeightsError
from helpers.models.build import build_backbone
from helpers.models.head import find_head
from helpers.models.weights import read_weights, weights_digest

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


def a_loop(checkpoint):
    checkpoint["again"] = checkpoint
    return checkpoint


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
    "wrappers inside": lambda: {
        name.replace("features.3.", "features.3.module.")
        .replace("features.4.", "features._orig_mod.4.")
        .replace("features.6.", "features.6._fsdp_wrapped_module.")
        .replace("features.7.", "features._checkpoint_wrapped_module.7."): value
        for name, value in donor().items()
    },
    "an own name": lambda: under("my_squeeze_net."),
    "mmpretrain": lambda: {
        "meta": {},
        "state_dict": {**under("backbone.", without_head()), "neck.scale": torch.ones(1)},
    },
    "a loop": lambda: a_loop({"model": donor()}),
    "an average inside": lambda: {"model_ema": {"state": {**zeros(), "n_averaged": torch.tensor(1)}}, "model": donor()},
    "a smaller network before": lambda: {"critic": dict(list(zeros().items())[:40]), "model": donor()},
    "a tensor of the same name before": lambda: {"probe.features.0.weight": torch.zeros(2), **under("model.")},
    "auxiliary classifiers": lambda: {
        **donor(),
        **{f"{name}.conv.weight": torch.ones(1) for name in ("aux1", "aux2", "AuxLogits")},
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


def backbone_and(head):
    """Return a state as a network saves it that has the backbone as ``self.backbone``, and its own head."""
    return {"state_dict": {**under("backbone.", without_head()), "neck.weight": torch.ones(3), **head}}


@pytest.mark.parametrize("head", ["head.", "classifier_head.fc."])
@pytest.mark.parametrize("bias", [True, False])
def test_a_head_beside_the_backbone_comes_along(tmp_path, capsys, head, bias):
    own = {head + "weight": torch.rand(5, 512, 1, 1)} | ({head + "bias": torch.rand(5)} if bias else {})
    torch.save(backbone_and(own), tmp_path / "w.ckpt")
    layer = find_head(build_backbone(BACKBONE, str(tmp_path / "w.ckpt")))[1]
    assert torch.equal(layer.weight, own[head + "weight"])
    assert torch.equal(layer.bias, own.get(head + "bias", layer.bias))
    assert "its head for 5 classes comes along" in capsys.readouterr().out


HEADS = {  # kind → state, and whether it is said that the head is not taken
    "two": (lambda: backbone_and({f"{name}.weight": torch.rand(5, 512, 1, 1) for name in ("kind", "hue")}), False),
    "beside the backbone's own": (lambda: {**under("backbone."), "head.weight": torch.rand(5, 512, 1, 1)}, False),
    "of another bias": (lambda: {**donor(), HEAD + "bias": torch.rand(3)}, False),
    "of other features": (lambda: {**without_head(), HEAD + "weight": torch.rand(5, 9, 1, 1)}, True),
    "of 1,000 classes and other features": (lambda: {**without_head(), HEAD + "weight": torch.rand(1000, 9)}, True),
    "and one more layer": (lambda: {**donor(), "classifier.4.weight": torch.rand(5, 5)}, True),
    "of two layers": (
        lambda: {**without_head(), HEAD + "weight": torch.rand(64, 512, 1, 1), "classifier.3.weight": torch.rand(5)},
        True,
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_that_may_not_be_the_models_is_not_taken_and_the_backbone_is(tmp_path, capsys, kind):
    state, said = HEADS[kind]
    torch.save(state(), tmp_path / "w.pth")
    model = build_backbone(BACKBONE, str(tmp_path / "w.pth"))
    assert len(find_head(model)[1].weight) == 1000
    assert torch.equal(model.features[12].squeeze.weight, donor()["features.12.squeeze.weight"])
    assert ("its head is of another kind and is not taken" in capsys.readouterr().out) == said


@pytest.mark.parametrize(
    "name",
    [
        *("argparse.Namespace", "types.SimpleNamespace", "datetime.timedelta", "datetime.datetime", "numpy.dtype"),
        *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath"),
        *("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar"),
    ],
)
def test_objects_beside_the_weights_are_passed_over(tmp_path, name):
    """Those of other versions of Python and NumPy, and of Windows, too: named here as pickle writes them."""
    module, _, kind = name.rpartition(".")
    beside = f"X\x04\0\0\0argsc{module}\n{kind}\nX\x01\0\0\0a\x85R}}X\x01\0\0\0bK\x01sbs".encode("latin-1")
    torch.save({"w": torch.ones(2)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "w.pth", "w") as changed:
        for each in plain.namelist():
            content = plain.read(each)
            if each.endswith("data.pkl"):  # the object becomes one more entry of the dict
                content = content.removesuffix(b".") + beside + b"."
            changed.writestr(each, content)
    assert read_weights(tmp_path / "w.pth").keys() == {"w"}


def test_names_of_wrappers_are_taken_away_whole_and_numbers_keep_their_kind(tmp_path):
    torch.save({"my_module.weight": torch.ones(2).half(), "module.count": torch.tensor(3)}, tmp_path / "w.pth")
    assert {name: value.dtype for name, value in read_weights(tmp_path / "w.pth").items()} == {
        "my_module.weight": torch.float32,
        "count": torch.int64,
    }


def test_older_names_of_densenets_layers_are_known(tmp_path):
    torch.save({"features.denseblock1.denselayer2.norm.1.weight": torch.ones(2)}, tmp_path / "w.pth")
    assert list(read_weights(tmp_path / "w.pth")) == ["features.denseblock1.denselayer2.norm1.weight"]


def test_counters_of_batches_may_be_missing(tmp_path):
    model = models.get_model("mobilenet_v3_small", weights=None)
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "w.pth")
    loaded = build_backbone("mobilenet_v3_small", str(tmp_path / "w.pth"))
    assert torch.equal(loaded.features[0][0].weight, model.features[0][0].weight)


def test_a_deeper_relative_is_another_architecture(tmp_path):
    torch.save({**donor(), "features.13.squeeze.weight": torch.ones(3)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"another architecture \(1 tensor .*'features\.13\.squeeze\.weight'"):
        build_backbone(BACKBONE, str(tmp_path / "w.pth"))


def test_the_digest_is_that_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "w.pth").write_bytes(b"abc")
    expected = hashlib.sha256(b"abc").hexdigest()
    assert weights_digest(BACKBONE, "none") is None
    assert weights_digest(BACKBONE, str(tmp_path / "w.pth")) == expected
    monkeypatch.setattr("helpers.models.weights.fetch_imagenet_weights", lambda backbone: tmp_path / "w.pth")
    assert weights_digest(BACKBONE, "imagenet") == expected
    with pytest.raises(WeightsError, match=r"x\.pth' does not exist"):
        weights_digest(BACKBONE, str(tmp_path / "x.pth"))


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
        (lambda path: torch.save({"epoch": 3, "model": {}}, path), "holds no tensors: a state dict is needed"),
        (lambda path: torch.save(torch.ones(3), path), r"more than tensors \(TypeError\)"),
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
    torch.save({"stem.features.0.weight": torch.ones(3), "stages.0.weight": torch.ones(3)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"as another library does: the first .*'stem\.features"):
        build_backbone(BACKBONE, str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        *((name, "write weights = imagenet") for name in ("DEFAULT", "IMAGENET1K_V1", "Imagenet", "pretrained")),
        ("ResNet18_Weights.IMAGENET1K_V1", "write weights = imagenet"),
        *((name, "write weights = none") for name in ("None", "random", "False")),
        *((f"{kind}://bucket/w.pth", "is an address") for kind in ("s3", "gs", "hf", "ftp", "http")),
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
