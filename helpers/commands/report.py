"""Write the report of a finished run as a PDF: ``python -m helpers report work_dir/<run>``.

Numbers, figures and the sentences that judge come from the run's folder. A run on the same photos as the project's own
cross-validation quotes that as well.
"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--output", type=Path, help="the PDF to write; default: report.pdf in the run's folder")
    parser.add_argument("--author", help="name on the title page")
    parser.add_argument("--email", help="e-mail address on the title page")
    parser.add_argument("--student-id", help="the author's number at the school")
    parser.add_argument("--school", help="school on the title page")
    parser.add_argument("--course", help="course on the title page")
    parser.add_argument(
        "--comparison",
        type=Path,
        help="a comparison.json to quote; default: report/results/comparison.json, if it is of the run's photos",
    )
    parser.add_argument(
        "--force", action="store_true", help="accept a run whose files were changed; every page says so"
    )


def run(options: argparse.Namespace) -> int:
    from helpers.common.files import inside
    from helpers.common.progress import working
    from helpers.report.build import LIMIT, TITLE, build
    from helpers.report.comparison import committed_comparison
    from helpers.runs.finished import read_run
    from helpers.runs.folders import project_root

    root = project_root(Path(__file__).parent)
    comparison = options.comparison or committed_comparison(read_run(options.run), root)
    title = {name: value for name in TITLE if (value := getattr(options, name)) is not None}
    output = options.output or inside(options.run, "report.pdf")
    with working("drawing and typesetting: some seconds"):
        report = build(options.run, output, comparison=comparison, force=options.force, **title)
    print(f"{report.path}: {report.main_pages} pages of text, {report.pages} with references")
    if not options.author:
        print('it names no author: add --author "…" --email …')
    if report.main_pages > LIMIT:
        print(f"the assignment allows {LIMIT} pages of text", file=sys.stderr)
    return 0
