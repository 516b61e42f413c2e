"""What a student sees: ``check FILE`` prints a line per section, ``assert_section`` is for a notebook's test cells."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .blocks import NUMBER, read_script
from .sandbox import Report, check
from .sections import SECTIONS

HINTS = {section.number: section.hint for section in SECTIONS}
POINTS = sum(section.points for section in SECTIONS)


def main(arguments: list[str] | None = None) -> int:
    """Check a script or notebook; the exit code is 0 if all sections are right."""
    names = sys.argv[1:] if arguments is None else arguments
    path = Path(names[0] if names else "main.py")
    if path.is_dir():
        path = path / "main.py"
    if len(names) > 1 or not path.is_file():
        print(f"{path} does not exist: name your script or notebook, as in: python check.py main.py", file=sys.stderr)
        return 2
    try:
        report = check(path.name, path.read_bytes())
    except ValueError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    print(as_text(report))
    return 0 if len(report.passed) == len(SECTIONS) else 1


def as_text(report: Report) -> str:
    """Return a report as lines: points, what was seen, a hint for what is not right, warnings."""
    lines = []
    for section in SECTIONS:
        part = report.sections[section.number]
        points = section.points if part["passed"] else 0
        lines.append(f"{section.number} {section.title}: {points} of {section.points}. {_plain(part['seen'])}")
        if not part["passed"]:
            lines += [f"  expected: {section.expected}", f"  hint: {section.hint}"]
    lines += [f"warning: {_plain(each)}" for each in report.notes + report.remarks]
    return "\n".join([*lines, f"{report.points} of {POINTS} points"])


def _plain(text: str) -> str:
    """Return text that no terminal obeys: a hand-in's error messages are the student's own."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


RIGHT: dict[tuple[int, str], bool] = {}  # sections of this notebook that were right, by their code


def assert_section(number: int, cells: Sequence[str], start: str = "") -> None:
    """Check one section of a notebook from its executed cells (``In``).

    Args:
        start: the cell that starts the training, if the section needs one; it may not have been executed yet.

    Raises:
        AssertionError: it is not right.
    """
    notebook = {"cells": [{"cell_type": "code", "source": cell} for cell in program_of(cells, start)]}
    content = json.dumps(notebook).encode()
    script = read_script("notebook.ipynb", content)
    passed = {n for n in script.blocks if RIGHT.get((n, script.code(n)))} - {number}
    needed = {number} | ({2} if number == 3 else set())  # a loss must fit the outputs
    report = check("notebook.ipynb", content, sorted(needed), passed)
    part = report.sections[number]
    assert part["passed"], f"{part['seen']}. {HINTS[number]}"
    RIGHT[number, script.code(number)] = True
    print(part["seen"])


def program_of(executed: Sequence[str], start: str = "") -> list[str]:
    """Return the cells that make up the program: each answer as it was last, and one that starts the training."""
    cells = [cell for cell in executed if "assert_section" not in cell]
    starts = [cell for cell in cells if "train_model(" in cell and "def train_model(" not in cell]
    last: dict[object, str] = {}
    for cell in cells:
        key = frozenset(NUMBER.findall(cell)) or cell
        last.pop(key, None)
        if cell not in starts:
            last[key] = cell
    return [*last.values(), *([start] if start else starts[-1:])]
