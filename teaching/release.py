"""Release the assignment: what a student gets, made from the solution."""

import ast
import io
import json
import re
import textwrap
import zipfile
from pathlib import Path

from helpers.common.errors import UserError
from helpers.common.files import make_folder, write_atomically
from teaching.checks.blocks import read_file
from teaching.checks.program import names_bound, names_read
from teaching.checks.sections import SECTIONS

HERE = Path(__file__).parent
SOLUTION = HERE / "main.py"
FOR_TEACHERS = {"plain_loop.py"}  # shows answers
REQUIREMENTS = """\
# What you have is enough if it is at least this: pip then leaves it alone, and torch is not installed again.
torch>=2.2
torchvision>=0.17
numpy
pillow
"""
CHECK = b"""#!/usr/bin/env python3
# The checks of all six sections, packed as a zip file that Python can run: python check.py main.py
"""
RUN_CHECKS = "from checks.command import main\n\nraise SystemExit(main())\n"
TEST_CELL = """\
import sys

sys.path.insert(0, "check.py")
from checks.command import assert_section

assert_section({number}, In{start})"""


def release(folder: Path) -> list[Path]:
    """Write the assignment into a new or empty folder; returns the files.

    Raises:
        UserError: the folder holds something, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty: name a new folder, as in make release OUT=assignment")
    make_folder(folder, "name another one, as in make release OUT=assignment", UserError)
    script = blank_script()
    contents = {
        "main.py": script.encode(),
        "main.ipynb": json.dumps(notebook(script), indent=1, ensure_ascii=False).encode() + b"\n",
        "check.py": checks(),
        "requirements.txt": REQUIREMENTS.encode(),
        "README.md": (HERE / "student.md").read_bytes(),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def blank_script() -> str:
    """Return the solution without its answers, and without the settings that only the answers use."""
    script = read_file(SOLUTION)
    lines = script.lines
    for number, block in sorted(script.blocks.items(), key=lambda each: -each[1].first):  # upwards: lines move
        first = lines[block.first - 1]
        indent = first[: len(first) - len(first.lstrip())]
        body = [f"{indent}# Your answer.", f'{indent}raise NotImplementedError("section {number}")']
        lines[block.first - 1 : block.last] = body
    tree = ast.parse("\n".join(lines))
    used = names_read([tree])
    unused: set[int] = set()
    for each in tree.body:
        if isinstance(each, ast.Assign) and not names_bound([each]) & used:
            unused |= set(range(each.lineno, each.end_lineno + 1))
    kept = [line for number, line in enumerate(lines, 1) if number not in unused]
    return re.sub(r"\n{3,}(?=# GRADED)", "\n\n", "\n".join(kept))


def checks() -> bytes:
    """Return the checks as one file that Python can run: ``check.py``."""
    packed = io.BytesIO(CHECK)
    packed.seek(0, io.SEEK_END)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((HERE / "checks").glob("*.py")):
            if path.name not in FOR_TEACHERS:
                _add(archive, f"checks/{path.name}", path.read_text(encoding="utf-8"))
        _add(archive, "__main__.py", RUN_CHECKS)
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    """Add a file with a fixed date: the same sources give the same bytes."""
    entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(entry, text)


def notebook(script: str) -> dict:
    """Return the blank script as a notebook: after each section, a cell that checks it, and that nbgrader grades by."""
    cells = [_cell("markdown", TITLE)]
    # nbgrader takes a line with END SOLUTION for a marker of its own, and removes it.
    sources = cell_sources(script.replace("END SOLUTION", "END  SOLUTION"))
    for source in sources:
        graded = re.findall(r"# GRADED (\d) .*", source)
        cells.append(_cell("code", source))
        for number in map(int, graded):
            section = SECTIONS[number - 1]
            facts = {"grade": True, "solution": False, "locked": True, "task": False, "schema_version": 3}
            facts |= {"grade_id": f"section-{number}", "points": section.points}
            cells.append(_cell("code", test_cell(number, sources[-1])) | {"metadata": {"nbgrader": facts}})
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def test_cell(number: int, start: str) -> str:
    """Return the cell that checks a section; the last two need a training, which the cell ``start`` starts later."""
    return TEST_CELL.format(number=number, start=f', """\\\n{start}"""' if number > 4 else "")


TITLE = """\
# Assignment 1: five kinds of flowers

The same as `main.py`. Write your answers between the markers and leave the markers where they are. The cell after each
section checks it; it may stay as it is."""


def cell_sources(script: str) -> list[str]:
    """Split the script into cells. The body of ``main`` becomes cells too: one for each of its sections."""
    before, _, rest = script.partition("def main():\n")
    body, _, loop = rest.partition("def train_model(")
    loop = "def train_model(" + loop.partition("\n\nif __name__")[0]
    body = textwrap.dedent(body.partition('"""\n')[2])
    *sections, end = re.split(r"(?m)^(?=# GRADED|scheduler = )", body)
    end = end.replace("return train_model", "history = train_model")
    head = re.sub(r'^"""(.*?)"""\n', "", before, flags=re.DOTALL)
    settings, _, photos = head.partition("# GRADED 1")
    graded, _, functions = photos.partition("\n\ndef ")
    cells = [settings, "# GRADED 1" + graded, *("def " + each for each in functions.split("\n\ndef ")), *sections]
    return [cell.strip("\n") for cell in [*cells, loop, end]]


def _cell(kind: str, source: str) -> dict:
    extra = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)} | extra
