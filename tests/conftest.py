"""Fixtures: small photo trees, drawn photos, and the real ones where they are available."""

import os
import shutil
import socket
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: a process per core, and a thread per process
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests import enable_ctrl_c
from tests.faults import notebook_kills

ROOT = Path(__file__).parent.parent
REAL = Path(os.environ.get("FLOWER_PHOTOS", ROOT.parent / "shared" / "flower_photos_subset"))
WEIGHTS = Path(os.environ.get("FLOWER_WEIGHTS", ROOT.parent / "shared" / "weights"))

SLOW = ("test_interrupted_notebook.py", "test_browser.py", "test_checks.py")  # these files take a minute and more

enable_ctrl_c()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the slow files, so that none is left at the end. Tests of a file, or of one run, share a process."""
    items.sort(key=lambda item: item.path.name not in SLOW)
    for item in items:
        shared = "headless_run" if "headless_run" in item.fixturenames else item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(shared))


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    """Refuse connections to other machines and look-ups of their addresses: no test may depend on a network."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo
    here = ("127.0.0.1", "::1", "localhost")

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in here:
            raise OSError(f"the tests do not connect to {address}")
        return connect(self, address)

    def answer(host, *args, **kwargs):
        if host not in (None, "", "0.0.0.0", "::", *here):
            raise OSError(f"the tests do not look up {host}")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setenv("no_proxy", "*")  # a proxy on this machine could connect elsewhere


def colourful(size, seed=0):
    """Return an image of smooth random colours, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 20 + 2, size[0] // 20 + 2, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def noise_photo():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8))


@pytest.fixture(scope="session")
def smooth_photos():
    sizes = [(320, 240), (500, 333), (181, 240), (600, 620)]
    return [colourful(size, seed).filter(ImageFilter.GaussianBlur(2)) for seed, size in enumerate(sizes)]


@pytest.fixture(scope="session")
def real_folder():
    if not REAL.is_dir():
        pytest.skip(f"needs the real photos ({REAL.name}): set FLOWER_PHOTOS to their folder")
    return REAL


@pytest.fixture(scope="session")
def weights_folder():
    if not WEIGHTS.is_dir():
        pytest.skip(f"needs the ImageNet weights ({WEIGHTS.name}): set FLOWER_WEIGHTS to their folder")
    return WEIGHTS


@pytest.fixture(scope="session")
def real_photos(real_folder):
    return [Image.open(path).convert("RGB") for path in sorted(real_folder.glob("*/*.jpg"))[::150]]


@pytest.fixture(scope="session")
def headless_run(tmp_path_factory):
    """The folder of a finished ``python -m helpers run``, for tests that only read it."""
    return notebook_kills.uninterrupted(tmp_path_factory.mktemp("headless"))


@pytest.fixture
def grow(tmp_path):
    """Make a photo tree from ``{"rose": 3, "train/tulip": 2}``; every photo is different."""

    def make(counts, root=None):
        root = root or tmp_path / "photos"
        root.mkdir(parents=True, exist_ok=True)
        for number, (folder, count) in enumerate(counts.items()):
            (root / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                colourful((60, 40), 1000 * number + i).save(root / folder / f"{i:03}.jpg")
        return root

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folders of a finished run and of its photos, and its out-of-distribution detector. Do not change them."""
    from tests.finished_run import finished_run

    return finished_run(tmp_path_factory.mktemp("finished"), precision="fp32")


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the finished run that a test may damage."""
    return shutil.copytree(finished[0], tmp_path / "runs" / "a")
