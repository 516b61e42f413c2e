"""Leakage: a model that was trained on photos which this run holds out may not be its teacher, or its start."""

from pathlib import Path

from helpers.common.errors import ParameterError, RunError
from helpers.data.split import read_split_rows
from helpers.runs.environment import read_environment
from helpers.runs.recipe_file import read_recipe
from helpers.runs.run import Run

SPLIT = "split.csv"


def check_unseen(run: Run, setting: str, model: Path) -> None:
    """Refuse a model of another run that was trained on photos which this run holds out.

    Args:
        setting: that names the model, for the message.
        model: a file in the other run's folder. Where that has no ``split.csv``, nothing is known, and nothing said.

    Raises ParameterError: some of the photos are the same.
    """
    other = model.parent
    if not ((other / SPLIT).is_file() and (run.folder / SPLIT).is_file()) or not _same_photos(run, other):
        return
    held_out = {row["name"] for row in read_split_rows(run.folder / SPLIT) if row["subset"] != "train"}
    seen = sorted(held_out & {row["name"] for row in read_split_rows(other / SPLIT) if row["subset"] == "train"})
    if seen:
        raise ParameterError(
            f"{setting} = {getattr(run.recipe, setting)!r} was trained on {len(seen)} of the {len(held_out)} photos "
            f"that this run holds out, such as {seen[0]}: its accuracy would mean nothing. Train it with seed = "
            f"{run.recipe.seed} and train_fraction = {run.recipe.train_fraction}, or choose another"
        )


def _same_photos(run: Run, other: Path) -> bool:
    """Tell whether both are of the same photos, or of the same folder, to which some may have been added."""
    try:
        theirs, ours = (read_environment(folder).get("data_fingerprint") for folder in (other, run.folder))
        return theirs == ours or read_recipe(other)[0].dataset == run.recipe.dataset != "demo"
    except RunError:
        return False
