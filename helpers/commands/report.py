"""The report as a PDF: ``python -m helpers report work_dir/<run>`` writes ``report/report.pdf``.

Numbers, figures and the sentences that judge come from the run's folder. A run on the same photos as the project's own
cross-validation quotes that as well.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.common.errors import UserError
from helpers.report.build import COURSE, LIMIT, build
from helpers.report.comparison import committed_comparison
from helpers.runs.finished import read_run
from helpers.runs.run import project_root


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers report", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--output", type=Path, help="the PDF to write (default: report/report.pdf)")
    parser.add_argument("--author", default="")
    parser.add_argument("--email", default="")
    parser.add_argument("--course", default=COURSE)
    parser.add_argument(
        "--comparison",
        type=Path,
        help="a comparison.json to quote (default: report/results/comparison.json, if it is of the run's photos)",
    )
    parser.add_argument(
        "--force", action="store_true", help="report a run whose files were changed; every page says so"
    )
    o = parser.parse_args(arguments)
    try:
        root = project_root(Path(__file__).parent)
        comparison = o.comparison or committed_comparison(read_run(o.run), root)
        output = o.output or root / "report" / "report.pdf"
        report = build(o.run, output, o.author, o.email, o.course, comparison, o.force)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{report.path}: {report.main_pages} pages of text, {report.pages} with references")
    if not o.author:
        print('it names no author: add --author "…" --email …')
    if report.main_pages > LIMIT:
        print(f"the assignment allows {LIMIT} pages of text", file=sys.stderr)
    return 0
