"""The audit finds what is planted."""

import shutil

import pytest

from helpers.audit import audit_photos
from helpers.errors import PhotosError
from helpers.photos import find_photos


@pytest.fixture
def planted(grow):
    """4 roses, 4 tulips; one photo in both, one twice in tulip, one empty, one of words."""
    root = grow({"rose": 4, "tulip": 4})
    shutil.copy(root / "rose/000.jpg", root / "tulip/same.jpg")
    shutil.copy(root / "tulip/001.jpg", root / "tulip/twice.jpg")
    (root / "rose/empty.jpg").touch()
    (root / "rose/words.jpg").write_text("not a photo")
    return root


def test_unreadable_files_are_left_out_and_named(planted):
    audit = audit_photos(find_photos(planted))
    assert len(audit.photos) == 10
    assert dict(audit.unreadable) == {
        "rose/empty.jpg": "the file is empty",
        "rose/words.jpg": "no picture format that is known",
    }


def test_duplicates_within_and_across_classes_are_found(planted):
    audit = audit_photos(find_photos(planted))
    across = [[audit.photos.names[i] for i in group] for group in audit.cross_class_duplicates]
    within = [[audit.photos.names[i] for i in group] for group in audit.duplicates]
    assert across == [["rose/000.jpg", "tulip/same.jpg"]]
    assert within == [["tulip/001.jpg", "tulip/twice.jpg"]]


def test_the_text_names_everything(planted):
    text = str(audit_photos(find_photos(planted)))
    assert "rose                4 photos" in text
    assert "together           10 photos in 2 classes" in text
    assert "60 × 40 to 60 × 40 px" in text
    assert "unreadable, left out: 2\n  rose/empty.jpg: the file is empty" in text
    assert "several classes: 1\n  rose/000.jpg = tulip/same.jpg" in text


def test_long_lists_are_cut(grow):
    root = grow({"rose": 1, "tulip": 1})
    for i in range(15):
        (root / f"rose/bad{i:02}.jpg").touch()
    text = str(audit_photos(find_photos(root)))
    assert "unreadable, left out: 15" in text
    assert "… and 5 more" in text
    assert "bad12" not in text


def test_the_fingerprint_follows_names_and_contents(grow, tmp_path):
    first = audit_photos(find_photos(grow({"rose": 2, "tulip": 2}, tmp_path / "a"))).fingerprint
    same = audit_photos(find_photos(grow({"rose": 2, "tulip": 2}, tmp_path / "b"))).fingerprint
    (tmp_path / "b/rose/000.jpg").rename(tmp_path / "b/rose/renamed.jpg")
    renamed = audit_photos(find_photos(tmp_path / "b")).fingerprint
    shutil.copy(tmp_path / "a/rose/001.jpg", tmp_path / "a/rose/000.jpg")
    changed = audit_photos(find_photos(tmp_path / "a")).fingerprint
    assert first == same
    assert len({first, renamed, changed}) == 3


def test_a_class_without_readable_photos_is_refused(grow):
    root = grow({"rose": 2, "tulip": 1})
    (root / "tulip/000.jpg").write_text("words")
    with pytest.raises(PhotosError, match=r"class .tulip. in .* has no readable photo"):
        audit_photos(find_photos(root))


def test_the_real_photos(real_folder):
    audit = audit_photos(find_photos(real_folder))
    assert len(audit.photos) == 1607
    assert audit.unreadable == ()
