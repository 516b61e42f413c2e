"""Layouts that people have, and the ones that would train the wrong thing."""

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from helpers.common.errors import PhotosError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300)  # the head of a phone's photo


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
        ("train.txt", "rose/000.jpg 0\nrose/000.jpg 0\n", "line 2: rose/000.jpg is listed twice"),
        ("train.txt", "0\n", "is not 'class/photo.jpg label'"),
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
        {"flowers/rose": 2, "flowers/tulip": 2, "trees/oak": 2},
        {"train/rose": 2, "train/tulip": 2},
        {"train": 1, "train/rose": 2, "train/tulip": 2, "test": 1, "test/rose": 1},
        {"rose": 2, "tulip": 2, "tulip/red": 2},
        {"a/b/rose": 2, "a/b/tulip": 2, "c/d/oak": 2},
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


def test_the_refusal_points_to_the_folder_of_classes(grow):
    root = grow({"a/b/rose": 2, "a/b/tulip": 2, "c/d/oak": 2})
    with pytest.raises(PhotosError) as error:
        find_photos(root)
    assert f"Point dataset to {root / 'a' / 'b'}" in str(error.value)
    assert find_photos(root / "a" / "b").classes == ("rose", "tulip")


@pytest.mark.parametrize("parts", [("train", "test"), ("Train", "VAL"), ("training", "validation")])
def test_parts_of_a_data_set_are_no_classes(grow, parts):
    with pytest.raises(PhotosError, match="parts of a data set, not classes"):
        find_photos(grow(dict.fromkeys(parts, 2)))


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_names_of_the_val_folder(grow, val):
    photos = find_photos(grow({"train/rose": 2, "train/tulip": 2, f"{val}/rose": 1, f"{val}/tulip": 1}))
    assert photos.subsets.count("val") == 2


def test_a_class_that_only_val_has_is_named(grow):
    with pytest.raises(PhotosError, match=r"val has a class 'lily' that .*train has not"):
        find_photos(grow({"train/rose": 2, "train/tulip": 2, "val/rose": 1, "val/lily": 1}))


def test_lists_from_windows(grow):
    root = grow({"train/rose": 2, "train/tulip": 2, "val/rose": 1, "val/tulip": 1})
    (root / "classes.txt").write_bytes("\ufefftulip\r\nrose\r\n".encode())
    (root / "train.txt").write_bytes(b"rose\\001.jpg\t1\r\ntulip\\000.jpg 0\r\n")
    assert find_photos(root).names[:2] == ("train/rose/001.jpg", "train/tulip/000.jpg")
    assert find_photos(root).labels[:2] == (1, 0)


def test_a_list_in_another_encoding_is_named(grow):
    root = grow({"train/rose": 1, "train/tulip": 1, "val/rose": 1, "val/tulip": 1})
    (root / "classes.txt").write_bytes(b"ros\xe9\n")
    with pytest.raises(PhotosError, match=r"classes\.txt is not UTF-8"):
        find_photos(root)


def test_listed_photos_may_be_links_to_elsewhere(grow, tmp_path):
    root = grow({"train/rose": 1, "train/tulip": 1, "val/rose": 1, "val/tulip": 1})
    (root / "train/rose/000.jpg").rename(tmp_path / "elsewhere.jpg")
    (root / "train/rose/000.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (root / "train.txt").write_text("rose/000.jpg 0\ntulip/000.jpg 1\n")
    assert len(find_photos(root)) == 4


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "photos.txt").touch()
    with pytest.raises(PhotosError, match=r"photos\.txt is a file"):
        find_photos(tmp_path / "photos.txt")


def test_a_folder_that_cannot_be_read_is_named(grow, monkeypatch):
    root = grow({"rose": 1, "tulip": 1})

    original = os.scandir

    def locked(path):
        if Path(path).name == "rose":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr("helpers.data.image_folder.os.scandir", locked)
    with pytest.raises(PhotosError, match=r"rose cannot be read \(Permission denied\)"):
        find_photos(root)


def test_the_real_photos_in_the_flat_layout(real_folder):
    photos = find_photos(real_folder)
    assert photos.counts() == {"daisy": 374, "dandelion": 274, "rose": 332, "sunflower": 340, "tulip": 287}


def test_the_real_photos_in_the_imagenet_layout(real_folder, tmp_path):
    flat, lines = find_photos(real_folder), {"train": [], "val": []}
    for i, name in enumerate(flat.names):
        part = "val" if i % 5 == 0 else "train"
        (tmp_path / part / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part / name).symlink_to(flat.path(i).resolve())
        lines[part].append(f"{name} {flat.labels[i]}")
    for part in lines:
        (tmp_path / f"{part}.txt").write_text("\n".join(lines[part]))
    photos = find_photos(tmp_path)
    assert photos.counts() == flat.counts()
    assert (photos.subsets.count("train"), photos.subsets.count("val")) == (1285, 322)


@pytest.mark.parametrize(
    "parts", [("Train", "Val", "TEST"), ("training_set", "dev", "testing"), ("train", "val-set", "test")]
)
def test_parts_have_any_case_and_the_usual_names(grow, parts):
    train, val, test = parts
    photos = find_photos(grow({f"{part}/{name}": 2 for part in parts for name in ("rose", "tulip")}))
    assert photos.classes == ("rose", "tulip")
    assert {name.split("/")[0]: subset for name, subset in zip(photos.names, photos.subsets, strict=True)} == {
        train: "train",
        val: "val",
        test: "test",
    }


def test_beside_a_test_folder_alone_the_training_photos_are_split(grow):
    photos = find_photos(grow({"train/rose": 2, "train/tulip": 2, "test/rose": 1, "test/tulip": 1}))
    assert Counter(photos.subsets) == {None: 4, "test": 2}
    for name, part in zip(photos.names, photos.subsets, strict=True):
        assert name.startswith("test/") == (part == "test")


def test_a_test_folder_with_other_classes_is_refused_and_a_folder_that_is_no_part_named(grow):
    root = grow({"train/rose": 2, "train/tulip": 2, "val/rose": 1, "val/tulip": 1, "extra/old": 1})
    photos = find_photos(root)
    assert photos.notes == ("used for nothing: extra/",)
    assert photos.subset([0]).notes == photos.notes
    grow({"test/rose": 1, "test/lily": 1}, root)
    with pytest.raises(PhotosError, match=r"test has a class 'lily' that .*train has not.* rename it, or remove it"):
        find_photos(root)


def test_classes_without_test_photos_and_a_table_beside_class_folders_are_mentioned(grow, tmp_path):
    root = grow({"train/rose": 2, "train/tulip": 2, "val/rose": 1, "val/tulip": 1, "test/rose": 1})
    assert find_photos(root).notes == ("classes without test photos: tulip",)
    root = grow({"rose": 2, "tulip": 2}, tmp_path / "flat")
    (root / "labels.csv").write_text("image,label\n000.jpg,tulip\n")
    assert find_photos(root).notes == ("the folders are the classes; used for nothing: labels.csv",)


def test_folders_that_systems_leave_are_no_classes(grow):
    left = ("@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__pycache__", ".ipynb_checkpoints")
    left += ("$Recycle.Bin", "#recycle", "@Recycle", "FOUND.000")
    assert find_photos(grow({"rose": 1, "tulip": 1, **dict.fromkeys(left, 1)})).classes == ("rose", "tulip")


@pytest.mark.parametrize("twin", ["Rose", "rose ", "ROSE", "ro\u200bse", "ro se"])
def test_classes_that_differ_in_case_or_spaces_alone_are_a_question(grow, twin):
    with pytest.raises(
        PhotosError, match=r"differ in case, spaces or invisible characters alone\. If they are one class"
    ):
        find_photos(grow({"rose": 1, twin: 1, "tulip": 1}))


def test_photos_of_unusual_suffixes_are_found_by_content_and_others_are_not(grow):
    root = grow({"rose": 1, "tulip": 1})
    content = (root / "rose" / "000.jpg").read_bytes()
    for name in ("a", "a.jpg_large", "a.jpe", "a.JPG~"):
        (root / "rose" / name).write_bytes(content)
    Image.new("RGB", (8, 8)).save(root / "rose" / "b.ppm")
    (root / "rose" / "README").write_text("no photo")
    (root / "rose" / "IMG_1.HEIC").write_bytes(HEIC)
    os.mkfifo(root / "rose" / "pipe")
    names = {Path(name).name for name in find_photos(root).names if name.startswith("rose")}
    assert names == {"000.jpg", "a", "a.jpg_large", "a.jpe", "a.JPG~", "b.ppm", "IMG_1.HEIC"}


def test_what_lies_beside_the_photos_and_is_not_used_is_said(grow):
    root = grow({"train/rose": 2, "train/tulip": 1, "val/rose": 1, "val/tulip": 1, "test": 2})
    for name in ("a.psd", "b.PSD", "notes", "Thumbs.db"):
        (root / "train" / "rose" / name).write_bytes(b"8BPS")
    (root / "val.txt").write_text("rose/000.jpg 0\n")
    left, unused = find_photos(root).notes
    assert left.startswith("files beside the photos, left out, by suffix: .psd 2, none 1. Photos among them: convert")
    assert unused == "used for nothing: test/"


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg", "IMG_1"])
def test_the_audit_names_heic_photos_and_the_remedy(grow, name):
    root = grow({"rose": 2, "tulip": 2})
    (root / "rose" / name).write_bytes(HEIC)
    assert "rose/" + name + ": HEIC, which phones write: convert it to JPEG" in str(audit_photos(find_photos(root)))
