"""Unusual folders of photos: names that are not UTF-8, 100,000 files, folders that vanish, huge images."""

import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import torch

from helpers.common.errors import PhotosError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import split_photos
from helpers.recipe import Recipe
from tests.conftest import colourful

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bytes_names():
    if sys.platform != "linux":
        pytest.skip("only Linux has file names that are not text")


def test_a_photo_whose_name_is_not_utf8_is_skipped_and_listed(grow, bytes_names):
    root = grow({"rose": 3, "tulip": 3})
    colourful((30, 30)).save(root / "rose" / "new.jpg")
    os.rename(root / "rose" / "new.jpg", os.path.join(os.fsencode(root / "rose"), b"caf\xe9.jpg"))
    audit = audit_photos(find_photos(root))
    assert len(audit.photos) == 6
    assert audit.unreadable == ((r"rose/caf\xe9.jpg", "its name is not plain UTF-8 text: rename it"),)
    assert r"caf\xe9.jpg" in str(audit)
    str(audit).encode()


def test_a_class_whose_name_is_not_utf8_is_refused_by_name(grow, bytes_names):
    root = grow({"rose": 1, "tulip": 1})
    os.rename(root / "rose", os.path.join(os.fsencode(root), b"ros\xe9"))
    with pytest.raises(PhotosError, match=r"'ros\\\\xe9' is not plain UTF-8 text: rename the folder"):
        find_photos(root)


def test_an_error_about_a_path_that_is_not_utf8_can_be_printed(tmp_path, bytes_names):
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"\xff"))
    with pytest.raises(PhotosError) as error:
        find_photos(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff")))
    assert "holds no class folders" in str(error.value).encode().decode()


def test_20_000_files_are_audited_within_a_minute_and_summarized_in_a_page(grow):
    root = grow({"rose": 20, "tulip": 20})
    for i in range(10_000):  # 100,000 took more than a minute of a slow processor
        for name in ("rose", "tulip"):
            os.close(os.open(f"{root}/{name}/{i:05}.empty.jpg", os.O_CREAT))
    for i in range(300):
        shutil.copy(root / "rose" / "000.jpg", root / "rose" / f"copy{i}.jpg")
    start = time.process_time()
    audit = audit_photos(find_photos(root))
    split = split_photos(audit, 0.8, 0)
    assert time.process_time() - start < 60
    assert (len(audit.photos), len(audit.unreadable)) == (340, 20_000)
    assert list(audit.photos.names) == sorted(audit.photos.names)
    assert len(split.train) + len(split.val) == 340
    assert len(str(audit)) < 2000


@pytest.mark.parametrize("workers", [0, 2])
def test_a_class_folder_that_vanishes_while_streaming_is_named(grow, workers):
    root = grow({"rose": 8, "tulip": 8})
    audit = audit_photos(find_photos(root))
    recipe = Recipe(image_size=16, crop_size=16, val_resize=16, pipeline="stream", workers=workers, batch_size=4)
    feeds = make_loaders(audit, split_photos(audit, 0.8, 0), recipe, torch.device("cpu"))
    (root / "tulip").rename(root / "elsewhere")
    with pytest.raises(PhotosError, match=r"^\S+/photos/tulip/\d+\.jpg does not exist: check the path$"):
        list(feeds.train.epoch(0))
    (root / "elsewhere").rename(root / "tulip")
    assert sum(len(labels) for _, labels in feeds.train.epoch(0)) == 12


def test_a_class_folder_that_vanishes_before_decoding_is_named(grow):
    root = grow({"rose": 4, "tulip": 4})
    audit = audit_photos(find_photos(root))
    shutil.rmtree(root / "tulip")
    with pytest.raises(PhotosError, match=r"tulip/\d+\.jpg does not exist: check the path"):
        make_loaders(audit, split_photos(audit, 0.8, 0), Recipe(image_size=16), torch.device("cpu"))


def test_a_class_folder_that_vanishes_before_the_audit_is_named(grow):
    root = grow({"rose": 2, "tulip": 2})
    photos = find_photos(root)
    shutil.rmtree(root / "tulip")
    with pytest.raises(PhotosError, match=r"class 'tulip' .* has no readable photo; the first: No such file"):
        audit_photos(photos)


MEMORY = r"""
import re, sys
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
def peak():  # kB; getrusage would begin with that of the parent process
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
before = peak()
audit = audit_photos(find_photos(sys.argv[1]))
print(audit.unreadable)
print((peak() - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_photos_of_30000_pixels_take_bounded_memory(grow):
    """A 90-megapixel photo takes 360 MB (4 bytes a pixel) and 90 MB in grey; in threads, eight took 3 GB."""
    root = grow({"rose": 1, "tulip": 1})
    large = colourful((300, 30)).resize((30_000, 3_000))
    large.save(root / "rose" / "large.jpg", quality=30)
    for i in range(7):
        shutil.copy(root / "rose" / "large.jpg", root / "tulip" / f"large{i}.jpg")
    colourful((10, 10)).save(root / "rose" / "huge.png")
    content = bytearray((root / "rose" / "huge.png").read_bytes())
    content[16:24] = struct.pack(">II", 30_000, 30_000)  # a header that claims 900 megapixels, and its checksum
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (root / "rose" / "huge.png").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", MEMORY, root], cwd=ROOT, capture_output=True, text=True, check=True)
    unreadable, growth = done.stdout.strip().splitlines()
    assert re.search(r"huge\.png', 'more than 100,000,000 pixels", unreadable)
    assert unreadable.count(".png") == 1
    assert "large" not in unreadable
    assert int(growth) < 0.6e9
