"""Lists of photos and classes as people write them; those that do not fit are in test_image_folder.py."""

import pytest

from helpers.common.errors import PhotosError
from helpers.data.image_folder import find_photos


@pytest.fixture
def root(grow):
    return grow({f"{part}/{name}": 2 for part in ("train", "val") for name in ("rose", "tulip")})


def labels_of(photos):
    return {name: photos.classes[label] for name, label in zip(photos.names, photos.labels, strict=True)}


LINES = {
    "the part first": "train/rose/000.jpg 0\ntrain/tulip/000.jpg 1\n",
    "Windows": "train\\rose\\000.jpg 0\r\ntrain\\tulip\\000.jpg 1\r\n",
    "commas": "rose/000.jpg,0\ntulip/000.jpg,1\n",
    "tabs": "rose/000.jpg\t0\ntulip/000.jpg\t1\n",
    "another machine": "/home/a/data/train/rose/000.jpg 0\nC:\\data\\train\\tulip\\000.jpg 1\n",
}


@pytest.mark.parametrize("folder", ["", "meta"])
@pytest.mark.parametrize("text", LINES.values(), ids=LINES)
def test_photos_are_found_however_they_are_named(root, folder, text):
    (root / folder).mkdir(exist_ok=True)
    (root / folder / "train.txt").write_text(text)
    photos = find_photos(root)
    train = {name: label for name, label in labels_of(photos).items() if name.startswith("train")}
    assert train == {"train/rose/000.jpg": "rose", "train/tulip/000.jpg": "tulip"}
    assert photos.notes == ()


def test_a_name_that_leads_to_another_part_is_refused(root):
    (root / "train.txt").write_text("val/rose/000.jpg 0\n")
    with pytest.raises(PhotosError, match="line 1: there is no photo"):
        find_photos(root)


@pytest.mark.parametrize("text", ["tulip 0\nrose 1\n", "1: rose\n0: tulip\n", "(0,'tulip')\n(1,'rose')\n"])
def test_classes_may_be_numbered(root, text):
    (root / "classes.txt").write_text(text)
    assert find_photos(root).classes == ("tulip", "rose")


def test_without_names_the_labels_say_the_order_of_the_classes(root):
    (root / "train.txt").write_text("tulip/000.jpg 0\nrose/000.jpg 1\n")
    photos = find_photos(root)
    assert photos.classes == ("tulip", "rose")
    assert all(name.split("/")[1] == label for name, label in labels_of(photos).items())


def test_labels_that_contradict_each_other_settle_no_order(root):
    (root / "train.txt").write_text("tulip/000.jpg 0\nrose/000.jpg 1\nrose/001.jpg 0\n")
    with pytest.raises(PhotosError, match="has label 0"):
        find_photos(root)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gbk"])
def test_lists_in_other_encodings_are_read(grow, encoding):
    root = grow({f"{part}/{name}": 1 for part in ("train", "val") for name in ("玫瑰", "雏菊")})
    (root / "classes.txt").write_bytes("雏菊\n玫瑰\n".encode(encoding))
    assert find_photos(root).classes == ("雏菊", "玫瑰")


def test_a_flat_val_folder_with_a_list_is_read(grow):
    root = grow({"train/rose": 2, "train/tulip": 2, "val": 2})
    (root / "val.txt").write_text("000.jpg 1\n001.jpg 0\n")
    labels = labels_of(find_photos(root))
    assert (labels["val/000.jpg"], labels["val/001.jpg"]) == ("tulip", "rose")
