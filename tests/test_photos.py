"""Layouts that people have, and the ones that would train the wrong thing."""

import pytest

from helpers.errors import PhotosError
from helpers.photos import find_photos


def test_flat_layout(grow):
    photos = find_photos(grow({"tulip": 2, "a rose": 1, "Gänseblümchen": 3}))
    assert photos.classes == ("Gänseblümchen", "a rose", "tulip")
    assert photos.counts() == {"Gänseblümchen": 3, "a rose": 1, "tulip": 2}
    assert photos.names[3:5] == ("a rose/000.jpg", "tulip/000.jpg")
    assert set(photos.subsets) == {None}
    assert all(photos.path(i).is_file() for i in range(len(photos)))


def test_the_first_of_each_class(grow):
    photos = find_photos(grow({"rose": 3, "tulip": 1}))
    assert photos.first_of_each(2) == {"rose": [0, 1], "tulip": [3]}


def test_imagenet_layout_is_never_a_two_class_problem(grow):
    photos = find_photos(grow({"train/rose": 4, "train/tulip": 4, "val/rose": 1, "val/tulip": 1}))
    assert photos.classes == ("rose", "tulip")
    assert photos.subsets.count("train") == 8
    assert photos.subsets.count("val") == 2


def test_lists_say_the_order_of_classes_and_the_photos(grow):
    root = grow({"train/rose": 3, "train/tulip": 3, "val/rose": 2, "val/tulip": 2})
    (root / "classes.txt").write_text("tulip\nrose\n")
    (root / "train.txt").write_text("tulip/000.jpg 0\nrose/001.jpg 1\nrose/002.jpg 1\n")
    photos = find_photos(root)
    assert photos.classes == ("tulip", "rose")
    train = photos.subset(i for i, s in enumerate(photos.subsets) if s == "train")
    assert train.names == ("train/tulip/000.jpg", "train/rose/001.jpg", "train/rose/002.jpg")
    assert train.labels == (0, 1, 1)
    assert photos.subsets.count("val") == 4


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("classes.txt", "rose\nlily\n", "names 'lily', but there is no such folder"),
        ("classes.txt", "rose\n", "does not name the folder 'tulip'"),
        ("classes.txt", "rose\ntulip\nrose\n", "names a class twice"),
        ("train.txt", "rose/999.jpg 0\n", "line 1: there is no photo"),
        ("train.txt", "rose/000.jpg\n", "is not 'class/photo.jpg label'"),
        ("train.txt", "rose/000.jpg 7\n", "with a label < 2"),
        ("train.txt", "\nrose/000.jpg 1\n", "line 2: rose/000.jpg has label 1, which is 'tulip'"),
        ("train.txt", "../val/rose/000.jpg 0\n", "there is no photo"),
    ],
)
def test_lists_that_do_not_fit_are_named_with_their_line(grow, file, text, message):
    root = grow({"train/rose": 1, "train/tulip": 1, "val/rose": 1, "val/tulip": 1})
    (root / file).write_text(text)
    with pytest.raises(PhotosError) as error:
        find_photos(root)
    assert message in str(error.value)
    assert file in str(error.value)


@pytest.mark.parametrize(
    "tree",
    [
        {"train/rose": 2, "train/tulip": 2, "test/rose": 1, "test/tulip": 1},
        {"flowers/rose": 2, "flowers/tulip": 2, "trees/oak": 2},
        {"train/plants/rose": 2, "train/plants/tulip": 2, "val/plants/rose": 1, "val/plants/tulip": 1},
    ],
)
def test_folders_of_folders_are_refused_with_the_reason(grow, tree):
    with pytest.raises(PhotosError, match=r"one level too high.*would tell folders apart.*Point dataset to"):
        find_photos(grow(tree))


def test_a_wrapping_folder_is_looked_through(grow):
    root = grow({"flower_photos/rose": 2, "flower_photos/tulip": 2})
    (root / "flower_photos" / "LICENSE.txt").write_text("CC-BY")
    assert find_photos(root).classes == ("rose", "tulip")


def test_hidden_and_foreign_files_are_passed_over(grow):
    root = grow({"rose": 1, "tulip": 1, ".thumbnails": 1, "__MACOSX": 1})
    (root / "rose" / "notes.txt").write_text("pretty")
    (root / "rose" / "._000.jpg").write_bytes(b"\0")
    assert find_photos(root).names == ("rose/000.jpg", "tulip/000.jpg")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "holds no class folders"),
        ({"rose": 2}, "one class only, 'rose'"),
        ({"rose": 2, "tulip": 0}, "class 'tulip' in .* has no photos"),
        ({"train/rose": 1, "train/tulip": 1, "val/rose": 0, "val/tulip": 0}, "val holds no photos"),
    ],
)
def test_trees_without_a_problem_to_learn_are_refused(grow, tree, message):
    with pytest.raises(PhotosError, match=message):
        find_photos(grow(tree))


def test_a_folder_that_does_not_exist_is_named_with_a_near_one(grow, tmp_path):
    grow({"rose": 1, "tulip": 1}, tmp_path / "flowers")
    with pytest.raises(PhotosError, match=r"flovers does not exist: did you mean .*flowers"):
        find_photos(tmp_path / "flovers")


def test_a_loop_of_links_does_not_hang(grow):
    root = grow({"rose": 1, "tulip": 1})
    (root / "rose" / "again").symlink_to(root)
    assert len(find_photos(root)) == 2
