"""Backbones: torchvision models, weights of every kind, and what is refused."""

import pytest
import torch
from safetensors.torch import save_file

from helpers.common import tensors
from helpers.common.errors import RunError, WeightsError
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


@pytest.mark.parametrize(("backbone", "head"), [("resnet18", "fc"), ("squeezenet1_1", "classifier.1")])
def test_a_head_as_the_assignments_template_saves_it_is_taken_and_said(tmp_path, capsys, backbone, head):
    """``model.fc = nn.Linear(512, 5)`` is saved as ``fc.weight``, not ``fc.1.weight``."""
    saved = random_model(backbone, 5, 0.5, seed=3)
    theirs = {name.replace(f"{head}.1.", f"{head}."): value for name, value in saved.state_dict().items()}
    assert f"{head}.weight" in theirs
    torch.save(theirs, tmp_path / "theirs.pth")
    model = random_model(backbone, 5, 0.5, weights=str(tmp_path / "theirs.pth"))
    for part in ("weight", "bias"):
        assert torch.equal(getattr(find_head(model)[1], part), getattr(find_head(saved)[1], part))
    assert "theirs.pth': its head for 5 classes comes along, for photos of as many" in capsys.readouterr().out
    other = random_model(backbone, 6, 0.5, weights=str(tmp_path / "theirs.pth"))
    assert len(find_head(other)[1].weight) == 6


def test_a_head_of_another_kind_is_not_taken_and_said(tmp_path, capsys):
    saved = random_model("resnet18", 5, 0.5, seed=3)
    saved.fc = torch.nn.Sequential(torch.nn.Linear(512, 9), torch.nn.ReLU(), torch.nn.Linear(9, 5))
    torch.save(saved.state_dict(), tmp_path / "theirs.pth")
    random_model("resnet18", 5, 0.5, weights=str(tmp_path / "theirs.pth"))
    assert "its head is of another kind and is not taken: a fresh one is trained" in capsys.readouterr().out


def test_imagenets_own_head_is_not_mentioned(tmp_path, donor, capsys):
    state = {k.replace("classifier.1.1", "classifier.1"): v for k, v in donor.state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    random_model("squeezenet1_1", 5, 0.5, weights=str(tmp_path / "w.pth"))
    assert capsys.readouterr().out == ""


HUGE = torch.zeros(1).expand(10**14)  # 400 TB in 4 bytes
ODD_TENSORS = {
    "stride 0": ({"features.0.weight": HUGE}, "a tensor of 400,000,000,000,000 bytes has 4 in the file"),
    "sparse": ({"features.0.weight": torch.eye(3).to_sparse()}, "sparse_coo on cpu, not of plain numbers"),
    "meta": ({"features.0.weight": torch.empty(10**14, device="meta")}, "on meta"),
    "int keys": ({0: torch.ones(2), 1: torch.ones(2)}, "0: a tensor has a number for its name"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD_TENSORS)
def test_tensors_that_are_no_plain_numbers_are_refused_by_name(tmp_path, kind):
    state, said = ODD_TENSORS[kind]
    torch.save(state, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").stat().st_size < 10_000
    with pytest.raises(WeightsError, match=r"w\.pth'.*Save model\.state_dict") as info:
        random_model("squeezenet1_1", 5, 0.5, weights=str(tmp_path / "w.pth"))
    assert said in str(info.value)
    if kind != "int keys":
        with pytest.raises(RunError, match=r"w\.pth cannot be loaded"):
            tensors.load_tensors(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore")
def test_quantized_tensors_are_refused():
    assert "not of plain numbers" in tensors.tensor_fault(torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8))


def test_weights_of_another_architecture_are_refused(tmp_path, donor):
    torch.save(donor.state_dict(), tmp_path / "squeeze.pth")
    with pytest.raises(WeightsError, match=r"squeeze\.pth' is of another architecture.*'conv1\.weight'"):
        random_model("resnet18", 5, 0.5, weights=str(tmp_path / "squeeze.pth"))


def test_a_shape_that_does_not_fit_is_named(tmp_path, donor):
    state = donor.state_dict()
    state["features.0.weight"] = torch.zeros(64, 3, 5, 5)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"1 tensor missing, surplus .*'features\.0\.weight'"):
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
