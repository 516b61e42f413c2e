"""Find the photos that a user names: files, folders with everything below them, or patterns."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.common.text import did_you_mean_path, printable
from helpers.data.decode import readable_formats
from helpers.data.image_folder import CAMERA_SUFFIXES, SUFFIXES, is_photo, is_system_folder


class InputPhotos(NamedTuple):
    """The photos in the order in which they were named, each once, and what was named but is not a photo."""

    photos: list[Path]
    problems: list[str]  # sentences: what does not exist or holds no photos
    skipped: str  # files in folders that have no photo's suffix, such as '3 .heic, 1 .txt'; may be empty


def expand_paths(named: Iterable[str | Path]) -> InputPhotos:
    """Expand files, folders and patterns to photos. A file counts whatever its suffix; in folders the suffix decides.

    Patterns such as ``holiday/*.jpg`` are for shells that do not expand them, as on Windows.
    """
    photos: dict[Path, None] = {}
    problems: list[str] = []
    skipped: Counter[str] = Counter()
    for name in map(str, named):
        if not name:  # Path("") is the current folder, with everything below it
            problems.append("an empty name '': name a file, a folder or a pattern")
            continue
        paths = [Path(name)]
        if not os.path.lexists(name) and glob.has_magic(name):
            paths = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
            if not paths:
                problems.append(f"{printable(name)}: nothing matches this pattern")
        for path in paths:
            if not os.path.lexists(path):
                problems.append(printable(f"{path} does not exist{did_you_mean_path(path)}"))
            elif not path.is_dir():
                photos[path] = None
            elif found := list(_photos_below(path, problems, skipped)):
                photos |= dict.fromkeys(found)
            else:
                problems.append(f"{printable(str(path))} holds no photos ({', '.join(sorted(SUFFIXES))})")
    return InputPhotos(list(photos), problems, ", ".join(f"{n} {suffix}" for suffix, n in skipped.most_common(5)))


def _photos_below(root: Path, problems: list[str], skipped: Counter[str]) -> Iterator[Path]:
    """Find the photos in the folder and its subfolders, by name; follow links to folders, each folder once."""
    seen: set[str] = set()

    def note(error: OSError) -> None:
        problems.append(f"{printable(str(error.filename))} cannot be read ({error.strerror}): check its permissions")

    for folder, folders, files in os.walk(root, followlinks=True, onerror=note):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()  # a loop of links
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_system_folder(name))
        for name in sorted(name for name in files if not name.startswith(".")):
            suffix = Path(name).suffix.lower()
            if is_photo(Path(folder, name)) and (suffix not in CAMERA_SUFFIXES or "HEIF" in readable_formats()):
                yield Path(folder, name)
            else:
                skipped[suffix or "without a suffix"] += 1
