"""``changes.json``: what the cells of a notebook changed by hand in the recipe's training."""

from pathlib import Path

from helpers.common.errors import RunError
from helpers.common.files import read_json, write_json

FILE = "changes.json"


def save_changes(folder: Path, changes: dict[str, str]) -> None:
    """Write the file, unless there never was a change."""
    if changes or (folder / FILE).exists():
        write_json(folder / FILE, changes)


def read_changes(folder: Path) -> dict[str, str]:
    """Read what was changed (``optimizer``, ``loss``, …) and how the object in its place is written.

    Raises RunError: the file is damaged.
    """
    if not (folder / FILE).is_file():
        return {}
    changes = read_json(folder / FILE)
    if not all(isinstance(text, str) for text in changes.values()):
        raise RunError(f"{folder / FILE} is damaged: run again")
    return changes
