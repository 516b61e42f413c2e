"""Unpacking archives that somebody else made: regular files, inside the target, within limits."""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from helpers.common.errors import PhotosError
from helpers.common.files import file_digest

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


MAX_FILES = 200_000


MAX_BYTES = 20_000_000_000  # unpacked, together


MAX_RATIO = 100  # unpacked to packed, together; photos hardly shrink at all


RATIO_FLOOR = 1 << 20  # bytes; what smaller archives count as, for a few plain pictures shrink a lot


BLOCK = 1 << 20


DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)


class Limits(NamedTuple):
    """How much an archive may unpack to."""

    files: int = MAX_FILES
    size: int = MAX_BYTES
    ratio: int = MAX_RATIO


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, cache: Path, limits: Limits | None = None) -> Path:
    """Unpack into ``cache/<name>-<hash>`` and return that folder; at once if it is there already.

    The folder appears when it is complete, and not before.

    Raises:
        PhotosError: the archive is damaged, reaches outside its folder, holds links or devices, or
            is larger than the limits. Nothing of it is left behind.
    """
    limits = limits or Limits()
    target = cache / f"{archive.name.split('.')[0]}-{file_digest(archive)[:16]}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=cache))
    try:
        with _members(archive) as members:
            _extract(members, partial, archive, limits)
        partial.chmod(0o755)
        partial.rename(target)
    except PhotosError:
        raise
    except DAMAGE as error:
        if target.is_dir():  # another process was faster
            return target
        raise PhotosError(f"{archive} cannot be unpacked ({error}): get it anew, or unpack it by hand") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


class _Member(NamedTuple):
    name: str
    plain: bool  # a regular file or a folder
    folder: bool
    open: object  # () -> a binary file


def _extract(members: Iterator[_Member], folder: Path, archive: Path, limits: Limits) -> None:
    allowed = min(limits.size, max(archive.stat().st_size, RATIO_FLOOR) * limits.ratio)
    for count, member in enumerate(members, 1):
        if count > limits.files:
            raise PhotosError(f"{archive} holds more than {limits.files:,} files: unpack it by hand if you trust it")
        path = folder / _inside(member, archive)
        if path == folder:  # "tar -C photos ." begins with the folder itself
            continue
        if member.folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, open(path, "xb") as sink:
            allowed -= _copy(source, sink, allowed, member, archive)


def _inside(member: _Member, archive: Path) -> PurePosixPath:
    """The member's path, if it is a harmless one."""
    path = PurePosixPath(member.name.replace("\\", "/"))
    if not member.plain:
        raise PhotosError(f"{archive}: {member.name!r} is a link or a device; only files and folders are unpacked")
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) or "\0" in member.name:
        raise PhotosError(f"{archive}: {member.name!r} would lie outside the target folder; nothing was unpacked")
    return path


def _copy(source: IO[bytes], sink: IO[bytes], allowed: int, member: _Member, archive: Path) -> int:
    """Copy and count: what an archive says about sizes is not believed."""
    size = 0
    while block := source.read(BLOCK):
        size += len(block)
        if size > allowed:
            raise PhotosError(
                f"{archive} unpacks to more than is allowed for its size (reached at {member.name!r}): "
                "unpack it by hand if you trust it"
            )
        sink.write(block)
    return size


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            yield _zip_members(file)
    else:
        with tarfile.open(archive, "r:*") as file:
            yield _tar_members(file)
            file.fileobj.read(BLOCK)  # up to gzip's checksum, which lies behind the last member


def _zip_members(file: zipfile.ZipFile) -> Iterator[_Member]:
    for info in file.infolist():
        mode = info.external_attr >> 16
        plain = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
        yield _Member(info.filename, plain, info.is_dir(), lambda info=info: file.open(info))


def _tar_members(file: tarfile.TarFile) -> Iterator[_Member]:
    for info in file:
        plain = info.isfile() or info.isdir()
        yield _Member(info.name, plain, info.isdir(), lambda info=info: file.extractfile(info))
