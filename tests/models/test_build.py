"""Backbones and heads: every torchvision classifier, weights of every kind, and what is refused."""

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from helpers.common.errors import WeightsError
from helpers.models import build, head
from tests.conftest import WEIGHTS

SLOW_TO_BUILD = ("regnet",)  # cannot be built without memory; three of them stand for all
EVERY = [n for n in models.list_models(module=models) if not n.startswith(SLOW_TO_BUILD)]


@pytest.mark.parametrize("backbone", EVERY)
def test_every_classifier_gets_a_head_for_our_classes(backbone):
    size = 299 if backbone == "inception_v3" else 224
    with torch.device("meta"):  # shapes without numbers: all of them in seconds
        model = build._bare(backbone)
        name = head.replace_head(model, 5, 0.3)
        assert model.eval()(torch.empty(2, 3, size, size)).shape == (2, 5)
    assert head.describe_head(model).startswith(f"{name}: Dropout(0.3), ")
    assert head.describe_head(model).endswith(("→ 5)", "→ 5, 1 × 1)"))


@pytest.mark.parametrize("backbone", ["regnet_x_400mf", "regnet_y_400mf", "resnet18", "squeezenet1_1", "densenet121"])
def test_real_pictures_go_through(backbone):
    model = build.build_model(backbone, "none", 7, 0.5, seed=0).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_head_before_and_after():
    assert build.original_head("resnet18") == "fc: Linear(512 → 1000)"
    assert build.original_head("regnet_y_400mf") == "fc: Linear(440 → 1000)"
    model = build.build_model("resnet18", "none", 5, 0.5, seed=0)
    assert head.describe_head(model) == "fc: Dropout(0.5), Linear(512 → 5)"
    assert build.count_parameters(model) == (11_179_077, 11_179_077)


def test_a_dropout_before_the_old_head_is_replaced_not_doubled():
    model = build.build_model("mobilenet_v2", "none", 5, 0.3, seed=0)
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.3]


def test_the_seed_decides_and_the_callers_random_state_stays():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, same, other = (build.build_model("squeezenet1_1", "none", 5, 0.5, seed) for seed in (0, 0, 1))
    assert torch.rand(1) == expected
    weights = [next(model.parameters()) for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.fixture
def donor():
    return build.build_model("squeezenet1_1", "none", 1000, 0.5, seed=9)


@pytest.mark.parametrize("kind", ["pth", "pt", "safetensors", "half", "wrapped", "parallel", "headless"])
def test_weights_from_files_of_every_kind(tmp_path, donor, kind):
    state = {k.replace("classifier.1.1", "classifier.1"): v for k, v in donor.state_dict().items()}
    if kind == "half":
        state = {name: value.half() for name, value in state.items()}
    if kind == "parallel":
        state = {f"module.{name}": value for name, value in state.items()}
    if kind == "headless":
        state = {name: value for name, value in state.items() if "classifier" not in name}
    path = tmp_path / f"w.{kind if kind in ('pt', 'safetensors') else 'pth'}"
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if kind == "wrapped" else state, path)
    model = build.build_model("squeezenet1_1", str(path), 5, 0.5, seed=0)
    loaded, original = model.features[0].weight, donor.features[0].weight
    assert loaded.dtype == torch.float32
    assert torch.allclose(loaded, original, atol=1e-3 if kind == "half" else 0)


def test_a_head_that_fits_is_taken_too(tmp_path):
    saved = build.build_model("squeezenet1_1", "none", 5, 0.5, seed=3)
    torch.save(saved.state_dict(), tmp_path / "ours.pth")
    model = build.build_model("squeezenet1_1", str(tmp_path / "ours.pth"), 5, 0.5, seed=0)
    assert torch.equal(model.classifier[1][1].weight, saved.classifier[1][1].weight)


def test_weights_of_another_architecture_are_refused(tmp_path, donor):
    torch.save(donor.state_dict(), tmp_path / "squeeze.pth")
    with pytest.raises(WeightsError, match=r"squeeze\.pth' is of another architecture.*'conv1\.weight'"):
        build.build_model("resnet18", str(tmp_path / "squeeze.pth"), 5, 0.5, seed=0)


def test_a_shape_that_does_not_fit_is_named(tmp_path, donor):
    state = donor.state_dict()
    state["features.0.weight"] = torch.zeros(64, 3, 5, 5)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"'features\.0\.weight' has shape \(64, 3, 5, 5\).*needs \(64, 3, 3, 3\)"):
        build.build_model("squeezenet1_1", str(tmp_path / "w.pth"), 5, 0.5, seed=0)


def test_a_missing_file_is_named_with_a_near_one(tmp_path):
    (tmp_path / "resnet18.pth").touch()
    with pytest.raises(WeightsError, match=r"no such file; did you mean resnet18\.pth"):
        build.build_model("resnet18", str(tmp_path / "resnet81.pth"), 5, 0.5, seed=0)


def test_an_unknown_backbone_suggests_near_ones():
    with pytest.raises(WeightsError, match="'resnet19' is unknown to torchvision: did you mean resnet18"):
        build.build_model("resnet19", "none", 5, 0.5, seed=0)


def test_without_a_network_the_message_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"resnet18-f37072fd\.pth and put it into .*checkpoints"):
        build.build_model("resnet18", "imagenet", 5, 0.5, seed=0)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "squeezenet1_1"])
def test_real_imagenet_weights_load(backbone):
    path = WEIGHTS / f"{backbone}-imagenet-fp16.pth"
    if not path.is_file():
        pytest.skip(f"the weights are not here ({path.name}); set FLOWER_WEIGHTS to their folder")
    random = build.build_model(backbone, "none", 5, 0.5, seed=0)
    model = build.build_model(backbone, str(path), 5, 0.5, seed=0)
    first, name = next(model.parameters()), head.find_head(model)[0]
    assert not torch.equal(first, next(random.parameters()))
    assert torch.equal(model.get_submodule(name).weight, random.get_submodule(name).weight)
