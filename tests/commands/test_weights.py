"""The command that fetches ImageNet weights."""

from helpers.commands import main
from helpers.models import imagenet


def test_the_weights_are_fetched_and_their_place_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(imagenet, "_download", lambda url, path: path.write_bytes(b"weights"))
    assert main(["weights"]) == 0
    place = tmp_path / "hub" / "checkpoints" / "mobilenet_v2-b0353104.pth"
    assert place.read_bytes() == b"weights"
    assert str(place) in capsys.readouterr().out


def test_an_unknown_backbone_is_named(capsys):
    assert main(["weights", "mobilenet_v9"]) == 1
    assert "backbone 'mobilenet_v9' is unknown to torchvision: did you mean" in capsys.readouterr().err
