"""Archives: both kinds, unpacked once, and nothing of a malicious one."""

import io
import tarfile
import zipfile

import pytest

from helpers import archives
from helpers.errors import PhotosError
from helpers.photos import find_photos


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def make_tar(path, entries):
    with tarfile.open(path, "w:gz") as file:
        for name, content in entries.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def link(kind, target):
    info = tarfile.TarInfo("rose/link.jpg")
    info.type, info.linkname = kind, target
    return info


def pack(folder, path):
    files = {f"flowers/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in sorted(folder.rglob("*.jpg"))}
    return make_zip(path, files) if path.suffix == ".zip" else make_tar(path, files)


@pytest.mark.parametrize("name", ["flowers.zip", "flowers.tar.gz", "flowers.tgz"])
@pytest.mark.parametrize(
    "tree", [{"rose": 2, "tulip": 2}, {"train/rose": 2, "train/tulip": 2, "val/rose": 1, "val/tulip": 1}]
)
def test_archives_of_both_layouts(grow, tmp_path, name, tree):
    archive = pack(grow(tree), tmp_path / name)
    photos = find_photos(archives.unpack(archive, tmp_path / "cache"))
    assert photos.classes == ("rose", "tulip")
    assert len(photos) == sum(tree.values())


def test_an_archive_is_unpacked_once_and_anew_when_it_changes(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"rose/a.jpg": b"1"})
    first = archives.unpack(archive, tmp_path / "cache")
    (first / "marker").touch()
    assert (archives.unpack(archive, tmp_path / "cache") / "marker").exists()
    make_zip(archive, {"rose/a.jpg": b"2"})
    assert archives.unpack(archive, tmp_path / "cache") != first


@pytest.mark.parametrize(
    "name", ["../outside.jpg", "/tmp/outside.jpg", "a/../../outside.jpg", "C:/outside.jpg", "..\\outside.jpg"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_nothing_is_written_outside(tmp_path, make, name):
    archive = make(tmp_path / ("a.zip" if make is make_zip else "a.tgz"), {"rose/a.jpg": b"1", name: b"evil"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PhotosError, match="outside the target folder"):
        archives.unpack(archive, tmp_path / "cache")
    assert sorted(p for p in tmp_path.rglob("*") if p.name != "cache") == before


@pytest.mark.parametrize(
    "entry",
    [
        link(tarfile.SYMTYPE, "/etc/passwd"),
        link(tarfile.LNKTYPE, "../x"),
        link(tarfile.CHRTYPE, ""),
        link(tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices_are_refused(tmp_path, entry):
    archive = make_tar(tmp_path / "a.tgz", {"rose/link.jpg": entry})
    with pytest.raises(PhotosError, match="is a link or a device"):
        archives.unpack(archive, tmp_path / "cache")


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("rose/link.jpg")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(PhotosError, match="is a link or a device"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "cache")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (archives.Limits(files=2), "more than 2 files"),
        (archives.Limits(size=1500), "more than is allowed"),
        (archives.Limits(ratio=0), "more than is allowed"),
    ],
)
def test_bombs_are_stopped_and_removed(tmp_path, limits, message):
    archive = make_zip(tmp_path / "a.zip", {f"rose/{i}.jpg": b"\0" * 1000 for i in range(3)})
    with pytest.raises(PhotosError, match=message):
        archives.unpack(archive, tmp_path / "cache", limits)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_archive_is_named(tmp_path):
    for name in ("a.zip", "a.tgz"):
        (tmp_path / name).write_bytes(b"not an archive")
        with pytest.raises(PhotosError, match=f"{name} cannot be unpacked"):
            archives.unpack(tmp_path / name, tmp_path / "cache")
