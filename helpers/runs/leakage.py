"""Leakage: a model that was trained on photos which this run holds out may not be its teacher, or its start."""

import contextlib
import filecmp
from collections.abc import Callable
from pathlib import Path

from helpers.common.errors import ParameterError, RunError
from helpers.common.text import listed
from helpers.data.split import read_split_rows
from helpers.runs.environment import read_environment
from helpers.runs.folders import work_folder
from helpers.runs.recipe_file import read_recipe
from helpers.runs.run import Run
from helpers.runs.saving import WEIGHTS

SPLIT = "split.csv"


def check_unseen(run: Run, setting: str, model: Path, log: Callable[[str], None]) -> None:
    """Refuse a model of another run that was trained on photos which this run holds out.

    Args:
        setting: that names the model, for the message.
        model: a file in the other run's folder, or a copy of the best model of a run in ``work_dir``. Of any
            other file nothing is known, and nothing said.
        log: told where the photos of two data sets merely have the same names.

    Raises ParameterError: some of the photos are the same.
    """
    other = _origin(model, work_folder(run.recipe, run.root))
    if other is None or not (run.folder / SPLIT).is_file():
        return
    held_out = {row["name"] for row in read_split_rows(run.folder / SPLIT) if row["subset"] != "train"}
    seen = sorted(held_out & {row["name"] for row in read_split_rows(other / SPLIT) if row["subset"] == "train"})
    if not seen:
        return
    recipe = run.recipe
    found = (
        f"{setting} = {getattr(recipe, setting)!r} was trained on {len(seen)} of the {len(held_out)} photos that this "
        f"run holds out, such as {seen[0]}"
    )
    if not _same_photos(run, other):
        log(f"{found}, if photos of the same name are the same: its accuracy would then mean nothing\n")
        return
    parts = listed([f"{name} = {getattr(recipe, name)}" for name in ("seed", "train_fraction", "test_fraction")])
    raise ParameterError(
        f"{found}: its accuracy would mean nothing. Choose a model that has not seen them, such as one trained with "
        f"{parts}"
    )


def _origin(model: Path, runs: Path) -> Path | None:
    """Return the folder of the run that made a model, if it has a ``split.csv``: it is there, or was copied from it."""
    if (model.parent / SPLIT).is_file():
        return model.parent
    for best in sorted(runs.glob(f"*/{WEIGHTS}")):
        with contextlib.suppress(OSError):  # one of the two cannot be read
            if (best.parent / SPLIT).is_file() and filecmp.cmp(model, best, shallow=False):
                return best.parent
    return None


def _same_photos(run: Run, other: Path) -> bool:
    """Tell whether both are of the same photos, or of the same folder, to which some may have been added."""
    try:
        theirs, ours = (read_environment(folder).get("data_fingerprint") for folder in (other, run.folder))
        return theirs == ours or read_recipe(other)[0].dataset == run.recipe.dataset != "demo"
    except RunError:
        return False
