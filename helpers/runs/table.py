"""Finished runs as rows of a table: found by name, grouped by their photos, compared within each group."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from helpers.common.errors import RunError
from helpers.common.text import did_you_mean_path, printable
from helpers.evaluation import statistics
from helpers.evaluation.predictions import StoredPredictions
from helpers.recipe import Recipe
from helpers.runs import history, recipe_file, results, saving
from helpers.runs.finished import FinishedRun, damage_named, read_run
from helpers.runs.folders import project_root, work_folder
from helpers.runs.history import History

TRACES = (recipe_file.FILE, results.FILE, history.FILE, saving.FACTS)  # a folder that holds one of them is a run's
UNLISTED = (*Recipe.names("place"), "dataset", "backbone", "epochs")  # have columns of their own, or change nothing


@dataclass(frozen=True)
class RunRow:
    """One finished run. Accuracies and differences are shares in [0, 1]."""

    name: str
    group: str  # A, B: which photos; "A split 2": the same photos, split differently
    dataset: str  # its name without the folder
    demo: bool
    backbone: str
    photos: int
    val_photos: int
    epochs: int
    best: float  # accuracy of the best epoch
    low: float  # its 95 % interval, Wilson's
    high: float
    last_five: float  # mean accuracy of the last five epochs
    seconds: float  # of training
    device: str
    finished: float  # when results.json was written, seconds since 1970
    settings: dict[str, Any]  # the recipe, without what stands above
    fingerprint: str  # of the photos
    history: History | None
    predictions: StoredPredictions | None
    difference: statistics.Estimate | None = None  # to the first row of the group, paired by photo
    p_value: float | None = None  # McNemar's, adjusted for the number of rows (Holm)
    no_difference: str = ""  # why there is none

    def to_dict(self) -> dict[str, Any]:
        """Return what can be written down: all but history and predictions."""
        left_out = ("fingerprint", "history", "predictions", "difference")
        mean, low, high = self.difference or (None, None, None)
        plain = {name: value for name, value in vars(self).items() if name not in left_out}
        return plain | {"difference": mean, "difference_low": low, "difference_high": high}


@dataclass(frozen=True)
class Table:
    """The rows by group, real photos first."""

    rows: tuple[RunRow, ...]
    notes: tuple[str, ...]  # in sentences: folders without a row, and doubts about some that have one

    @property
    def groups(self) -> dict[str, RunRow]:
        """The first row of each group."""
        return {row.group: row for row in reversed(self.rows)}

    @property
    def differing(self) -> tuple[str, ...]:
        """Names of the settings that are not the same in all rows, in the recipe's order."""
        names = dict.fromkeys(name for row in self.rows for name in row.settings)
        return tuple(name for name in names if len({str(row.settings.get(name)) for row in self.rows}) > 1)


def run_folders(work_dir: Path, names: Sequence[str] = ()) -> list[Path]:
    """Find the runs with these names, paths or folders in ``work_dir``; without names all runs in it.

    Raises RunError: there is no such folder.
    """
    if names:
        return list(dict.fromkeys(find_run(name, work_dir) for name in names))
    if not work_dir.is_dir():
        raise RunError(f"{work_dir} does not exist: make run makes a run in work_dir, or name another folder")
    return sorted(each for each in work_dir.iterdir() if any((each / trace).is_file() for trace in TRACES))


def find_run(name: str | None, work_dir: Path | None = None) -> Path:
    """Find a run's folder by its path, or its name in ``work_dir`` (default: the project's).

    Without a name (None or empty) it is the newest finished run, which is printed.

    Raises RunError: there is none.
    """
    work_dir = work_dir or work_folder(Recipe(), project_root(Path(__file__).parent))
    if not name:
        finished = sorted(work_dir.glob(f"*/{results.FILE}"), key=lambda path: path.stat().st_mtime)
        if not finished:
            raise RunError(f"there is no finished run in {work_dir}: `make run` makes one, or name a run's folder")
        print(f"no run given: {printable(finished[-1].parent.name)} is the newest finished one", flush=True)
        return finished[-1].parent
    for folder in (Path(name), work_dir / name):
        if os.path.isdir(folder):  # no error if the name is too long
            return folder
    hint = did_you_mean_path(work_dir / Path(name).name)
    raise RunError(f"there is no run {name!r}, neither here nor in {work_dir}{hint}")


def load_run_table(folders: Iterable[Path]) -> Table:
    """Read the finished runs and compare each with the first of its group."""
    rows, notes = [], []
    for folder in folders:
        try:
            with damage_named(folder):
                run = read_run(folder)
                rows.append(_row(run))
                notes += run.notes
        except RunError as error:
            notes.append(str(error))
    grouped = _grouped(rows)
    firsts = Table(grouped, ()).groups
    compared = [_compared(row, firsts[row.group]) for row in grouped]
    adjusted = iter(statistics.holm([row.p_value for row in compared if row.p_value is not None]))
    compared = [row if row.p_value is None else replace(row, p_value=next(adjusted)) for row in compared]
    return Table(tuple(compared), tuple(notes))


def _row(run: FinishedRun) -> RunRow:
    r, recipe = run.results, run.recipe.to_dict() if run.recipe else {}
    return RunRow(
        name=printable(run.folder.resolve().name),
        group="",
        dataset=re.split(r"[/\\]", str(r["dataset"]).rstrip("/\\"))[-1],
        demo=bool(r["demo"]),
        backbone=str(r["backbone"]),
        photos=int(r["photos"]),
        val_photos=int(r["val_photos"]),
        epochs=int(r["epochs"]),
        best=float(r["best_val_accuracy"]),
        low=float(r["interval_low"]),
        high=float(r["interval_high"]),
        last_five=float(r["last_five_mean"]),
        seconds=float(r["training_seconds"]),
        device=_device(run.environment),
        finished=(run.folder / results.FILE).stat().st_mtime,
        settings={name: value for name, value in recipe.items() if name not in UNLISTED}
        | {f"{name} by hand": text for name, text in run.changes.items()},
        fingerprint=str(run.environment.get("data_fingerprint") or "")
        or f"unknown, {run.folder}",  # then comparable with none
        history=run.history,
        predictions=run.predictions,
    )


def _device(environment: dict[str, Any]) -> str:
    """Describe the machine in short, such as ``AMD EPYC, 2 threads, bf16``."""
    name = str(environment.get("device_name", "–"))
    name = re.sub(r"\((R|TM)\)|@.*GHz|\b(CPU|Processor|NVIDIA|\d+-Core)\b", "", name)
    precision = {"bfloat16": ", bf16", "float32": ", fp32"}.get(environment.get("precision"), "")
    return re.sub(r"\s+", " ", name).replace(" ,", ",").strip() + precision


def _grouped(rows: list[RunRow]) -> tuple[RunRow, ...]:
    """Group the rows, in order: a letter for each set of photos, a number for each further split of it."""
    splits: dict[str, list[frozenset[str]]] = {}  # of each set of photos: the validation photos' names
    for row in sorted(rows, key=lambda row: row.demo):
        known = splits.setdefault(row.fingerprint, [])
        if row.predictions and frozenset(row.predictions.names) not in known:
            known.append(frozenset(row.predictions.names))

    def place(row: RunRow) -> tuple[int, int]:
        known = splits[row.fingerprint]
        split = known.index(frozenset(row.predictions.names)) if row.predictions else len(known)
        return list(splits).index(row.fingerprint), split

    def name(row: RunRow) -> str:
        letter, split = place(row)
        ending = " split unknown" if row.predictions is None else f" split {split + 1}" if split else ""
        return (chr(ord("A") + letter) if letter < 26 else f"A{letter}") + ending

    return tuple(replace(row, group=name(row)) for row in sorted(rows, key=place))


def _compared(row: RunRow, first: RunRow) -> RunRow:
    """Return the row with its paired difference to the first of its group."""
    if row.predictions is None:  # nor has the first, then
        return replace(row, no_difference="no predictions")
    if row is first:
        return replace(row, no_difference="first")
    mine, base = (
        dict(zip(each.names, each.probabilities.argmax(1).eq(each.labels).tolist(), strict=True))
        for each in (row.predictions, first.predictions)
    )
    names = sorted(mine)
    correct, before = (np.array([each[name] for name in names], dtype=float) for each in (mine, base))
    gain = statistics.bootstrap(correct - before, np.arange(len(names)))
    p_value = statistics.mcnemar(int((correct > before).sum()), int((correct < before).sum()))
    return replace(row, difference=gain, p_value=p_value)
