"""The teaching kit: ``python -m teaching release|check|grade|submit …``."""

import argparse
import sys
from pathlib import Path

from helpers.common.errors import UserError
from teaching.checks.sandbox import Unsupported


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors that a user can act on end in one line and code 1."""
    options = _parser().parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except (UserError, Unsupported) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m teaching", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    each = commands.add_parser("release", help="write what a student gets into a folder")
    each.add_argument("folder", type=Path)
    each = commands.add_parser("check", help="check one script or notebook")
    each.add_argument("file")
    each = commands.add_parser("grade", help="grade a folder of hand-ins")
    each.add_argument("folder", type=Path)
    each.add_argument("--roster", type=Path, help="a CSV file with the columns id and name")
    each.add_argument("--output", type=Path, default=Path("work_dir/grades"), help="default: work_dir/grades")
    each.add_argument("--workers", type=_positive, default=2, help="hand-ins that are checked at the same time")
    each.add_argument("--seconds", type=float, default=60.0, help="that a section may take")
    each = commands.add_parser("submit", help="bundle a finished run as a hand-in")
    each.add_argument("run", type=Path)
    each.add_argument("--student", default="", help="student number")
    each.add_argument("--name", default="", help="the student's name")
    each.add_argument("--output", type=Path, help="the folder to make; default: Ex2 in the run's folder")
    return parser


def _positive(text: str) -> int:
    """Raises ``ValueError``, which argparse reports."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _release(options: argparse.Namespace) -> int:
    from teaching.release import release

    for path in release(options.folder):
        print(path)
    return 0


def _check(options: argparse.Namespace) -> int:
    from teaching.checks.command import main as check

    return check([options.file])


def _grade(options: argparse.Namespace) -> int:
    from teaching.grade import grade

    grades = grade(options.folder, options.output, options.roster, options.workers, options.seconds)
    print(f"{options.output / 'grades.csv'}: {len(grades)} students")
    return 0


def _submit(options: argparse.Namespace) -> int:
    from teaching.submit import submit

    bundle = submit(options.run, options.student, options.name, options.output)
    print(f"{bundle.folder} and {bundle.archive}: {bundle.points} points by the checks, {bundle.pages} pages of text")
    return 0


COMMANDS = {"release": _release, "check": _check, "grade": _grade, "submit": _submit}

if __name__ == "__main__":
    sys.exit(main())
