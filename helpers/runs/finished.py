"""Reading what a run left: its folder alone, without training, for figures, the report and comparisons.

What is missing, damaged or of another version is named in ``notes``; the rest can still be used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.common.errors import ParameterError, RunError
from helpers.evaluation.predictions import StoredPredictions, read_predictions
from helpers.recipe import Recipe
from helpers.runs.history import History

CHECKED = ("history.csv", "predictions.csv")  # beside results.json itself


SEAL = "checksums"


OWN_TRANSFORM = "val_transform.txt"  # there if the photos were validated through another transform than the recipe's


NEEDED = ("run", "classes", "photos", "val_photos", "best_val_accuracy", "interval_low", "interval_high", "demo")


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder, read. ``None`` or empty is what could not be read; ``notes`` say why."""

    folder: Path
    results: dict[str, Any]
    recipe: Recipe | None
    history: History | None
    called: StoredPredictions | None
    environment: dict[str, Any]
    notes: tuple[str, ...]


def read_run(folder: Path) -> FinishedRun:
    """What the run in ``folder`` left behind.

    Raises:
        RunError: the folder is none of a run, its run is not finished, or its results are damaged.
    """
    results = _read_results(folder)
    return _read_parts(folder, results, verify_checksums(folder, results))


def read_what_is_there(folder: Path) -> FinishedRun:
    """The same of a run that is not finished, or whose results are damaged: ``results`` are empty then.

    Raises:
        RunError: the folder is none of a run.
    """
    try:
        return read_run(folder)
    except RunError as error:
        if not any((folder / name).is_file() for name in ("recipe.json", *CHECKED)):
            raise
        return _read_parts(folder, {}, [str(error)])


def _read_parts(folder: Path, results: dict[str, Any], notes: list[str]) -> FinishedRun:
    if (folder / OWN_TRANSFORM).is_file():
        notes.append(
            f"{folder} was validated through a transform of its own ({OWN_TRANSFORM}), which cannot be made again: "
            "photos are shown to the model as the recipe says, and its answers may be others than the run's"
        )
    parts: dict[str, Any] = {"recipe": None, "history": None, "called": None, "environment": {}}
    for part, read in (
        ("recipe", lambda: read_recipe(folder, notes)),
        ("history", lambda: History.from_csv(folder / "history.csv")),
        ("called", lambda: read_predictions(folder / "predictions.csv")),
        ("environment", lambda: _read_json(folder / "environment.json")),
    ):
        try:
            parts[part] = read()
        except (RunError, ParameterError) as error:
            notes.append(str(error))
    return FinishedRun(folder, results, notes=tuple(notes), **parts)


def read_recipe(folder: Path, notes: list[str] | None = None) -> Recipe:
    """The recipe of a run. Of another version's, settings that are unknown here are left out and named in ``notes``.

    Raises:
        RunError: ``recipe.json`` is missing or damaged.
        ParameterError: a value is none that this version allows.
    """
    values = _read_json(folder / "recipe.json")
    known = {f.name for f in dataclasses.fields(Recipe)}
    for words, names in (("does not know", values.keys() - known), ("has besides", known - values.keys())):
        if names and notes is not None:
            notes.append(
                f"{folder / 'recipe.json'} is of another version: settings that this one {words}: "
                + ", ".join(sorted(names))
            )
    return Recipe(**{name: value for name, value in values.items() if name in known})


def add_checksums(folder: Path, results: dict[str, Any]) -> dict[str, Any]:
    """The results with checksums of themselves and of the files that they were computed from, SHA-256.

    They tell an edited number from a measured one; they do not keep anybody from making up both.
    """
    plain = {name: value for name, value in results.items() if name != SEAL}
    sums = {"results": _digest(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode())}
    sums |= {name: _digest((folder / name).read_bytes()) for name in CHECKED if (folder / name).is_file()}
    return plain | {SEAL: sums}


def verify_checksums(folder: Path, results: dict[str, Any]) -> list[str]:
    """What was changed after the run wrote it, in sentences; none if everything is as it was."""
    sums = results.get(SEAL)
    if not isinstance(sums, dict) or "results" not in sums:
        return [f"{folder / 'results.json'} has no checksum: it is of an earlier version, or was edited by hand"]
    now = add_checksums(folder, results)[SEAL]
    names = {"results": "results.json"}
    return [
        f"{folder / names.get(name, name)} was {'changed' if name in now else 'removed'} after the run wrote it: "
        "its numbers are not the run's"
        for name, value in sums.items()
        if now.get(name) != value
    ]


def _read_results(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise RunError(f"{folder} does not exist: name the folder of a run, such as work_dir/demo-resnet18")
    if not (folder / "results.json").is_file():
        if (folder / "recipe.json").is_file():
            raise RunError(f"{folder} holds a run that is not finished: the command that began it continues it")
        raise RunError(f"{folder} is not the folder of a run: it has no results.json")
    results = _read_json(folder / "results.json")
    if missing := [name for name in NEEDED if name not in results]:
        raise RunError(f"{folder / 'results.json'} is damaged or of another version: {missing[0]!r} is missing")
    return results


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}): run again") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged (an object is needed): run again")
    return value


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
