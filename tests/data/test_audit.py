"""The audit finds what is planted."""

import hashlib
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from helpers.common.errors import PhotosError
from helpers.common.files import file_digest
from helpers.data import audit as audit_module
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos


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
        "rose/words.jpg": "not a known image format",
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
    assert "total              10 photos in 2 classes" in text
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


def test_the_fingerprint_of_class_folders_stays_that_of_published_runs(grow):
    photos = find_photos(grow({"rose": 2, "tulip": 2}))
    lines = [f"{name}\t{file_digest(photos.path(i))}\n" for i, name in enumerate(photos.names)]
    assert audit_photos(photos).fingerprint == hashlib.sha256("".join(lines).encode()).hexdigest()


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
    assert audit.duplicates == audit.cross_class_duplicates == ()  # the known ones are not in this part
    assert audit.unreadable == ()


def test_the_table_counts_per_class(planted):
    assert audit_photos(find_photos(planted)).table() == [
        ("class", "photos", "unreadable", "twice", "elsewhere", "smallest", "median", "largest"),
        ("rose", "4", "2", "0", "1", "60 × 40", "60 × 40", "60 × 40"),
        ("tulip", "6", "0", "2", "1", "60 × 40", "60 × 40", "60 × 40"),
        ("total", "10", "2", "2", "2", "60 × 40", "60 × 40", "60 × 40"),
    ]


def test_sizes_are_those_of_the_upright_photos(grow):
    root = grow({"rose": 1, "tulip": 1})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 100)).save(root / "rose/lying.jpg", exif=exif)
    audit = audit_photos(find_photos(root))
    assert audit.sizes.tolist() == [[60, 40], [100, 300], [60, 40]]
    assert audit.table()[1][-3:] == ("60 × 40", "100 × 300", "100 × 300")


def test_the_known_duplicates_of_the_course(grow):
    """As measured on the real data: three photos in rose and tulip, and one twice in sunflower."""
    root = grow({"rose": 5, "sunflower": 4, "tulip": 5})
    for i, name in enumerate(("17291451621", "17104364030", "17291930305")):
        (root / f"rose/00{i}.jpg").rename(root / f"rose/{name}.jpg")
        shutil.copy(root / f"rose/{name}.jpg", root / f"tulip/{name}.jpg")
    shutil.copy(root / "sunflower/000.jpg", root / "sunflower/again.jpg")
    audit = audit_photos(find_photos(root))
    assert len(audit.cross_class_duplicates) == 3
    assert "several classes: 3\n  rose/17104364030.jpg = tulip/17104364030.jpg\n" in str(audit)
    assert "twice in a class: 1\n  sunflower/000.jpg = sunflower/again.jpg" in str(audit)
    assert str(audit) == str(audit_photos(find_photos(root), workers=1))


def test_reasons_hold_no_path_of_the_machine(grow, noise_photo):
    root = grow({"a: rose": 1, "tulip": 1})
    noise_photo.save(root / "a: rose/cut.jpg")
    (root / "a: rose/cut.jpg").write_bytes((root / "a: rose/cut.jpg").read_bytes()[:5000])
    (root / "a: rose/none.jpg").touch()
    (cut, why), (none, empty) = audit_photos(find_photos(root)).unreadable
    assert (cut, none, empty) == ("a: rose/cut.jpg", "a: rose/none.jpg", "the file is empty")
    assert "truncated" in why
    assert str(root) not in why


def test_warnings_are_as_before_once_the_audit_is_over(grow):
    """Threads that each silence warnings restore each other's filters, and leave them silenced."""
    photos = find_photos(grow({"rose": 30, "tulip": 30}))
    before = list(warnings.filters)
    for _ in range(3):
        audit_photos(photos, workers=8)
    assert warnings.filters == before


def test_no_torch_is_needed_to_look_at_photos():
    code = "import sys, helpers.data.sources.locate, helpers.data.split; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs a kernel with /proc")
def test_a_file_without_a_size_is_not_read(grow, monkeypatch):
    root = grow({"rose": 1, "tulip": 1})
    (root / "rose/kmsg.jpg").symlink_to("/proc/self/status")  # stands for /proc/kmsg, whose reader waits for ever
    read = []
    monkeypatch.setattr(audit_module, "file_digest", lambda path: read.append(path.name) or path.name)
    assert audit_photos(find_photos(root)).unreadable == (("rose/kmsg.jpg", "the file is empty"),)
    assert sorted(read) == ["000.jpg", "000.jpg"]
