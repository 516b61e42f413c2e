"""Near-duplicates: what is the same scene to a person is one group, what is not is two."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import PhotoSet, find_photos
from helpers.data.near_duplicates import (
    group_scenes,
    in_words,
    near_duplicates,
    near_pairs,
    rank_pairs,
)
from helpers.data.split import Split
from tests.conftest import colourful


@pytest.fixture
def audit(grow):
    root = grow({"rose": 0, "tulip": 0})
    for i in range(6):
        colourful((240, 180), i).save(root / "rose" / f"{i}.jpg", quality=95)
        colourful((200, 200), 50 + i).save(root / "tulip" / f"{i}.jpg")
    photo = Image.open(root / "rose" / "0.jpg")
    photo.resize((120, 90)).save(root / "rose" / "smaller.jpg", quality=60)
    ImageEnhance.Brightness(photo).enhance(1.2).save(root / "tulip" / "brighter.png")
    (root / "tulip" / "copy.jpg").write_bytes((root / "tulip" / "3.jpg").read_bytes())
    return audit_photos(find_photos(root))


def test_resized_recompressed_and_brightened_copies_are_one_scene_and_others_are_not(audit):
    scenes = dict(zip(audit.photos.names, group_scenes(audit).tolist(), strict=True))
    assert scenes["rose/0.jpg"] == scenes["rose/smaller.jpg"] == scenes["tulip/brighter.png"]
    assert scenes["tulip/3.jpg"] == scenes["tulip/copy.jpg"]
    assert len(set(scenes.values())) == 12
    assert sorted(set(scenes.values())) == list(range(12))


def test_photos_linked_by_a_third_are_one_scene():
    """0 and 9 differ in 16 bits, each from 5 in 8; the links are given against the order of the photos."""
    hashes = np.random.default_rng(0).random((10, 64)) < 0.5
    hashes[5] = hashes[9] = hashes[0]
    hashes[5, :8], hashes[9, :16] = ~hashes[0, :8], ~hashes[0, :16]
    photos = PhotoSet(Path("x"), ("rose",), tuple("0123456789"), (0,) * 10, (None,) * 10)
    audit = Audit(photos, tuple(range(10)), (), np.ones((10, 2), np.int64), tuple("0123456789"), hashes, "")
    assert group_scenes(audit).tolist() == [0, 1, 2, 3, 4, 0, 5, 6, 7, 0]


def test_thousands_of_blank_pictures_are_one_scene():
    """Their pairs, 200 million, would not fit into memory."""
    n = 20_000
    photos = PhotoSet(Path("x"), ("rose", "tulip"), ("",) * n, (0, 1) * (n // 2), (None,) * n)
    audit = Audit(photos, tuple(range(n)), (), np.ones((n, 2), np.int64), ("",) * n, np.zeros((n, 64), bool), "")
    assert not group_scenes(audit).any()


def test_pairs_are_told_by_class_side_and_nearness(audit):
    position = {name: i for i, name in enumerate(audit.photos.names)}
    val = {position[name] for name in ("rose/smaller.jpg", "tulip/3.jpg", "tulip/copy.jpg")}
    split = Split(tuple(set(position.values()) - val), tuple(sorted(val)))
    found = rank_pairs(near_duplicates(audit), audit, split)
    names = [{audit.photos.names[i] for i in (pair.first, pair.second)} for pair in found]
    assert names == [
        {"rose/smaller.jpg", "tulip/brighter.png"},  # two classes, two sides
        {"rose/0.jpg", "tulip/brighter.png"},  # two classes, one side
        {"rose/0.jpg", "rose/smaller.jpg"},  # one class, two sides
        {"tulip/3.jpg", "tulip/copy.jpg"},
    ]
    assert [pair.identical for pair in found] == [False, False, False, True]
    assert in_words(found[3], audit, split) == "tulip: identical\nvalidation"
    assert in_words(found[1], audit, split).startswith("rose and tulip: ")
    assert in_words(found[2], audit, split).endswith(" of 64 bits differ\ntraining and validation")


def test_pairs_are_found_in_blocks_as_one_by_one(monkeypatch):
    hashes = np.random.default_rng(0).random((1500, 64)) < 0.5
    hashes[1400] = hashes[3]
    hashes[1400, :2] ^= True
    assert near_pairs(hashes, 4).tolist() == [[3, 1400, 2]]


def test_hashes_do_not_depend_on_the_number_of_threads(audit):
    one, four = (audit_photos(audit.found, workers=workers) for workers in (1, 4))
    assert np.array_equal(one.perceptual_hashes, four.perceptual_hashes)


def test_on_the_real_photos(real_folder):
    audit = audit_photos(find_photos(real_folder))
    sizes = np.bincount(group_scenes(audit))
    assert (len(sizes), sizes.max()) == (len(audit.photos) - 12, 2)
    # As many as with hashes by Lanczos' filter: a few photos' bits changed with the faster one, and no pair.
    assert len(near_duplicates(audit)) == 12
