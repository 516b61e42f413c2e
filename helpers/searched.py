"""What a search found (``trials.json`` of ``helpers.study``): read, and made into a recipe that can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helpers.errors import ParameterError, RunError
from helpers.recipe import Recipe

# Of all trials: a schedule that ends low whatever lr it starts from; and a crop on which crop_scale has an effect, so
# that no trial is told apart from another by a setting that does nothing in it.
FIXED = {"schedule": "cosine", "crop": "random_resized"}


def read(path: Path) -> dict[str, Any]:
    """What ``helpers.study`` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    names = ("preset", "changed", "backbone", "cost", "commit", "machine", "importances", "trials")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is missing, damaged, or of another version ({error}): "
            "the command of the search with --trials 0 writes it again"
        ) from error


def finished(search: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials that were not given up, the most accurate first."""
    return sorted(
        (row for row in search["trials"] if row["state"] == "complete"), key=lambda row: row["accuracy"], reverse=True
    )


def winner(search: dict[str, Any], **places: Any) -> Recipe:
    """The recipe of the most accurate trial, at full cost.

    Args:
        places: settings that are not the search's own, such as dataset and backbone.

    Raises:
        ParameterError: no trial is finished.
    """
    if not (whole := finished(search)):
        raise ParameterError("no trial of the search is finished: raise --trials")
    settings = {**search["changed"], **FIXED, **whole[0]["settings"], **places}
    return Recipe.from_preset(search["preset"], **settings)
