"""Archives: both kinds, unpacked once, and nothing of a malicious one."""

import io
import struct
import tarfile
import warnings
import zipfile
import zlib

import pytest

from helpers.common.errors import PhotosError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources import archives


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


def test_a_tar_of_the_folder_itself(grow, tmp_path):
    """As ``tar -C photos -czf flowers.tgz .`` makes it: every name begins with a dot."""
    with tarfile.open(tmp_path / "flowers.tgz", "w:gz") as file:
        file.add(grow({"rose": 2, "tulip": 2}), arcname=".")
    assert len(find_photos(archives.unpack(tmp_path / "flowers.tgz", tmp_path / "cache"))) == 4


def test_permissions_in_a_tar_are_made_harmless(tmp_path):
    info = tarfile.TarInfo("rose/a.jpg")
    info.mode = 0o6377  # set-user-ID, others may write, the owner may not even read
    folder = archives.unpack(make_tar(tmp_path / "a.tgz", {"": info}), tmp_path / "cache")
    mode = (folder / "rose" / "a.jpg").stat().st_mode
    assert mode & 0o6022 == 0
    assert mode & 0o600 == 0o600


def test_a_bomb_of_many_small_files_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FLOOR", 1)
    archive = make_tar(tmp_path / "a.tgz", {f"rose/{i}.jpg": bytes(50_000) for i in range(60)})
    with pytest.raises(PhotosError, match="more than is allowed for its size"):
        archives.unpack(archive, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_flipped_byte_is_noticed(tmp_path, noise_photo, name, place):
    content = {f"rose/{i}.bmp": noise_photo.tobytes() for i in range(2)}
    archive = (make_zip if name == "a.zip" else make_tar)(tmp_path / name, content)
    data = bytearray(archive.read_bytes())
    data[int(place * len(data))] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(PhotosError, match="cannot be unpacked"):
        archives.unpack(archive, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_of_two_processes_that_unpack_the_faster_one_wins(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", {"rose/a.jpg": b"1"})
    extract = archives._extract

    def overtaken(*args):
        extract(*args)
        monkeypatch.setattr(archives, "_extract", extract)
        archives.unpack(archive, tmp_path / "cache")

    monkeypatch.setattr(archives, "_extract", overtaken)
    folder = archives.unpack(archive, tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name]


def unpacked_or_refused(archive, cache, limits=None):
    """The folder, or None; a refusal names the archive and leaves nothing behind."""
    try:
        return archives.unpack(archive, cache, limits)
    except PhotosError as error:
        if archive.name not in str(error):
            pytest.fail(f"the archive is not named: {error}")
        assert list(cache.iterdir()) == []
        return None


def quoted_overlap(path, entries, kernel):
    """A zip in which every entry's content is the next entry, header and all (Fifield 2019, quoted overlap).

    Each has a name of its own and a right checksum: n entries of one kernel unpack to n kernels.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, plain = packer.compress(kernel) + packer.flush(), kernel
    places, tail = [], b""
    for number in reversed(range(entries)):
        if tail:  # an uncompressed block quotes the header of the next entry, whose content then goes on
            header = tail[: len(tail) - len(packed)]
            packed = struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF) + header + packed
            plain = header + plain
        name = b"rose/%d.jpg" % number
        common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, zlib.crc32(plain), len(packed), len(plain), len(name), 0)
        tail = b"PK\3\4" + common + name + packed
        places.append((common, name, len(tail)))
    directory = b""
    for common, name, distance in places:
        directory += b"PK\1\2" + struct.pack("<H", 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(tail) - distance) + name
    end = struct.pack("<HHHHIIH", 0, 0, entries, entries, len(directory), len(tail), 0)
    path.write_bytes(tail + directory + b"PK\5\6" + end)
    return path


def test_entries_that_overlap_are_refused(tmp_path):
    """60 entries of 4 MB in an archive of a few kB: the limit counts what is written, whatever the headers say."""
    archive = quoted_overlap(tmp_path / "a.zip", 60, bytes(4_000_000))
    assert archive.stat().st_size < 20_000
    with zipfile.ZipFile(archive) as file:
        assert sum(info.file_size for info in file.infolist()) > 240_000_000
    with pytest.raises(PhotosError, match=r"more than is allowed for its size|cannot be unpacked.*[Oo]verlap"):
        archives.unpack(archive, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_entries_that_overlap_are_unpacked_or_refused_as_a_whole(tmp_path):
    """The bomb above is a real one: without the limit, Python's own zipfile may read it."""
    archive = quoted_overlap(tmp_path / "a.zip", 2, bytes(1000))
    if folder := unpacked_or_refused(archive, tmp_path / "cache"):
        assert sorted(p.name for p in folder.rglob("*.jpg")) == ["0.jpg", "1.jpg"]
        assert (folder / "rose" / "0.jpg").read_bytes()[30 + len("rose/1.jpg") :] == bytes(1000)


def test_sizes_in_headers_are_not_believed(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"rose/a.jpg": bytes(5_000_000)})
    content = archive.read_bytes()
    archive.write_bytes(content.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 5)))
    if folder := unpacked_or_refused(archive, tmp_path / "cache", archives.Limits(size=1_000_000)):
        assert (folder / "rose" / "a.jpg").stat().st_size <= 5


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "names",
    [
        ("rose/a.jpg", "rose/a.jpg"),
        ("rose/a.jpg", "rose/./a.jpg"),
        ("rose", "rose/a.jpg"),
        ("rose/" + 300 * "a" + ".jpg",),
        ("",),
        (".",),
        ("./",),
        ("rose/\0.jpg",),
        ("rose/a\nb.jpg", "rose/\x1b[31m.jpg"),
        ("rose/é\u202egpj.jpg", "rose/ .jpg", "rose/-rf.jpg", "rose/$(touch canary).jpg"),
        ("rose/con.jpg", "rose/a.jpg.", "~/a.jpg"),
    ],
    ids=lambda names: names[0][:12].encode("unicode_escape").decode(),
)
def test_odd_names_are_unpacked_inside_or_refused_as_a_whole(tmp_path, monkeypatch, make, names):
    monkeypatch.chdir(tmp_path)
    archive = tmp_path / ("a.zip" if make is make_zip else "a.tgz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own: a name is there twice
        if make is make_zip:
            with zipfile.ZipFile(archive, "w") as file:
                for name in names:
                    file.writestr(zipfile.ZipInfo(name) if name else zipfile.ZipInfo("x"), b"1")
        else:
            with tarfile.open(archive, "w:gz") as file:
                for name in names:
                    info = tarfile.TarInfo(name)
                    info.size = 1
                    file.addfile(info, io.BytesIO(b"1"))
    if folder := unpacked_or_refused(archive, tmp_path / "cache"):
        assert all(p.resolve().is_relative_to(folder.resolve()) for p in folder.rglob("*"))
    assert {p.name for p in tmp_path.iterdir()} == {archive.name, "cache"}


def test_names_that_are_no_text_are_read_and_told(tmp_path, grow):
    archive = tmp_path / "a.tar"
    folder = grow({"rose": 2, "tulip": 2})
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as file:
        for path in sorted(folder.rglob("*.jpg")):
            file.add(path, arcname=f"{path.parent.name}/é{path.name}")
    photos = find_photos(archives.unpack(archive, tmp_path / "cache"))
    with pytest.raises(PhotosError, match=r"rose.*no readable photo; the first: its name is not plain UTF-8 text"):
        audit_photos(photos)
