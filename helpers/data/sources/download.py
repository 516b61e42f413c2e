"""Download one large file: with progress, resumed after a break, and checked."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from helpers.common.errors import PhotosError
from helpers.common.files import file_digest
from helpers.common.progress import bar

BLOCK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte


def download(
    url: str, path: Path, sha256: str | None, *, attempts: int = 5, log: Callable[[str], None] = print
) -> None:
    """Download ``url`` to ``path`` unless it is there; a broken download is continued.

    Args:
        sha256: what the file must be, in hexadecimal.
        attempts: give up after so many in a row without progress.

    Raises:
        PhotosError: no connection, or the file is not what it should be; it is then removed.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".part")
        _fetch(url, partial, attempts, log)
        partial.replace(path)
    digest = file_digest(path)
    if digest != sha256:
        path.unlink()
        raise PhotosError(
            f"{path.name} from {url} has SHA-256 {digest}, not {sha256}: it was damaged or exchanged on its way, "
            "and has been removed. Try again; if that does not help, get the file from somebody you trust"
        )


def _fetch(url: str, partial: Path, attempts: int, log: Callable[[str], None]) -> None:
    failures = 0
    while True:
        before = _size(partial)
        try:
            return _continue(url, partial, log)
        except (OSError, http.client.HTTPException, EOFError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 416:
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return None  # everything had come before
                partial.unlink(missing_ok=True)  # the part is longer than the file: another file's
            failures = 1 if _size(partial) > before else failures + 1
            if failures >= attempts or (isinstance(error, urllib.error.URLError) and before == 0):
                raise PhotosError(
                    f"{url} could not be downloaded ({error}). Get it on a machine with a network and set dataset to "
                    f"the file, or put it into {partial.parent} as {partial.name.removesuffix('.part')}"
                ) from error
            log(f"connection lost ({error}); trying again")
            time.sleep(min(2.0**failures, 10) / 10)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continue(url: str, partial: Path, log: Callable[[str], None]) -> None:
    have = _size(partial)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:
            have = 0  # the server does not continue: from the start
        expected = have + int(answer.headers.get("Content-Length") or 0)
        log(f"downloading {url}: {have / 1e6:.0f} of {expected / 1e6:.0f} MB are here")
        with open(partial, "ab" if have else "wb") as sink:
            _copy(answer, sink, have, expected, log)
    if expected and partial.stat().st_size < expected:
        raise EOFError(f"the connection ended after {partial.stat().st_size:,} of {expected:,} bytes")


def _copy(answer, sink, done: int, total: int, log: Callable[[str], None]) -> None:
    """Copy with a progress bar, or with a line per tenth where nobody watches."""
    tenth = done * 10 // total if total else 0
    with bar(total=total or None, initial=done, unit="B", unit_scale=True, leave=True) as shown:
        while block := answer.read(BLOCK):
            sink.write(block)
            shown.update(len(block))
            done += len(block)
            if total and done * 10 // total > tenth and shown.disable:
                tenth = done * 10 // total
                log(f"  {done / 1e6:.0f} of {total / 1e6:.0f} MB")
