"""The report as a PDF: ``python -m helpers report work_dir/<run>`` writes ``report/report.pdf``.

Everything in it is read from the run's folder: numbers, and with them the sentences that they choose. ``report.typ``
lays it out with typst, whose own fonts are used, so that the same run gives the same bytes everywhere.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typst

from helpers.common import files
from helpers.common.errors import ParameterError, RunError
from helpers.comparison import table
from helpers.report.comparison import most_telling
from helpers.report.facts import Facts
from helpers.report.figures import draw_figures
from helpers.report.integrity import check_integrity
from helpers.report.markup import Pieces, written
from helpers.report.story import story
from helpers.runs.finished import FinishedRun, read_run
from helpers.runs.run import project_root

LAYOUT = ("report.typ", "references.bib")


COMPARISON = "report/results/comparison.json"


LIMIT = 4  # pages of main text that the assignment allows, references apart


DEMO = "DEMO: drawn photos, not real flowers"


AUTHOR, EMAIL = "Author (set with --author)", "e-mail (set with --email)"


COURSE = "ECE371 Neural Networks and Deep Learning, Assignment 1"


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
    force: bool = False,
) -> Report:
    """Write the report of the run in ``folder``. It takes seconds.

    Args:
        comparison: rows of ``helpers.comparison``, for a run on real photos.
        force: report a run whose files were changed too; every page then says so.

    Raises:
        RunError: the run is not finished, its files are damaged, or were changed after it wrote them; typst could
            not set the report; or ``output`` cannot be written.
        ParameterError: the comparison cannot be used.
    """
    facts, content = compose(folder, comparison, force)
    content |= {"author": author, "email": email, "course": course}
    try:
        with laid_out(content, draw_figures(facts)) as compiler:
            pdf = compiler.compile(format="pdf")
            main_pages = compiler.query("<main-text>", field="value", one=True)
            pages = compiler.query("<last>", field="value", one=True)
    except typst.TypstError as error:
        raise RunError(f"typst could not set the report of {folder} ({error}): the run itself is intact") from error
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(output, pdf)
    except OSError as error:
        raise RunError(f"{output} cannot be written ({error.strerror}): name another file with --output") from error
    return Report(output, int(pages), int(main_pages))


def compose(folder: Path, comparison: Path | None = None, force: bool = False) -> tuple[Facts, dict[str, Any]]:
    """The facts of a run, and all that its report says but who wrote it; errors as for ``build``."""
    run = read_run(folder)
    notices, footnote = check_integrity(run, force)
    facts = Facts(run, _read_comparison(comparison, run) if comparison else ())
    return facts, story(facts) | {
        "notice": " · ".join([*notices, *([DEMO] if facts.demo else [])]) or None,
        "footnote": footnote or None,
        "source": f"run {run.results['run']}",
        "provenance": _provenance(run, project_root(Path(__file__).parent), bool(facts.comparison)),
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


def _read_comparison(path: Path, run: FinishedRun) -> tuple[dict[str, Any], ...]:
    if run.results["demo"]:
        raise ParameterError(f"--comparison {path} is of real photos, the run of drawn ones: leave it out")
    return most_telling(table.read(path), run.results["backbone"], str(path))


def _provenance(run: FinishedRun, root: Path, compared: bool) -> Pieces:
    """Where the numbers come from."""
    but = ", but for the comparison's, whose rows name their own," if compared else ""
    folder = run.folder.resolve()
    e = run.environment
    commit, fingerprint = e.get("git_commit", "unknown"), e.get("data_fingerprint", "unknown")
    where = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    return written(
        "Every number above"
        + but
        + " comes from the run in {where} (results.json, history.csv, predictions.csv, recipe.json, "
        "environment.json, split.csv), made by commit {commit} on photos with the fingerprint {fingerprint}; `python "
        "-m helpers report` chose the sentences by them.",
        where=where,
        commit=commit[:12] + ("+changes" if commit.endswith("+changes") else ""),
        fingerprint=fingerprint[:12],
    )


def _typst_has_letters(text: str) -> bool:
    """Whether typst's own fonts have every letter: Latin, Greek, Cyrillic. Others need a font of this machine."""
    return all(ord(letter) < 0x530 or 0x2000 <= ord(letter) < 0x2300 for letter in text)
