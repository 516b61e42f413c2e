"""Grade all hand-ins of a folder: points by section, a table, a feedback page each, and Gradescope's results."""

import dataclasses
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from helpers.common.errors import UserError
from helpers.common.files import csv_text, make_folder, write_atomically, write_json
from helpers.common.text import listed, printable
from teaching.checks.command import POINTS
from teaching.checks.sandbox import SECONDS, Report, check
from teaching.checks.sections import SECTIONS
from teaching.feedback import page
from teaching.hand_ins import HandIn, Student, find_hand_ins, read_roster

NOTHING = "nothing was handed in"
ISOLATION = {"network": "the network", "files": "changing files elsewhere"}  # what a report may say it is isolated from


@dataclasses.dataclass
class Grade:
    """A hand-in and what the checks found out about it."""

    hand_in: HandIn
    report: Report

    @property
    def warnings(self) -> list[str]:
        return list(dict.fromkeys(self.report.notes + self.report.remarks + self.hand_in.warnings))

    @property
    def student(self) -> Student:
        return self.hand_in.student


def grade(
    folder: Path,
    output: Path,
    roster: Path | None = None,
    workers: int = 2,
    seconds: float = SECONDS,
    log: Callable[[str], None] = print,
) -> list[Grade]:
    """Grade the hand-ins of a folder and write ``grades.csv``, and per student ``<name>.html`` and ``<name>.json``.

    Raises:
        UserError: the folder or the roster cannot be used.
    """
    hand_ins = find_hand_ins(folder, read_roster(roster) if roster else [])
    make_folder(output, "name another folder with --output", UserError)
    with ThreadPoolExecutor(workers) as pool:
        grades = []
        for each in pool.map(lambda hand_in: Grade(hand_in, _checked(hand_in, seconds)), hand_ins):
            grades.append(each)
            log(f"{each.student.number}: {each.report.points} of {POINTS}{_flags(each, ' (', ')')}")
    isolated = [each.report.isolated for each in grades if each.hand_in.content]
    missing = [what for name, what in ISOLATION.items() if not all(name in each for each in isolated)]
    if missing:
        log(f"This system does not keep hand-ins from {listed(missing)}: grade strangers' code in a container.")
    write_atomically(output / "grades.csv", csv_text(table(grades)).encode("utf-8-sig"))
    taken: set[str] = set()
    for each in grades:
        name = _file_name(each.student.number, taken)
        write_atomically(output / f"{name}.html", page(each.student, each.report, each.warnings).encode())
        write_json(output / f"{name}.json", gradescope(each))
    return grades


def _checked(hand_in: HandIn, seconds: float) -> Report:
    if hand_in.content:
        return check(hand_in.file, hand_in.content, seconds=seconds)
    seen = NOTHING if not hand_in.warnings else "there is nothing to grade"
    return Report("", {section.number: {"passed": False, "seen": seen} for section in SECTIONS})


def table(grades: list[Grade]) -> list[list[Any]]:
    """Return the rows of ``grades.csv``, with their heading."""
    heading = ["id", "name", "file", *(f"section {section.number}" for section in SECTIONS), "points", "of"]
    rows = [[*heading, "refused", "warnings"]]
    for each in grades:
        points = [section.points * (section.number in each.report.passed) for section in SECTIONS]
        row = [each.student.number, each.student.name, each.hand_in.file, *points, sum(points), POINTS]
        rows.append([*row, "; ".join(each.report.attempts), printable(" ".join(each.warnings))])
    return rows


def gradescope(each: Grade) -> dict[str, Any]:
    """Return what Gradescope's autograder expects as ``results.json``."""
    tests = []
    for section in SECTIONS:
        part = each.report.sections[section.number]
        right = bool(part["passed"])
        seen = printable(part["seen"])
        output = seen if right else f"{seen}\nExpected: {section.expected}\nHint: {section.hint}"
        test = {"number": str(section.number), "name": section.title, "score": section.points * right}
        test |= {"max_score": section.points, "status": "passed" if right else "failed"}
        tests.append(test | {"output": output, "output_format": "text", "visibility": "visible"})
    warnings = "\n".join(f"Warning: {printable(text)}" for text in each.warnings)
    return {"score": each.report.points, "output": warnings, "output_format": "text", "tests": tests}


def _flags(each: Grade, before: str, after: str) -> str:
    return f"{before}refused: it {'; '.join(each.report.attempts)}{after}" if each.report.attempts else ""


def _file_name(number: str, taken: set[str]) -> str:
    """Return a name for files that no system refuses, and that nobody else has."""
    plain = re.sub(r"[^\w\-]+", "_", number).strip("_")[:80] or "student"
    name, count = plain, 2
    while name.lower() in taken:
        name, count = f"{plain}-{count}", count + 1
    taken.add(name.lower())
    return name
