"""Read what a run left in its folder: for figures, the report and comparisons, without training."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.common.errors import ParameterError, RunError
from helpers.evaluation import predictions as predictions_file
from helpers.evaluation.predictions import StoredPredictions, read_predictions
from helpers.recipe import Recipe
from helpers.runs import history as history_file
from helpers.runs.changes import read_changes
from helpers.runs.environment import read_environment
from helpers.runs.folders import has_results
from helpers.runs.history import History
from helpers.runs.recipe_file import FILE as RECIPE
from helpers.runs.recipe_file import has_recipe, read_recipe
from helpers.runs.results import read_run_results, verify_checksums


@dataclass(frozen=True)
class FinishedRun:
    """The contents of a run's folder. ``None`` or empty is what could not be read; ``notes`` say why."""

    folder: Path
    results: dict[str, Any]
    recipe: Recipe | None
    history: History | None
    predictions: StoredPredictions | None
    environment: dict[str, Any]
    changes: dict[str, str]  # what the notebook's cells changed by hand, see ``runs.changes``
    notes: tuple[str, ...]


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """Name the run's folder where its files hold something else than a run writes."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(f"a file in {folder} is damaged ({error!r}): copy the folder again, or run again") from error


def read_run(folder: Path) -> FinishedRun:
    """Read a finished run.

    Raises RunError: the folder is not a run's, the run is not finished, or its results are damaged.
    """
    if not os.path.isdir(folder):
        raise RunError(f"{folder} does not exist: name the folder of a run, such as work_dir/demo-mobilenet_v2")
    if not has_results(folder):
        if has_recipe(folder):
            raise RunError(f"{folder} holds a run that is not finished: the command that began it continues it")
        raise RunError(f"{folder} is not the folder of a run: it has no results.json")
    results = read_run_results(folder)
    return _read_parts(folder, results, verify_checksums(folder, results))


def read_partial_run(folder: Path) -> FinishedRun:
    """Read a run that need not be finished; its ``results`` are empty if they are missing or damaged.

    Raises RunError: the folder is not a run's.
    """
    try:
        return read_run(folder)
    except RunError as error:
        if not any((folder / name).is_file() for name in (RECIPE, history_file.FILE, predictions_file.FILE)):
            raise
        return _read_parts(folder, {}, [str(error)])


def _read_parts(folder: Path, results: dict[str, Any], notes: list[str]) -> FinishedRun:
    def attempt(read, otherwise):
        try:
            return read(folder)
        except (RunError, ParameterError) as error:
            notes.append(str(error))
            return otherwise

    recipe, unknown = attempt(read_recipe, (None, []))
    if unknown:
        notes.append(f"{folder / RECIPE} has settings that this version does not: {', '.join(unknown)}")
    history, predictions = attempt(History.read, None), attempt(read_predictions, None)
    environment, changes = attempt(read_environment, {}), attempt(read_changes, {})
    notes += [f"{folder}: changed by hand: {name} = {text}" for name, text in changes.items()]
    if "val_transform" in changes:
        notes.append("that transform cannot be rebuilt: photos are prepared as the recipe says")
    return FinishedRun(folder, results, recipe, history, predictions, environment, changes, tuple(notes))
