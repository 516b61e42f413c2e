"""nbgrader generates the assignment from the released notebook, and its marks are those of the checks.

Skipped without nbgrader; the README of ``teaching/`` says how to install it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from teaching.checks.blocks import read_script
from teaching.release import cell_sources, release
from tests.teaching.cases import MUTANTS, TEXT

api = pytest.importorskip("nbgrader.api")


def nbgrader(course, *arguments):
    offline = {"https_proxy": "http://127.0.0.1:9", "TORCH_HOME": str(course), "JUPYTER_CONFIG_DIR": str(course)}
    offline["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls alembic
    command = [sys.executable, "-m", "nbgrader", *arguments, "--assignment=flowers"]
    command += ["--Execute.timeout=600", "--Execute.iopub_timeout=600"]
    done = subprocess.run(command, cwd=course, env=os.environ | offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def hand_in(course, student, script=None):
    """Hand in the generated notebook, answered as a script is."""
    folder = course / "submitted" / student / "flowers"
    shutil.copytree(course / "release" / "flowers", folder)
    if script:
        notebook = json.loads((folder / "main.ipynb").read_text("utf-8"))
        ungraded = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and not cell["metadata"]]
        for cell, source in zip(ungraded, cell_sources(script), strict=True):
            cell["source"] = source
        (folder / "main.ipynb").write_text(json.dumps(notebook), "utf-8")


def test_a_right_solution_gets_all_points_a_blank_one_none_and_a_mutant_loses_its_section(tmp_path):
    release(tmp_path / "source" / "flowers")
    nbgrader(tmp_path, "generate_assignment", "--create")
    assert {path.name for path in (tmp_path / "release" / "flowers").iterdir()} >= {"main.ipynb", "check.py"}
    script = read_script("main.ipynb", (tmp_path / "release" / "flowers" / "main.ipynb").read_bytes())
    assert all(script.is_blank(section) for section in range(1, 7))
    section, mutant = MUTANTS["no zero_grad"]
    for student, text in (("right", TEXT), ("blank", None), ("mutant", mutant)):
        hand_in(tmp_path, student, text)
    nbgrader(tmp_path, "autograde", "--create")
    with api.Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        points = {
            student: {grade.name: grade.score for grade in book.find_submission("flowers", student).notebooks[0].grades}
            for student in ("right", "blank", "mutant")
        }
        assert book.find_assignment("flowers").max_score == 60
    every = [f"section-{number}" for number in range(1, 7)]
    assert points["right"] == dict.fromkeys(every, 10.0)
    assert points["blank"] == dict.fromkeys(every, 0.0)
    assert points["mutant"] == dict.fromkeys(every, 10.0) | {f"section-{section}": 0.0}
