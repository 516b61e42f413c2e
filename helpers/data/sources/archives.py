"""Unpack archives from elsewhere: regular files, inside the target folder, within limits."""

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from helpers.common.errors import PhotosError
from helpers.common.files import file_digest

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
RATIO_FLOOR = 1 << 20  # bytes; what smaller archives count as, since a few plain images shrink a lot
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
Info = TypeVar("Info", tarfile.TarInfo, zipfile.ZipInfo)


class Limits(NamedTuple):
    """How much an archive may unpack to."""

    files: int = 200_000
    size: int = 20_000_000_000  # bytes, in total
    ratio: int = 100  # unpacked to packed size, in total; photos hardly shrink at all


def is_archive(path: Path) -> bool:
    """Whether the file's name ends like that of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, cache: Path, limits: Limits | None = None) -> Path:
    """Unpack into ``cache/<name>-<hash>`` and return that folder, which appears only when it is complete.

    Raises:
        PhotosError: the archive is damaged, reaches outside its folder, holds links or devices, or
            exceeds the limits. Nothing of it is left behind.
    """
    target = cache / f"{archive.name.split('.')[0]}-{file_digest(archive)[:16]}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=cache))
    try:
        _extract(archive, partial, limits or Limits())
        partial.chmod(0o755)
        partial.rename(target)
    except DAMAGE as error:
        if target.is_dir():  # another process was faster
            return target
        raise PhotosError(f"{archive} cannot be unpacked ({error}): get it again, or unpack it by hand") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _extract(archive: Path, folder: Path, limits: Limits) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            for info, name in _checked(file.infolist(), archive, limits):
                info.filename = name
                file.extract(info, folder)  # reads as many bytes as the header declares, and checks their CRC
    else:
        with tarfile.open(archive, "r:*") as file:
            for info, name in _checked(file, archive, limits):
                file.extract(info.replace(name=name), folder, filter="data")
            file.fileobj.read(RATIO_FLOOR)  # up to gzip's checksum, which follows the last member


def _checked(members: Iterable[Info], archive: Path, limits: Limits) -> Iterator[tuple[Info, str]]:
    """Check number, total declared size, kind and name of the members, and yield each with its name."""
    allowed = min(limits.size, max(archive.stat().st_size, RATIO_FLOOR) * limits.ratio)
    for count, info in enumerate(members, 1):
        if isinstance(info, zipfile.ZipInfo):
            name, size = info.filename, info.file_size
            plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
        else:
            name, size, plain = info.name, info.size, info.isfile() or info.isdir()
        allowed -= size
        path = PurePosixPath(name.replace("\\", "/"))
        if count > limits.files:
            raise PhotosError(f"{archive} holds more than {limits.files:,} files: unpack it by hand if you trust it")
        if allowed < 0:
            what = f"{archive} unpacks to more than is allowed for its size (reached at {name!r})"
            raise PhotosError(f"{what}: unpack it by hand if you trust it")
        if not plain:
            raise PhotosError(f"{archive}: {name!r} is a link or a device; only files and folders are unpacked")
        if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) or "\0" in name:
            raise PhotosError(f"{archive}: {name!r} would lie outside the target folder; nothing was unpacked")
        yield info, name.replace("\\", "/")
