"""Archives: both kinds, unpacked once, and nothing of a malicious one."""

import io
import os
import struct
import tarfile
import warnings
import zipfile
import zlib

import pytest
from PIL import Image

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
    kind = {".xz": "w:xz", ".txz": "w:xz", ".bz2": "w:bz2", ".tbz2": "w:bz2"}.get(path.suffix, "w:gz")
    with tarfile.open(path, kind) as file:
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


@pytest.mark.parametrize("name", ["flowers.zip", "flowers.tar.gz", "flowers.tgz", "flowers.tar.xz", "flowers.tbz2"])
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


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020666, 0o060666])  # a link, a pipe, two kinds of devices
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    info = zipfile.ZipInfo("rose/link.jpg")
    info.external_attr = mode << 16
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


class RawName(zipfile.ZipInfo):
    """A name in bytes of some encoding, without the mark of UTF-8, as Windows' Explorer writes it."""

    def _encodeFilenameFlags(self):  # noqa: N802
        return self.raw, self.flag_bits & ~0x800


def make_raw_zip(path, names, encoding="ascii"):
    """Of each name a small photo, but no content for a folder."""
    with zipfile.ZipFile(path, "w") as file:
        for number, name in enumerate(names):
            info = RawName(str(number))
            info.raw = name.encode(encoding)
            file.writestr(info, b"" if name.endswith(("/", "\\")) else jpeg(number))
    return path


def jpeg(seed):
    content = io.BytesIO()
    Image.effect_noise((24, 20), 30 + seed).convert("RGB").save(content, "JPEG")
    return content.getvalue()


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_names_with_backslashes_are_paths_and_folders(tmp_path):
    """As PowerShell 5 writes them."""
    names = ["photos\\rose\\", "photos\\rose\\a.jpg", "photos\\tulip\\", "photos\\tulip\\a.jpg"]
    folder = archives.unpack(make_raw_zip(tmp_path / "a.zip", names), tmp_path / "cache")
    assert names_in(folder) == ["photos/rose/a.jpg", "photos/tulip/a.jpg"]
    assert find_photos(folder).classes == ("rose", "tulip")


@pytest.mark.parametrize("kind", ["a.zip", "a.tar"])
def test_of_two_entries_with_one_name_the_last_is_kept(tmp_path, kind):
    """As unzip and tar do; an archive that was appended to has both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own
        with zipfile.ZipFile(tmp_path / kind, "w") if kind == "a.zip" else tarfile.open(tmp_path / kind, "w") as file:
            for content in (b"a longer first", b"last"):
                if kind == "a.zip":
                    file.writestr("rose/a.jpg", content)
                else:
                    info = tarfile.TarInfo("rose/a.jpg")
                    info.size = len(content)
                    file.addfile(info, io.BytesIO(content))
    assert (archives.unpack(tmp_path / kind, tmp_path / "cache") / "rose" / "a.jpg").read_bytes() == b"last"


CLASSES = {
    "gb2312": ["花卉数据集/雏菊", "花卉数据集/蒲公英", "花卉数据集/玫瑰（1）"],
    "big5": ["鬱金香", "向日葵"],
    "shift_jis": ["ひなぎく", "チューリップ", "薔薇 IMG"],
    "cp866": ["ромашка", "Роза", "тюльпан"],
    "cp1251": ["роза", "мак"],
    "cp850": ["Gänseblümchen", "Löwenzahn", "fougère", "orchidée"],
    "utf-8": ["雏菊", "장미", "ромашка", "fougère"],
}


@pytest.mark.parametrize("encoding", CLASSES)
def test_names_in_an_encoding_that_nobody_says_are_read(tmp_path, capsys, encoding):
    names = [f"{name}/{i}.jpg" for name in CLASSES[encoding] for i in range(2)]
    folder = archives.unpack(make_raw_zip(tmp_path / "a.zip", names, encoding), tmp_path / "cache")
    assert names_in(folder) == sorted(names)
    assert f"such as {CLASSES[encoding][0].split('/')[0]!r}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("encoding", "classes", "said"),
    [
        ("gbk", ["玫瑰", "雏菊"], r"GB2312 \('玫瑰'\) and EUC_KR"),
        ("euc_kr", ["장미", "데이지"], r"EUC_KR \('장미'\)"),
        ("cp1251", ["роза", "пион"], r"CP1251 \('роза'\)"),
        ("cp862", ["ורד", "צבעוני"], r"CP862 \('ורד'\)"),
        ("cp852", ["růže", "šípek"], "none that is known here"),
        ("cp737", ["τριαντάφυλλο", "μαργαρίτα"], "none that is known here"),
    ],
)
def test_names_that_several_encodings_fit_or_none_are_asked_about(tmp_path, encoding, classes, said):
    archive = make_raw_zip(tmp_path / "a.zip", [f"{name}/0.jpg" for name in classes], encoding)
    with pytest.raises(PhotosError, match=f"{said}.*unzip -O"):
        archives.unpack(archive, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_whose_name_is_in_no_known_encoding_does_not_matter(tmp_path):
    archive = make_raw_zip(tmp_path / "a.zip", ["rose/½ °.jpg", "tulip/a.jpg"], "cp850")
    assert find_photos(archives.unpack(archive, tmp_path / "cache")).classes == ("rose", "tulip")


def test_a_name_that_an_extra_field_gives_in_utf_8_counts(tmp_path):
    """As WinRAR and Info-ZIP write it beside one in the system's encoding; not if the file was renamed since."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, raw in (("玫瑰/a.jpg", b"\xaa\xaa/a.jpg"), ("old/b.jpg", b"tulip/b.jpg")):
            info = RawName("x")
            info.raw = raw
            crc = zlib.crc32(raw) ^ (name == "old/b.jpg")
            info.extra = struct.pack("<HHHHBI", 1, 0, 0x7075, 5 + len(name.encode()), 1, crc) + name.encode()
            file.writestr(info, b"1")
    assert names_in(archives.unpack(tmp_path / "a.zip", tmp_path / "cache")) == ["tulip/b.jpg", "玫瑰/a.jpg"]


@pytest.mark.parametrize("name", ["a.zip", "a.tgz", "a.download", "archive"])
@pytest.mark.parametrize("make", ["a.zip", "a.tgz", "a.txz"])
def test_the_content_decides_not_the_suffix(tmp_path, grow, make, name):
    archive = pack(grow({"rose": 2, "tulip": 2}), tmp_path / make).rename(tmp_path / f"to-{name}")
    assert len(find_photos(archives.unpack(archive, tmp_path / "cache"))) == 4


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, content in (
            ("rose/a.jpg", b"1"),
            ("more.zip", make_zip(tmp_path / "b", {"x.txt": b"1"}).read_bytes()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    assert names_in(archives.unpack(tmp_path / "a.tar", tmp_path / "cache")) == ["more.zip", "rose/a.jpg"]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_archives_in_an_archive_are_unpacked(tmp_path, grow, depth):
    inner = pack(grow({"rose": 2, "tulip": 2}), tmp_path / "flower_dataset.zip")
    for _ in range(depth):
        entries = {"course/flower_dataset.zip": inner.read_bytes(), "course/README.md": b"", "._flower.zip": b"mac"}
        inner = make_zip(tmp_path / "outer.zip", entries)
    assert find_photos(archives.unpack(inner, tmp_path / "cache")).classes == ("rose", "tulip")


def test_each_class_may_be_an_archive_of_its_own(tmp_path):
    classes = {name: make_zip(tmp_path / name, {f"{i}.jpg": jpeg(i) for i in range(2)}) for name in ("rose", "tulip")}
    outer = make_zip(tmp_path / "a.zip", {f"{name}.zip": path.read_bytes() for name, path in classes.items()})
    assert find_photos(archives.unpack(outer, tmp_path / "cache")).classes == ("rose", "tulip")


def test_an_archive_beside_photos_stays_packed(tmp_path):
    entries = {"rose/a.jpg": b"1", "tulip/a.jpg": b"1"}
    inner = make_zip(tmp_path / "backup", entries).read_bytes()
    folder = archives.unpack(make_zip(tmp_path / "a.zip", entries | {"backup.zip": inner}), tmp_path / "cache")
    assert names_in(folder) == ["backup.zip", "rose/a.jpg", "tulip/a.jpg"]


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (b"Rar!\x1a\x07\x01\0", "is a RAR archive"),
        (b"not an archive", "could not be opened"),
        ({"../outside.jpg": b"1"}, "outside the target folder"),
        ({f"{i}.jpg": b"1" for i in range(9)}, "more than 6 files"),
        ({"a.jpg": bytes(3_000_000)}, "more than is allowed for its size"),
    ],
)
def test_an_archive_inside_is_held_to_the_same_rules_and_limits(tmp_path, inner, said):
    content = inner if isinstance(inner, bytes) else make_zip(tmp_path / "inner", inner).read_bytes()
    archive = make_zip(tmp_path / "a.zip", {"in/photos.zip": content})
    with pytest.raises(PhotosError, match=rf"a\.zip holds in/photos\.zip: photos\.zip .*{said}|{said}") as info:
        archives.unpack(archive, tmp_path / "cache", archives.Limits(files=6, ratio=2))
    assert "._" not in str(info.value)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: get it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n", "is a Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html><title>Virus scan warning</title></html>", "is an HTML page.*browser"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is an answer of a server"),
        (b'{"error": "not found"}', "is an answer of a server"),
        (b"Rar!\x1a\x07\x01\0" + bytes(99), "is a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "is a 7z archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "is packed by Zstandard"),
        (b"\x1f\x8b" + bytes(99), "cannot be unpacked"),
        (b"PK\x03\x04" + bytes(99), "cannot be unpacked"),
    ],
)
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_what_is_no_archive_is_called_by_its_name_in_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhotosError, match=rf"{name} {said}") as info:
        archives.unpack(tmp_path / name, tmp_path / "cache")
    assert "\n" not in str(info.value)


def test_a_password_is_named(tmp_path):
    """The flag in the headers is all that is looked at."""
    archive = make_zip(tmp_path / "a.zip", {"rose/a.jpg": b"1"})
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(PhotosError, match=r"a\.zip is protected by a password: unpack it by hand"):
        archives.unpack(archive, tmp_path / "cache")


def test_a_pipe_instead_of_an_archive_is_named_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(PhotosError, match=r"a\.zip cannot be read \(not a regular file\)"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "cache")


def test_a_hard_link_within_a_tar_is_a_copy(tmp_path):
    linked = link(tarfile.LNKTYPE, "rose/a.jpg")
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as file:
        info = tarfile.TarInfo("rose/a.jpg")
        info.size = 5
        file.addfile(info, io.BytesIO(b"photo"))
        file.addfile(linked)
    folder = archives.unpack(archive, tmp_path / "cache")
    assert (folder / "rose" / "link.jpg").read_bytes() == b"photo"
    with pytest.raises(PhotosError, match="more than is allowed"):
        archives.unpack(archive, tmp_path / "other", archives.Limits(size=9))


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(
        PhotosError, match=r"cache cannot be written .*: unpack the archive by hand, and give the folder"
    ):
        archives.unpack(make_zip(tmp_path / "a.zip", {"rose/a.jpg": b"1"}), tmp_path / "cache")
