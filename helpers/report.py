"""The report as a PDF: ``python -m helpers.report work_dir/<run>`` writes ``report/report.pdf``.

Everything in it is read from the run's folder: numbers, and with them the sentences that they choose. ``report.typ``
lays it out with typst, whose own fonts are used, so that the same run gives the same bytes everywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import typst

from helpers import checkpoint, comparison_table
from helpers.errors import ParameterError, RunError, UserError
from helpers.evaluate import confusion_matrix, wilson_interval
from helpers.finished import SEAL, Called, FinishedRun, changed_files, read_run
from helpers.report_blocks import Pieces, written
from helpers.report_facts import Facts
from helpers.report_figures import draw_figures
from helpers.report_tables import most_telling
from helpers.report_text import story
from helpers.runs import project_root

LAYOUT = ("report.typ", "references.bib")
COMPARISON = "report/results/comparison.json"
LIMIT = 4  # pages of main text that the assignment allows, references apart
DEMO = "DEMO: drawn photos, not real flowers"
CHANGED = "CHANGED AFTER THE RUN: these numbers are not the run's"
AUTHOR, EMAIL = "Author (set with --author)", "e-mail (set with --email)"
COURSE = "ECE371 Neural Networks and Deep Learning, Assignment 1"
NUMBERS = (
    *("photos", "train_photos", "val_photos", "epochs", "training_seconds"),
    *("best_epoch", "best_val_accuracy", "best_val_correct", "interval_low", "interval_high", "best_flatters_by"),
    *("last_val_accuracy", "last_val_loss", "last_train_accuracy", "last_five_mean", "last_five_spread"),
    "generalization_gap",
)


class Report(NamedTuple):
    """A finished PDF."""

    path: Path
    pages: int
    main_pages: int  # without references


def build(
    folder: Path,
    output: Path,
    author: str = AUTHOR,
    email: str = EMAIL,
    course: str = COURSE,
    comparison: Path | None = None,
    anyway: bool = False,
) -> Report:
    """Write the report of the run in ``folder``. It takes seconds.

    Args:
        comparison: rows of ``helpers.comparison``, for a run on real photos.
        anyway: report a run whose files were changed too; every page then says so.

    Raises:
        RunError: the run is not finished, its files are damaged, or were changed after it wrote them; or ``output``
            cannot be written.
        ParameterError: the comparison cannot be used.
    """
    facts, content = compose(folder, comparison, anyway)
    content |= {"author": author, "email": email, "course": course}
    with laid_out(content, draw_figures(facts)) as compiler:
        pdf = compiler.compile(format="pdf")
        main_pages, pages = (compiler.query(f"<{mark}>", field="value", one=True) for mark in ("main-text", "last"))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_atomically(output, pdf)
    except OSError as error:
        raise RunError(f"{output} cannot be written ({error.strerror}): name another file with --output") from error
    return Report(output, int(pages), int(main_pages))


def compose(folder: Path, comparison: Path | None = None, anyway: bool = False) -> tuple[Facts, dict[str, Any]]:
    """The facts of a run, and all that its report says but who wrote it; errors as for ``build``."""
    run = read_run(folder)
    notices, footnote = _trust(run, anyway)
    facts = Facts(run, _read_comparison(comparison, run) if comparison else ())
    return facts, story(facts) | {
        "notice": " · ".join([*notices, *([DEMO] if facts.demo else [])]) or None,
        "footnote": footnote or None,
        "source": f"run {run.results['run']}",
        "provenance": _provenance(run, project_root(Path(__file__).parent)),
    }


@contextlib.contextmanager
def laid_out(content: dict[str, Any], figures: dict[str, bytes]) -> Iterator[typst.Compiler]:
    """A compiler that has ``report.typ``, its references, what it says and its figures in a folder of their own."""
    layout = project_root(Path(__file__).parent) / "report"
    text = json.dumps(content, ensure_ascii=False, indent=1)
    with tempfile.TemporaryDirectory() as place:
        for name in LAYOUT:
            (Path(place) / name).write_bytes((layout / name).read_bytes())
        for name, picture in figures.items():
            (Path(place) / name).write_bytes(picture)
        (Path(place) / "report.json").write_text(text, encoding="utf-8")
        yield typst.Compiler(Path(place) / LAYOUT[0], place, ignore_system_fonts=_typst_has_letters(text))


def _trust(run: FinishedRun, anyway: bool) -> tuple[list[str], Pieces]:
    """What every page has to say, and a footnote, of a run whose numbers may not be its own.

    Raises:
        RunError: they are not, and nobody wants them anyway; or what they need is missing.
    """
    _check(run)
    sealed = SEAL in run.results
    changes = (changed_files(run.folder, run.results) if sealed else []) + disagreements(run)
    if changes and not anyway:
        raise RunError(
            f"{changes[0]}. Copy the folder anew from where it ran, or run again; --anyway makes a report that says on "
            "every page that it is not the run's"
        )
    if sealed:
        return [CHANGED] * bool(changes), []
    note = "The run was made by an earlier version, which left no checksums: that nothing was edited is not proved. "
    if changes:
        note += "They do not agree with each other."
    else:
        note += "What can be computed again from history.csv and predictions.csv agrees with results.json."
    return [CHANGED] * bool(changes), written("{note}", note=note)


def _check(run: FinishedRun) -> None:
    """Refuse what the report cannot do without.

    Raises:
        RunError: a file or a number is missing or damaged; it is named.
    """
    if run.recipe is None or not run.history:
        wanted = "recipe.json" if run.recipe is None else "history.csv"
        raise RunError(
            next((note for note in run.notes if wanted in note), f"{run.folder / wanted} is empty: run again")
        )
    r, path = run.results, run.folder / "results.json"
    wrong = [name for name in NUMBERS if not _is_number(r.get(name))]
    n = len(r["classes"]) if isinstance(r["classes"], list) else 0
    matrix, scores, seconds = r.get("confusion"), r.get("class_scores"), r.get("epoch_seconds")
    fitting = {
        "classes": n >= 2 and all(isinstance(name, str) for name in r["classes"]),
        "confusion": _is_list(matrix, n) and all(_is_list(row, n) and all(map(_is_number, row)) for row in matrix),
        "class_scores": _is_list(scores, n) and all(_is_score(score) for score in scores),
        "epoch_seconds": isinstance(seconds, list) and all(map(_is_number, seconds)),
        **{name: isinstance(r.get(name), str) for name in ("run", "dataset", "backbone", "weights")},
        "demo": isinstance(r["demo"], bool),
        "val_photos": not wrong and r["val_photos"] > 0,
    }
    wrong += [name for name, fits in fitting.items() if not fits]
    if wrong:
        raise RunError(f"{path} is damaged or of another version: {wrong[0]!r} is missing or not what it should be")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _is_score(score: Any) -> bool:
    if not isinstance(score, dict) or not isinstance(score.get("name"), str) or not _is_number(score.get("photos")):
        return False
    return all(score.get(name, "") is None or _is_number(score.get(name)) for name in ("precision", "recall", "f1"))


def disagreements(run: FinishedRun) -> list[str]:
    """Where ``results.json`` says other numbers than ``history.csv`` and ``predictions.csv`` do."""
    r, h = run.results, run.history
    best, last = h.best, h[-1]
    low, high = wilson_interval(min(r["best_val_correct"], r["val_photos"]), r["val_photos"])
    again = {
        "epochs": (len(h), "history.csv"),
        "best_epoch": (best.epoch, "history.csv"),
        "best_val_accuracy": (best.val_accuracy, "history.csv"),
        "last_five_mean": (h.last_five_mean, "history.csv"),
        "best_flatters_by": (best.val_accuracy - h.last_five_mean, "history.csv"),
        "last_val_accuracy": (last.val_accuracy, "history.csv"),
        "last_val_loss": (last.val_loss, "history.csv"),
        "last_train_accuracy": (last.train_accuracy, "history.csv"),
        "generalization_gap": (last.train_accuracy - last.val_accuracy, "history.csv"),
        "interval_low": (low, "its number of correct photos"),
        "interval_high": (high, "its number of correct photos"),
    }
    found = [
        (name, source)
        for name, (value, source) in again.items()
        if not math.isclose(r[name], value, rel_tol=1e-9, abs_tol=1e-9)
    ]
    if run.called and not _fits(run.called, r):
        found.insert(0, ("confusion", "predictions.csv"))
    path = run.folder / "results.json"
    return [f"{path} says another {name!r} than {source}: its numbers are not the run's" for name, source in found]


def _fits(called: Called, r: dict[str, Any]) -> bool:
    """Whether the confusion matrix is that of the predictions.

    Their probabilities are rounded in the file, so a photo on the fence may have fallen to the other side.
    """
    predictions, matrix = called.as_predictions(), torch.tensor(r["confusion"])
    if list(called.classes) != r["classes"] or len(called.labels) != r["val_photos"]:
        return False
    moved = (confusion_matrix(predictions) - matrix).abs().sum()
    return bool(moved <= 2) and abs(predictions.correct - r["best_val_correct"]) <= 1


def _read_comparison(path: Path, run: FinishedRun) -> tuple[dict[str, Any], ...]:
    if run.results["demo"]:
        raise ParameterError(f"--comparison {path} is of real photos, the run of drawn ones: leave it out")
    return most_telling(comparison_table.read(path), run.results["backbone"], str(path))


def _provenance(run: FinishedRun, root: Path) -> Pieces:
    """Where the numbers come from."""
    folder = run.folder.resolve()
    e = run.environment
    commit, fingerprint = e.get("git_commit", "unknown"), e.get("data_fingerprint", "unknown")
    where = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    return written(
        "Every number above comes from the run in {where} (results.json, history.csv, predictions.csv, recipe.json, "
        "environment.json, split.csv), made by commit {commit} on photos with the fingerprint {fingerprint}; `python "
        "-m helpers.report` chose the sentences by them.",
        where=where,
        commit=commit[:12] + ("+changes" if commit.endswith("+changes") else ""),
        fingerprint=fingerprint[:12],
    )


def _typst_has_letters(text: str) -> bool:
    """Whether typst's own fonts have every letter: Latin, Greek, Cyrillic. Others need a font of this machine."""
    return all(ord(letter) < 0x530 or 0x2000 <= ord(letter) < 0x2300 for letter in text)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.report", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--output", type=Path, help="the PDF to write (default: report/report.pdf)")
    parser.add_argument("--author", default=AUTHOR)
    parser.add_argument("--email", default=EMAIL)
    parser.add_argument("--course", default=COURSE)
    parser.add_argument(
        "--comparison", type=Path, help=f"rows of helpers.comparison (default: {COMPARISON}, if it is there)"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="report a run whose files were changed; every page says so"
    )
    o = parser.parse_args(arguments)
    try:
        root = project_root(Path(__file__).parent)
        comparison = o.comparison or default_comparison(o.run, root)
        output = o.output or root / "report" / "report.pdf"
        report = build(o.run, output, o.author, o.email, o.course, comparison, o.anyway)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{report.path}: {report.main_pages} pages of text, {report.pages} with references")
    if report.main_pages > LIMIT:
        print(f"the assignment allows {LIMIT} pages of text", file=sys.stderr)
    return 0


def default_comparison(folder: Path, root: Path) -> Path | None:
    """The committed comparison, if there is one and the run is of real photos."""
    path = root / COMPARISON
    return path if path.is_file() and not read_run(folder).results["demo"] else None


if __name__ == "__main__":
    sys.exit(main())
