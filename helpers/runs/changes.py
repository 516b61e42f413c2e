"""``changes.json``: what the cells of a notebook changed by hand in the recipe's training."""

from pathlib import Path

from helpers.common.errors import RunError
from helpers.common.files import read_json, write_json

FILE = "changes.json"


def save_changes(folder: Path, changes: dict[str, str]) -> None:
    """Write the file, unless there never was a change."""
    if changes or (folder / FILE).exists():
        write_json(folder / FILE, changes)


def check_changes(folder: Path, changes: dict[str, str], begun: bool) -> None:
    """Check that a training which was begun goes on with what it was begun with.

    Raises RunError: a cell was changed since.
    """
    before = read_changes(folder) if begun else changes
    for name in before | changes:
        then, now = (each.get(name, "as in the recipe") for each in (before, changes))
        if then != now:
            raise RunError(
                f"{folder.name} was begun with another {name} ({then}; now {now}): run all cells again, for a run of "
                "its own; if this one is unfinished, with resume = False"
            )


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
