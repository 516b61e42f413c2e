"""Build the report of a run: read the run, write the sentences, draw the figures, typeset all as a PDF.

``report/report.typ`` is the layout. typst brings its own fonts, so the same run gives the same bytes everywhere.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typst

from helpers.common import files
from helpers.common.errors import RunError
from helpers.plots.style import fallback_fonts, other_scripts
from helpers.report.comparison import read_comparison, read_directions
from helpers.report.facts import Facts
from helpers.report.figures import draw_figures
from helpers.report.integrity import check_integrity
from helpers.report.markup import literal, pieces, revealed
from helpers.report.story import story
from helpers.runs.finished import damage_named, read_run
from helpers.runs.folders import project_root

LAYOUT = ("report.typ", "references.bib")
LIMIT = 4  # pages of main text that the assignment allows, references apart
SIZES = 10, 9.75, 9.5, 9.25  # pt, of the text: the largest that leaves no few references alone
DEMO = "DEMO: drawn photos, not real flowers"
TITLE = {  # what the title page has, and its default
    **dict.fromkeys(("author", "email", "student_id", "school"), ""),
    "course": "ECE371 Neural Networks and Deep Learning, Assignment 1",
}


class Report(NamedTuple):
    """A finished PDF."""

    path: Path
    pages: int
    main_pages: int  # without references


def build(
    folder: Path,
    output: Path,
    comparison: Path | None = None,
    force: bool = False,
    **title: str,
) -> Report:
    """Write the report of the run in ``folder``. It takes seconds.

    Args:
        title: what the title page has of ``TITLE``.
        comparison: a ``comparison.json``, for a run on real photos.
        force: report a run whose files were changed, too; every page then says so.

    Raises:
        RunError: the run is not finished, its files are damaged or were changed, typst could not typeset the report,
            or ``output`` cannot be written.
        ParameterError: the comparison cannot be used.
    """
    facts, content = compose(folder, comparison, force)
    with damage_named(folder):
        figures = draw_figures(facts)
    try:
        for size in (*SIZES, SIZES[0]):  # where none fits, the first
            with typesetter(content | TITLE | title | {"size": size}, figures) as compiler:
                pdf = compiler.compile(format="pdf")
                main_pages, pages, stub = (
                    json.loads(compiler.query(f"<{name}>", field="value", one=True))
                    for name in ("main-text", "last", "stub")
                )
            if not stub:
                break
    except typst.TypstError as error:
        raise RunError(f"typst could not typeset the report of {folder} ({error}); the run itself is intact") from error
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(output, pdf)
    except OSError as error:
        raise RunError(f"{output} cannot be written ({error.strerror}): name another file with --output") from error
    return Report(output, pages, main_pages)


def compose(folder: Path, comparison: Path | None = None, force: bool = False) -> tuple[Facts, dict[str, Any]]:
    """Write all sentences and tables of a run's report; arguments and errors as for ``build``."""
    run = read_run(folder)
    rows = read_comparison(comparison, run) if comparison else ()
    with damage_named(folder):
        changed = check_integrity(run, force)
        facts = Facts(
            run, rows, read_directions(comparison, run.environment.get("weights_sha256")) if comparison else {}
        )
        content = story(facts) | {
            "notice": " · ".join(filter(None, [changed, DEMO * facts.demo])),
            "source": f"run {facts.results['run']}",
            "provenance": pieces(_provenance(facts)),
        }
        return facts, revealed(content)


@contextlib.contextmanager
def typesetter(content: dict[str, Any], figures: dict[str, bytes]) -> Iterator[typst.Compiler]:
    """Open a compiler in a temporary folder that holds the layout, the references, the content and the figures."""
    layout = project_root(Path(__file__).parent) / "report"
    text = json.dumps(content, ensure_ascii=False, indent=1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files_inside = {name: (layout / name).read_bytes() for name in LAYOUT}
        for name, file in (files_inside | figures | {"report.json": text.encode()}).items():
            (folder / name).write_bytes(file)
        # typst's own fonts have Latin, Greek and Cyrillic letters; others need a font of this machine.
        letters = other_scripts(text)
        fallback_fonts(letters)  # says if there is none
        yield typst.Compiler(folder / LAYOUT[0], temporary, ignore_system_fonts=not letters)


def _provenance(facts: Facts) -> str:
    """Say where the numbers come from."""
    root, folder, e = project_root(Path(__file__).parent), facts.run.folder.resolve(), facts.environment
    where = literal(folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name)
    commit, _, changed = e["git_commit"].partition("+")
    code = f"commit {commit[:12]}{' and uncommitted changes to its code' if changed else ''}"
    return (
        f"All numbers{' except those of the comparison' if facts.comparison else ''} come from the files of the run "
        f"in {where}, made with {code} on photos with the fingerprint "
        f"{e['data_fingerprint'][:12]}; `python -m helpers report` selected the sentences by these numbers."
    )
