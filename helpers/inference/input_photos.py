"""Which photos a user means: files, folders with all that is below them, patterns such as ``holiday/*.jpg``."""

from __future__ import annotations

import difflib
import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.common.text import printable
from helpers.data.image_folder import SUFFIXES


class Gathered(NamedTuple):
    """Photos in the order in which they were named, each once, and what was named but is none."""

    photos: list[Path]
    problems: list[str]  # sentences: what does not exist, or holds no photos
    passed_over: str  # files in folders that are no photos by their names, such as '3 .heic, 1 .txt'; or nothing


def expand_paths(named: Iterable[str | Path]) -> Gathered:
    """The photos that are meant. A file counts whatever its name; in folders the suffix decides.

    Patterns are for shells that do not expand them, as on Windows.
    """
    photos: dict[Path, None] = {}
    problems: list[str] = []
    others: Counter[str] = Counter()
    for name in named:
        if not str(name):  # would be the folder one is in, with all below it
            problems.append("an empty name '' means no photo: name a file, a folder or a pattern")
            continue
        places = [Path(name)]
        if not os.path.lexists(name) and glob.has_magic(str(name)):
            places = [Path(found) for found in sorted(glob.glob(str(name), recursive=True))]
        if not places:
            problems.append(f"{printable(str(name))}: nothing fits this pattern")
        for place in places:
            found = list(_below(place, problems, others)) if place.is_dir() else [place]
            if not found:
                problems.append(f"{printable(str(place))} holds no photos ({', '.join(sorted(SUFFIXES))})")
            elif not os.path.lexists(place):
                problems.append(_missing(place))
            else:
                photos |= dict.fromkeys(found)
    return Gathered(list(photos), problems, ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5)))


def _below(root: Path, problems: list[str], others: Counter[str]) -> Iterator[Path]:
    """Photos in the folder and its sub-folders, by name. Links to folders are followed, each folder once."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=lambda e: problems.append(_refused(e))):
        here = os.path.realpath(folder)
        if here in seen:
            folders.clear()  # a loop of links
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(name for name in files if not name.startswith(".")):
            suffix = Path(name).suffix.lower()
            if suffix in SUFFIXES:
                yield Path(folder, name)
            else:
                others[suffix or "without a suffix"] += 1


def _missing(path: Path) -> str:
    try:
        siblings = os.listdir(path.parent)
    except OSError:
        siblings = []  # nor does its folder
    near = difflib.get_close_matches(path.name, siblings, n=1)
    return f"{printable(str(path))} does not exist" + (f": did you mean {path.parent / near[0]}?" if near else "")


def _refused(error: OSError) -> str:
    return f"{printable(str(error.filename))} cannot be read ({error.strerror}): check its permissions"
