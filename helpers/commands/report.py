"""The report as a PDF: ``python -m helpers report work_dir/<run>`` writes ``report/report.pdf``.

Everything in it is read from the run's folder: numbers, and with them the sentences that they choose. ``report.typ``
lays it out with typst, whose own fonts are used, so that the same run gives the same bytes everywhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.common.errors import UserError
from helpers.report.build import AUTHOR, COMPARISON, COURSE, EMAIL, LIMIT, build
from helpers.runs.finished import read_run
from helpers.runs.run import project_root


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers report", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--output", type=Path, help="the PDF to write (default: report/report.pdf)")
    parser.add_argument("--author", default=AUTHOR)
    parser.add_argument("--email", default=EMAIL)
    parser.add_argument("--course", default=COURSE)
    parser.add_argument(
        "--comparison", type=Path, help=f"rows of helpers.comparison (default: {COMPARISON}, if it is there)"
    )
    parser.add_argument(
        "--force", action="store_true", help="report a run whose files were changed; every page says so"
    )
    o = parser.parse_args(arguments)
    try:
        root = project_root(Path(__file__).parent)
        comparison = o.comparison or default_comparison(o.run, root)
        output = o.output or root / "report" / "report.pdf"
        report = build(o.run, output, o.author, o.email, o.course, comparison, o.force)
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
