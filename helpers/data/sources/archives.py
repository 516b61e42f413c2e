"""Unpack archives from elsewhere: regular files, inside the target folder, within limits."""

import lzma
import mimetypes
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from helpers.common.errors import PhotosError
from helpers.common.files import file_digest, make_folder, mistaken_for, read_start
from helpers.common.text import listed, printable

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
NESTED = (*SUFFIXES, ".rar", ".7z")  # what is unpacked, or named, inside an archive without photos
DEPTH = 3  # archives in archives
RATIO_FLOOR = 1 << 20  # bytes; what smaller archives count as, since a few plain images shrink a lot
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)

# Zip files of old Windows systems do not say in which encoding their names are. Each is recognized by the letters that
# names in it are made of. Accented letters stand beside ASCII letters, the others never between two small ones.
LETTERS = {
    "gb2312": r"\u4e00-\u9fff",
    "big5": r"\u4e00-\u9fff",
    "cp932": r"\u3041-\u30ff\u4e00-\u9fff",
    "euc_kr": r"\uac00-\ud7a3",
    "cp866": "А-Яа-яё",
    "cp1251": "А-Яа-яё",
    "cp862": "א-ת",
    "cp850": "À-ÖØ-öø-ÿ",
}
MARKS = r"\u3000-\u303f\uff00-\uff60“”…—·"  # punctuation that may stand among them
UNICODE_NAME = 0x7075  # an extra field: the name in UTF-8 beside the one in another encoding


class Limits(NamedTuple):
    """How much an archive may unpack to."""

    files: int = 200_000
    size: int = 20_000_000_000  # bytes, in total
    ratio: int = 100  # unpacked to packed size, in total; photos hardly shrink at all


class Budget:
    """What an archive may still unpack to, those inside it included."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.files = self.most = limits.files
        self.size = min(limits.size, max(archive.stat().st_size, RATIO_FLOOR) * limits.ratio)

    def spend(self, archive: Path, name: str, size: int) -> None:
        """Count one more file. Raises PhotosError: it is too much."""
        self.files, self.size = self.files - 1, self.size - size
        if self.files < 0:
            raise PhotosError(f"{archive} holds more than {self.most:,} files: unpack it by hand if you trust it")
        if self.size < 0:
            what = f"{archive} unpacks to more than is allowed for its size (reached at {name!r})"
            raise PhotosError(f"{what}: unpack it by hand if you trust it")


def unpack(archive: Path, cache: Path, limits: Limits | None = None) -> Path:
    """Unpack into ``cache/<name>-<hash>`` and return that folder, which appears only when it is complete.

    The content decides which kind of archive it is, not the name. Archives in one without photos are unpacked, too.

    Raises:
        PhotosError: it is no archive, damaged, protected by a password, reaches outside its folder, holds links or
            devices, names its files in an unknown encoding, or exceeds the limits. Nothing of it is left behind.
    """
    try:
        target = cache / f"{archive.name.split('.')[0][:50]}-{file_digest(archive)[:16]}"
    except OSError as error:
        raise PhotosError(f"{archive} cannot be read ({error.strerror}): check what it is, and its rights") from error
    if target.is_dir():
        return target
    make_folder(cache, "unpack the archive by hand, and give the folder", PhotosError)
    partial = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=cache))
    try:
        budget = Budget(archive, limits or Limits())
        _extract(archive, partial, budget)
        _extract_nested(archive, partial, budget)
        partial.chmod(0o755)
        partial.rename(target)
    except DAMAGE as error:
        if target.is_dir():  # another process was faster
            return target
        reason = str(error).split("\n")[0].rstrip(":")  # tarfile explains at length
        raise PhotosError(f"{archive} cannot be unpacked ({reason}): get it again, or unpack it by hand") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _extract(archive: Path, folder: Path, budget: Budget) -> None:
    start = read_start(archive)
    if what := mistaken_for(start):
        raise PhotosError(f"{archive} is {what}")
    # A zip file may also begin with a program that unpacks it; a tar file may end in a zip file.
    is_tar = not start.startswith(b"PK") and tarfile.is_tarfile(archive)
    is_zip = not is_tar and (start.startswith(b"PK") or zipfile.is_zipfile(archive))
    if not (is_tar or is_zip or archive.name.lower().endswith(SUFFIXES)):
        raise PhotosError(f"{archive} is neither a folder nor an archive ({', '.join(SUFFIXES)})")
    if is_zip:
        with zipfile.ZipFile(archive) as file:
            for info, name in _zip_names(file, archive):
                if info.flag_bits & 1:
                    raise PhotosError(f"{archive} is protected by a password: unpack it by hand, and give the folder")
                plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
                info.filename = _checked(archive, name, info.file_size, plain, budget)
                file.extract(info, folder)  # reads as many bytes as the header declares, and checks their CRC
    else:
        with tarfile.open(archive, "r:*") as file:
            for info, name in _tar_members(file):
                name = _checked(archive, name, info.size, info.isfile() or info.isdir(), budget)
                file.extract(info.replace(name=name), folder, filter="data")
            file.fileobj.read(RATIO_FLOOR)  # up to gzip's checksum, which follows the last member


def _tar_members(file: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield each member and its name; for a hard link the file that it repeats."""
    files: dict[str, tarfile.TarInfo] = {}
    for info in file:
        if info.isfile():
            files[info.name] = info
        yield (files.get(info.linkname, info) if info.islnk() else info), info.name


def _extract_nested(archive: Path, folder: Path, budget: Budget) -> None:
    """Unpack the archives in a folder without photos, each into a folder of its name, and those in them."""
    for _ in range(DEPTH):
        names = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("._")]
        inner = [path for path in names if path.name.lower().endswith(NESTED)]
        if not inner or any((mimetypes.guess_type(path.name)[0] or "").startswith("image/") for path in names):
            return
        for path in inner:
            packed = path.rename(path.with_name(f"._{path.name}"))
            try:
                _extract(packed, path.with_name(path.name.split(".")[0] or "archive"), budget)
            except (PhotosError, *DAMAGE) as error:
                reason = str(error).replace(str(packed), path.name)
                raise PhotosError(f"{archive} holds {path.relative_to(folder)}: {reason}") from error
            packed.unlink()


def _checked(archive: Path, name: str, size: int, plain: bool, budget: Budget) -> str:
    """Check number, total declared size, kind and name of a member. Returns the name, with slashes."""
    budget.spend(archive, name, size)
    path = PurePosixPath(name.replace("\\", "/"))
    if not plain:
        raise PhotosError(f"{archive}: {name!r} is a link or a device; only files and folders are unpacked")
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) or "\0" in name:
        raise PhotosError(f"{archive}: {name!r} would lie outside the target folder; nothing was unpacked")
    return name.replace("\\", "/")


def _zip_names(file: zipfile.ZipFile, archive: Path) -> list[tuple[zipfile.ZipInfo, str]]:
    """Return the members and their names, decoded if the archive does not say in which encoding they are."""
    names = [_unicode_name(info) or info.filename for info in file.infolist()]
    marked = [bool(info.flag_bits & 0x800 or _unicode_name(info)) for info in file.infolist()]
    unmarked = [name for name, known in zip(names, marked, strict=True) if not (known or name.isascii())]
    if unmarked and (encoding := _encoding([name.encode("cp437") for name in unmarked], archive)):
        names = [
            name if known else name.encode("cp437").decode(encoding) for name, known in zip(names, marked, strict=True)
        ]
    return list(zip(file.infolist(), names, strict=True))


def _unicode_name(info: zipfile.ZipInfo) -> str:
    """Return the name that an extra field gives in UTF-8; empty without one, or if the file was renamed since."""
    extra = info.extra
    while len(extra) >= 9:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == UNICODE_NAME and extra[5:9] == struct.pack("<I", zlib.crc32(info.orig_filename.encode("cp437"))):
            return extra[9 : 4 + size].decode()
        extra = extra[4 + size :]
    return ""


def _encoding(names: list[bytes], archive: Path) -> str:
    """Return the encoding of the names; empty if it is unknown, but that of no folder.

    Raises PhotosError: several are as likely, or none is, and it matters, because folders are classes.
    """
    readings = {encoding: text for encoding in ("utf-8", *LETTERS) if (text := _reading(names, encoding))}
    for likelier, other in (("utf-8", ""), ("gb2312", "big5")):  # what is valid in the first is hardly the other
        if likelier in readings:
            readings = {key: text for key, text in readings.items() if key != other and (other or key == likelier)}
    if len(set(readings.values())) == 1:
        encoding, text = next(iter(readings.items()))
        print(f"{printable(archive.name)}: names read as {encoding.upper()}, such as {printable(_sample(text))!r}")
        return encoding
    if all(b"/" not in name.replace(b"\\", b"/") or name.rpartition(b"/")[0].isascii() for name in names):
        return ""
    known = listed(
        [f"{key.upper()} ({_sample(text)!r})" for key, text in readings.items()] or ["none that is known here"]
    )
    raise PhotosError(
        f"{archive} does not say in which encoding its names are; they fit {known}: unpack it by hand in the right one "
        f"(unzip -O {next(iter(readings), 'ENCODING')} {archive.name}, or 7-Zip), and give the folder"
    )


def _sample(text: str) -> str:
    """Return the first name on the way to a file that is not ASCII."""
    return next(name for name in re.split(r"[/\\\n]", text) if not name.isascii())


def _reading(names: list[bytes], encoding: str) -> str:
    """Return the names, a line each, if they are words in this encoding; otherwise nothing."""
    try:
        text = b"\n".join(names).decode(encoding)
    except UnicodeDecodeError:
        return ""
    if encoding == "utf-8":
        return text
    letters = LETTERS[encoding]
    misplaced = rf"(?<=[a-z])[{letters}]+(?=[a-z])|[а-яё][А-ЯЁ]"
    if encoding == "cp850":
        misplaced = rf"(?<![A-Za-z{letters}])[{letters}]+(?![A-Za-z{letters}])"
    strange = rf"[^\x00-\x7f{letters}{MARKS}]|{misplaced}"
    return text if re.search(f"[{letters}]", text) and not re.search(strange, text) else ""
