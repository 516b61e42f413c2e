"""Finished runs as rows to be compared: read from their folders, grouped by the photos they were examined on."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from helpers.common.errors import RunError
from helpers.common.text import did_you_mean_path
from helpers.evaluation import statistics
from helpers.evaluation.predictions import StoredPredictions
from helpers.recipe import Recipe
from helpers.runs.finished import FinishedRun, read_run
from helpers.runs.history import History
from helpers.runs.run import project_root, work_folder

# Of other folders in work_dir none has these directly: cache, photos, comparison-…/<row>/fold-…, browser/<run>, …
TRACES = ("recipe.json", "results.json", "history.csv", "best_model.json")  # a folder with one of them is of a run


@dataclass(frozen=True)
class Row:
    """One finished run. Accuracies and differences are shares in [0, 1]."""

    name: str
    group: str  # A, B: which photos; "A split 2": the same photos, split otherwise
    dataset: str  # its name without the folder
    demo: bool
    backbone: str
    photos: int
    val_photos: int
    epochs: int
    best: float  # accuracy of the best epoch
    low: float  # its 95 % interval, Wilson's
    high: float
    last_five: float | None  # mean accuracy of the last five epochs
    seconds: float | None  # of training
    device: str
    finished: float  # when results.json was written, seconds since 1970
    settings: dict[str, Any]  # the recipe, without what stands above
    history: History | None
    predictions: StoredPredictions | None
    difference: statistics.Estimate | None = None  # to the first row of the group, paired by photo
    p_value: float | None = None  # McNemar's, raised for the number of rows (Holm)
    why_no_difference: str = ""

    def to_dict(self) -> dict[str, Any]:
        """What can be written down: everything but history and predictions."""
        left_out = ("history", "predictions", "difference")
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in left_out}
        mean, low, high = self.difference or (None, None, None)
        return plain | {"difference": mean, "difference_low": low, "difference_high": high}


@dataclass(frozen=True)
class Table:
    """The rows, in groups; real photos first."""

    rows: tuple[Row, ...]
    others: tuple[str, ...]  # in sentences: folders that are no rows, and what is doubtful about some that are

    @property
    def groups(self) -> dict[str, Row]:
        """The first row of each group."""
        firsts: dict[str, Row] = {}
        for row in self.rows:
            firsts.setdefault(row.group, row)
        return firsts

    @property
    def differing(self) -> tuple[str, ...]:
        """Names of the settings that are not the same in all rows, in the recipe's order."""
        names = dict.fromkeys(name for row in self.rows for name in row.settings)
        return tuple(name for name in names if len({str(row.settings.get(name)) for row in self.rows}) > 1)


def run_folders(work_dir: Path, names: Sequence[str] = ()) -> list[Path]:
    """The folders called so, as paths or in ``work_dir``; without names all folders of runs in it, by name.

    Raises:
        RunError: there is no such folder.
    """
    if not names:
        if not work_dir.is_dir():
            raise RunError(f"{work_dir} does not exist: make run makes a run in work_dir, or name another folder")
        return sorted(each for each in work_dir.iterdir() if any((each / trace).is_file() for trace in TRACES))
    return list(dict.fromkeys(find_run(name, work_dir) for name in names))


def find_run(name: str | None, work_dir: Path | None = None) -> Path:
    """A run's folder: a path, or a name in ``work_dir``; without a name the newest finished one, which is said.

    Args:
        name: None and an empty one, which would be the folder one is in, are no name.
        work_dir: folder of runs; by default the project's.

    Raises:
        RunError: there is none.
    """
    work_dir = work_dir or work_folder(Recipe(), project_root(Path(__file__).parent))
    if not name:
        finished = sorted(work_dir.glob("*/results.json"), key=lambda path: path.stat().st_mtime)
        if not finished:
            raise RunError(f"there is no finished run in {work_dir}: `make run` makes one, or name a run's folder")
        print(f"no run given: {finished[-1].parent.name} is the newest finished one", flush=True)
        return finished[-1].parent
    for folder in (Path(name), work_dir / name):
        if folder.is_dir():
            return folder
    hint = did_you_mean_path(work_dir / Path(name).name)
    raise RunError(f"there is no run {name!r}, neither here nor in {work_dir}{hint}")


def load_run_table(folders: Iterable[Path]) -> Table:
    """The finished runs of the folders as rows; the first of each group is what the others are compared with."""
    runs, others = [], []
    for folder in folders:
        try:
            run = read_run(folder)
            runs.append((run, _row(run)))
            others += run.notes
        except RunError as error:
            others.append(str(error))
        except (KeyError, TypeError, ValueError) as error:
            others.append(f"{folder / 'results.json'} is damaged ({type(error).__name__}: {error}): run again")
    rows = _grouped(runs)
    first: dict[str, Row] = {}
    compared = [_against(row, first.setdefault(row.group, row)) for row in rows]
    return Table(_raised(compared), tuple(others))


def _row(run: FinishedRun) -> Row:
    r, recipe = run.results, run.recipe.to_dict() if run.recipe else {}
    columns = {f.name for f in dataclasses.fields(Row)}
    return Row(
        name=run.folder.resolve().name,
        group="",
        dataset=re.split(r"[/\\]", str(r.get("dataset", "unknown")).rstrip("/\\"))[-1],
        demo=bool(r["demo"]),
        backbone=str(r.get("backbone", "unknown")),
        photos=int(r["photos"]),
        val_photos=int(r["val_photos"]),
        epochs=int(r.get("epochs", len(run.history or ()))),
        best=float(r["best_val_accuracy"]),
        low=float(r["interval_low"]),
        high=float(r["interval_high"]),
        last_five=r.get("last_five_mean"),
        seconds=r.get("training_seconds"),
        device=_device(run.environment),
        finished=(run.folder / "results.json").stat().st_mtime,
        settings={name: recipe[name] for name in recipe if name not in columns.union(Recipe.names("place"))},
        history=run.history,
        predictions=run.predictions,
    )


def _device(environment: dict[str, Any]) -> str:
    """The machine in short, such as ``AMD EPYC, 2 threads, bf16``."""
    name = re.sub(
        r"\((R|TM)\)|@.*GHz|\b(CPU|Processor|NVIDIA|\d+-Core)\b", "", str(environment.get("device_name", "–"))
    )
    precision = {"bfloat16": ", bf16", "float32": ", fp32"}.get(environment.get("precision"), "")
    return re.sub(r"\s+", " ", name).replace(" ,", ",").strip() + precision


def _grouped(runs: list[tuple[FinishedRun, Row]]) -> list[Row]:
    """The rows with their groups: a letter for each set of photos, a number for each further split of it."""
    runs = sorted(runs, key=lambda pair: pair[1].demo)  # stable: real photos first
    letters: dict[str, str] = {}
    splits: dict[str, list[frozenset[str]]] = {}
    rows = []
    for run, row in runs:
        # What does not say which photos it saw is a group by itself: it can be compared with nothing.
        photos = run.environment.get("data_fingerprint") or f"unknown, {run.folder}"
        letter = letters.setdefault(photos, _letter(len(letters)))
        rows.append(replace(row, group=letter + _split_of(run.predictions, splits.setdefault(letter, []))))
    order = list(dict.fromkeys(row.group for row in rows))
    letter_order = list(letters.values())
    return sorted(rows, key=lambda row: (letter_order.index(row.group.split(" ")[0]), order.index(row.group)))


def _split_of(called: StoredPredictions | None, known: list[frozenset[str]]) -> str:
    """Which of the known splits of its photos a run was examined on, as an ending for its group's name."""
    if called is None:
        return " split unknown"
    names = frozenset(called.names)
    if names not in known:
        known.append(names)
    number = known.index(names) + 1
    return f" split {number}" if number > 1 else ""


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"A{number}"


def _against(row: Row, first: Row) -> Row:
    """The row with its paired difference to the first of its group."""
    if row.predictions is None or first.predictions is None:  # they are of one group, so of both
        return replace(row, why_no_difference="no predictions")
    if row is first:
        return replace(row, why_no_difference="first")
    mine, its = (_right(each.predictions) for each in (row, first))
    names = sorted(mine)
    right, base = (np.array([answers[name] for name in names], dtype=float) for answers in (mine, its))
    gain = statistics.difference(right, base, np.arange(len(names)))
    return replace(row, difference=gain, p_value=statistics.mcnemar(right, base))


def _raised(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with their p-values raised for how many there are: among many, one is soon small by chance."""
    raised = iter(statistics.holm([row.p_value for row in rows if row.p_value is not None]))
    return tuple(row if row.p_value is None else replace(row, p_value=next(raised)) for row in rows)


def _right(called: StoredPredictions) -> dict[str, bool]:
    """For each photo whether the call was right."""
    right = called.probabilities.argmax(1) == called.labels
    return dict(zip(called.names, right.tolist(), strict=True))
