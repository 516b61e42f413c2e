"""Backbones: torchvision models, weights of every kind, and what is refused."""

import pytest
import torch
from safetensors.torch import save_file

from helpers.common.errors import WeightsError
from helpers.models.head import find_head
from tests.conftest import WEIGHTS
from tests.tiny import random_model


@pytest.mark.parametrize("backbone", ["regnet_x_400mf", "regnet_y_400mf", "resnet18", "squeezenet1_1", "densenet121"])
def test_real_pictures_go_through(backbone):
    model = random_model(backbone, 7, 0.5).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_the_seed_decides_and_the_callers_random_state_stays():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, same, other = (random_model("squeezenet1_1", 5, 0.5, seed=seed) for seed in (0, 0, 1))
    assert torch.rand(1) == expected
    weights = [next(model.parameters()) for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.fixture
def donor():
    return random_model("squeezenet1_1", 1000, 0.5, seed=9)


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
    model = random_model("squeezenet1_1", 5, 0.5, weights=str(path))
    loaded, original = model.features[0].weight, donor.features[0].weight
    assert loaded.dtype == torch.float32
    assert torch.allclose(loaded, original, atol=1e-3 if kind == "half" else 0)


def test_a_head_that_fits_is_taken_too(tmp_path):
    saved = random_model("squeezenet1_1", 5, 0.5, seed=3)
    torch.save(saved.state_dict(), tmp_path / "ours.pth")
    model = random_model("squeezenet1_1", 5, 0.5, weights=str(tmp_path / "ours.pth"))
    assert torch.equal(model.classifier[1][1].weight, saved.classifier[1][1].weight)


def test_weights_of_another_architecture_are_refused(tmp_path, donor):
    torch.save(donor.state_dict(), tmp_path / "squeeze.pth")
    with pytest.raises(WeightsError, match=r"squeeze\.pth' is of another architecture.*'conv1\.weight'"):
        random_model("resnet18", 5, 0.5, weights=str(tmp_path / "squeeze.pth"))


def test_a_shape_that_does_not_fit_is_named(tmp_path, donor):
    state = donor.state_dict()
    state["features.0.weight"] = torch.zeros(64, 3, 5, 5)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"'features\.0\.weight' has shape \(64, 3, 5, 5\).*needs \(64, 3, 3, 3\)"):
        random_model("squeezenet1_1", 5, 0.5, weights=str(tmp_path / "w.pth"))


def test_a_missing_file_is_named_with_a_near_one(tmp_path):
    (tmp_path / "resnet18.pth").touch()
    with pytest.raises(WeightsError, match=r"does not exist: did you mean .*resnet18\.pth\?"):
        random_model("resnet18", 5, 0.5, weights=str(tmp_path / "resnet81.pth"))


def test_an_unknown_backbone_suggests_near_ones():
    with pytest.raises(WeightsError, match="'resnet19' is unknown to torchvision: did you mean 'resnet18'"):
        random_model("resnet19", 5, 0.5)


def test_without_a_network_the_message_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"Fetch \S+resnet18-f37072fd\.pth .*put it into .*checkpoints"):
        random_model("resnet18", 5, 0.5, weights="imagenet")


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "squeezenet1_1"])
def test_real_imagenet_weights_load(backbone):
    path = WEIGHTS / f"{backbone}-imagenet-fp16.pth"
    if not path.is_file():
        pytest.skip(f"the weights are not here ({path.name}); set FLOWER_WEIGHTS to their folder")
    random = random_model(backbone, 5, 0.5)
    model = random_model(backbone, 5, 0.5, weights=str(path))
    first, name = next(model.parameters()), find_head(model)[0]
    assert not torch.equal(first, next(random.parameters()))
    assert torch.equal(model.get_submodule(name).weight, random.get_submodule(name).weight)
