"""Lists of photos and classes as people write them; those that do not fit are in test_image_folder.py."""

import shutil

import pytest

from helpers.common.errors import PhotosError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources.locate import locate_photos


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
    assert all(".jpg 2" in note for note in photos.notes)  # those that the list does not name


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


# -------------------------------------------------------------------------------------------- tables of labels

ROSES, TULIPS = ("000.jpg", "001.jpg", "002.jpg"), ("003.jpg", "004.jpg", "005.jpg")
ROWS = [(name, label) for label, names in (("rose", ROSES), ("tulip", TULIPS)) for name in names]


@pytest.fixture
def flat(grow):
    """A folder of six photos without class folders."""
    return grow({"": 6})


def table(root, text, name="labels.csv", encoding="utf-8"):
    (root / name).write_bytes(text.encode(encoding))


def lines(*header, rows=ROWS, mark=","):
    return "\n".join(mark.join(row) for row in (*header, *rows)) + "\n"


TABLES = {
    "image": lines(("image", "label")),
    "filename": lines(("filename", "label")),
    "File and Class": lines(("File", "Class")),
    "id, without suffixes": lines(("id", "label"), rows=[(name[:3], label) for name, label in ROWS]),
    "another order": lines(("Label", "x", "IMAGE"), rows=[(label, "7", name) for name, label in ROWS]),
    "no header": lines(),
    "an unknown header": lines(("foto", "soort")),
    "semicolons": lines(("image", "label"), mark=";"),
    "tabs": lines(("image", "label"), mark="\t"),
    "Windows": lines(("image", "label")).replace("\n", "\r\n"),
    "quotes and spaces": lines(("image", "label"), rows=[(f'"{name}"', f" {label} ") for name, label in ROWS]),
    "another machine": lines(("image", "label"), rows=[(f"C:\\data\\{name}", label) for name, label in ROWS]),
    "empty lines": "\n" + lines(("image", "label")).replace("\n", "\n\n,\n"),
    "a line twice": lines(("image", "label")) + "000.jpg,rose\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_table_labels_photos_without_class_folders(flat, text):
    table(flat, text)
    photos = find_photos(flat)
    assert labels_of(photos) == dict(ROWS)
    assert (photos.classes, set(photos.subsets), photos.notes) == (("rose", "tulip"), {None}, ())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gbk"])
def test_tables_in_other_encodings_are_read(flat, encoding):
    table(flat, lines(("image", "label")).replace("rose", "玫瑰"), encoding=encoding)
    assert find_photos(flat).classes == ("tulip", "玫瑰")


@pytest.mark.parametrize("name", ["images/{}", "flowers/images/{}", "{}"])
@pytest.mark.parametrize("tree", ["images", "flowers/images"])
def test_photos_may_be_in_a_folder_below_the_table(grow, tree, name):
    root = grow({tree: 6})
    table(root / tree.removesuffix("images"), lines(("image", "label"), rows=[(name.format(n), c) for n, c in ROWS]))
    photos = find_photos(root)
    assert {path.split("/")[-1]: label for path, label in labels_of(photos).items()} == dict(ROWS)
    assert all(photos.path(i).is_file() for i in range(6))


def test_an_archive_of_photos_and_a_table_is_read(flat, tmp_path):
    table(flat, TABLES["image"])
    archive = shutil.make_archive(tmp_path / "a", "xztar", flat)
    found = find_photos(locate_photos(archive, tmp_path / "cache", root=tmp_path))
    assert labels_of(found) == dict(ROWS)


def test_the_table_alone_is_answered_with_what_to_give(flat, tmp_path):
    table(flat, TABLES["image"])
    with pytest.raises(PhotosError, match="a table of labels: give the folder that holds it"):
        locate_photos(str(flat / "labels.csv"), tmp_path / "cache", root=tmp_path)


REFUSED = [
    ("image,label\nx.jpg,rose\ny.jpg,tulip\n", r"line 2: there is no photo 'x\.jpg' \(nor .* 1 other"),
    (lines() + "../photos/000.jpg,rose\n", "line 7: there is no photo '../photos/000.jpg'"),
    (lines() + "000.jpg,tulip\n", r"line 7: '000.jpg' is 'tulip', but 'rose' in line 1: keep one of the lines"),
    (lines() + "000,tulip\n", r"line 7: '000' is 'tulip', but 'rose' in line 1"),
    (lines(rows=ROWS[1:]) + "000.jpg,tullip\n", "line 6: class 'tullip' has this one photo only: did you mean"),
    (lines(rows=ROWS[1:]) + "000.jpg,oak\n", "class 'oak' has this one photo only: add photos, or remove the line"),
    (lines(rows=ROWS[1:]) + "000.jpg,\n", "line 6: the label '' is not a plain name"),
    (lines(rows=ROWS[1:]) + "000.jpg\n", "line 6: the label '' is not a plain name"),
    (lines(rows=ROWS[1:]) + "000.jpg,a/b\n", "line 6: the label 'a/b' is not a plain name: write a word"),
    (lines(rows=ROWS[1:]) + "000.jpg,a\\b\n", "is not a plain name"),
    (lines(rows=ROWS[1:]) + "000.jpg,..\n", r"the label '\.\.' is not a plain name"),
    (lines(rows=ROWS[1:]) + "000.jpg,\x1b[31mred\n", r"the label '\\x1b\[31mred' is not a plain name"),
    (lines(rows=ROWS[1:]) + f"000.jpg,{'a' * 101}\n", "is not a plain name"),
    (lines(rows=ROWS[:3]), "one class only, 'rose'"),
    (lines().replace("rose\n", "Tulip\n"), "'Tulip' and 'tulip' differ in case, spaces or invisible"),
    (lines(("image", "price", "x", "y")), "holds no class folders"),
    ("image,label\n", "holds no class folders"),
    ("", "holds no class folders"),
    ('image,label\n000.jpg,"' + "a" * 140_000, "line 2 cannot be read"),
    (lines(("image", "label", "split"), rows=[(*row, "training2") for row in ROWS]), "'training2' is no part"),
    (lines(("image", "label", "split"), rows=[(*row, "test") for row in ROWS]), "no photo for training: write train"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_tables_that_do_not_fit_are_named_with_the_line(flat, text, message):
    table(flat, text)
    with pytest.raises(PhotosError, match=message) as error:
        find_photos(flat)
    assert str(flat) in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_name_that_may_be_two_photos_is_a_question(grow):
    root = grow({"train": 6, "test": 6})
    table(root, lines())
    with pytest.raises(PhotosError, match=r"'000\.jpg' may be test/000\.jpg or train/000\.jpg: write its folder"):
        find_photos(root)
    table(root, lines(rows=[(f"train/{name}", label) for name, label in ROWS]))
    assert set(labels_of(find_photos(root))) == {f"train/{name}" for name, _ in ROWS}
    shutil.rmtree(root / "train")
    with pytest.raises(PhotosError, match=r"line 1: there is no photo 'train/000\.jpg'"):
        find_photos(root)
    (root / "test").rename(root / "Testing")
    table(root, lines(rows=[(f"Train/{name}", label) for name, label in ROWS]))
    with pytest.raises(PhotosError, match=r"line 1: there is no photo 'Train/000\.jpg'"):
        find_photos(root)
    table(root, lines(rows=[(f"TEST/{name}", label) for name, label in ROWS]))
    assert len(find_photos(root)) == 6  # another word for the same part
    (root / "Testing" / "000.jpg").rename(root / "Testing" / "val.jpg")
    table(root, lines(("id", "label"), rows=[("val", "rose"), *ROWS[1:]]))
    assert len(find_photos(root)) == 6  # a photo may be called like a part
    (root / "Testing").rename(root / "images")
    table(root, lines(rows=[("train/val.jpg", "rose"), *((f"train/{name}", label) for name, label in ROWS[1:])]))
    assert len(find_photos(root)) == 6  # a folder that is no part may hold any


def test_a_photo_beside_the_table_goes_before_one_of_its_name_elsewhere(grow):
    root = grow({"": 6, "more": 6})
    table(root, lines())
    assert set(labels_of(find_photos(root))) == {name for name, _ in ROWS}


def test_photos_that_the_table_does_not_name_are_listed(flat):
    table(flat, lines(rows=ROWS[:2] + ROWS[3:5]))
    photos = find_photos(flat)
    assert len(photos) == 4
    assert photos.notes == ("photos that labels.csv does not name, left out: 2 (002.jpg, 005.jpg)",)
    assert photos.notes[0] in str(audit_photos(photos))


def test_notes_show_odd_names_harmlessly(flat):
    (flat / "002.jpg").rename(flat / "\x1b[2J.jpg")
    table(flat, lines(rows=ROWS[:2] + ROWS[3:]))
    assert find_photos(flat).notes == (r"photos that labels.csv does not name, left out: 1 (\x1b[2J.jpg)",)


def test_two_tables_are_a_question_and_other_tables_are_none(flat):
    table(flat, lines())
    table(flat, "a,b\n1,2\n", "prices.csv")
    assert len(find_photos(flat)) == 6
    table(flat, lines(), "more.tsv")
    with pytest.raises(PhotosError, match=r"labels\.csv and .*more\.tsv label photos: keep the one"):
        find_photos(flat)


def test_beside_class_folders_a_table_is_not_needed(grow):
    root = grow({"rose": 3, "tulip": 3})
    table(root, lines(rows=[(f"rose/{name}", "lily") for name in ROSES]))
    assert find_photos(root).classes == ("rose", "tulip")
    parts = grow(
        {"photos": 6} | {f"photos/{part}/{name}": 3 for part in ("train", "val") for name in ("rose", "tulip")}
    )
    table(parts / "photos", lines().replace("rose", "lily"))
    assert find_photos(parts / "photos").classes == ("rose", "tulip")


def test_a_third_column_may_say_the_split(flat):
    parts = ["Train", "valid", "test"] * 2
    rows = [(name, label, part) for (name, label), part in zip(ROWS, parts, strict=True)]
    table(flat, lines(("image", "label", "split"), rows=rows))
    photos = find_photos(flat)
    assert photos.subsets == ("train", "val", "test") * 2
    assert photos.notes == ()
    table(flat, lines(rows=[(name, label, part.replace("valid", "train")) for name, label, part in rows]))
    assert find_photos(flat).subsets == (None, None, "test") * 2  # validation photos are drawn
    table(flat, lines(rows=[*rows, ("000.jpg", "rose", "val")]))
    with pytest.raises(PhotosError, match=r"line 7: '000\.jpg' is 'rose' in val, but 'rose' in train in line 1"):
        find_photos(flat)


def test_the_order_of_the_rows_does_not_matter(flat):
    table(flat, lines())
    before = find_photos(flat)
    table(flat, lines(rows=ROWS[::-1]))
    assert find_photos(flat) == before


def test_other_labels_are_another_data_set(flat):
    """A run that is resumed compares the fingerprint."""
    table(flat, lines())
    before = audit_photos(find_photos(flat)).fingerprint
    table(flat, lines().replace("tulip", "lily"))
    assert audit_photos(find_photos(flat)).fingerprint != before


def test_unreadable_photos_are_counted_by_their_label(flat):
    (flat / "000.jpg").write_bytes(b"no photo")
    table(flat, lines())
    assert [row[:3] for row in audit_photos(find_photos(flat)).table()[1:]] == [
        ("rose", "2", "1"), ("tulip", "3", "0"), ("total", "5", "1")
    ]  # fmt: skip
