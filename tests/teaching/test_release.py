"""What students get holds what they need, and none of the answers."""

import json
import os
import re
import subprocess
import sys
import zipfile

import pytest

from helpers.common.errors import UserError
from teaching import release as module
from teaching.checks.blocks import read_file, read_script
from teaching.checks.command import program_of
from teaching.checks.sections import SECTIONS
from teaching.release import SOLUTION, release
from tests.teaching.cases import CELLS, answered, solution_block

FILES = {"main.py", "main.ipynb", "check.py", "requirements.txt", "README.md"}
# Not an answer: the program around the block, or the task, says it too.
GIVEN = {'if phase == "train":', "transforms.Compose(", "]", "[", ")", "else:", "transforms.ToTensor(),"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("release") / "assignment"
    release(out)
    return out


def everything(folder):
    """Return the text of each file that a student gets, those packed in check.py too."""
    texts = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.name != "check.py"}
    with zipfile.ZipFile(folder / "check.py") as archive:
        return texts | {name: archive.read(name).decode() for name in archive.namelist()}


def squeezed(text):
    return re.sub(r"[\s\\\",]+", "", text)


@pytest.mark.parametrize("section", [each.number for each in SECTIONS])
def test_no_line_of_an_answer_is_in_any_file(section, folder):
    code = [line.strip() for line in solution_block(section).split("\n") if line.strip()[:1] not in ("", "#")]
    lines = {squeezed(line) for line in code if line not in GIVEN and not line.startswith(("train_tr", "val_tr"))}
    assert lines
    texts = everything(folder)
    assert len(texts) > 15
    found = {(name, line) for name, text in texts.items() for line in lines - {""} if line in squeezed(text)}
    assert found == set()


def test_every_block_is_blank_in_script_and_notebook(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    for name in ("main.py", "main.ipynb"):
        script = read_file(folder / name)
        assert sorted(script.blocks) == [1, 2, 3, 4, 5, 6]
        assert all(script.is_blank(section) for section in script.blocks)
        assert re.findall(r"GRADED (\d) \((\d+) points\)", script.text) == [(str(n), "10") for n in range(1, 7)]
        assert not script.notes
        assert "assert_section" not in script.text  # the notebook's test cells are no part of the program
    cells = json.loads((folder / "main.ipynb").read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)


def test_the_instructions_are_in_english_and_chinese(folder):
    english, _, chinese = (folder / "README.md").read_text("utf-8").partition("# 作业一")
    for part in (english, chinese):
        for fact in ("check.py main.py", "requirements.txt", "best_model.pth", "report.pdf", "100 MB", "79.99 %"):
            assert fact in part, fact
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) > 200


def test_the_requirements_do_not_install_torch_again(folder):
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "-r"]
    done = subprocess.run([*command, folder / "requirements.txt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout


def test_the_same_sources_give_the_same_bytes_and_nothing_is_overwritten(folder, tmp_path):
    release(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    before = (tmp_path / "main.py").read_bytes()
    with pytest.raises(UserError, match="is not empty: name a new folder"):
        release(tmp_path)
    assert (tmp_path / "main.py").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"name (a new|another)"):
        release(tmp_path / "file" / "in a file")


def checked(folder, name):
    """Run the student's own command, far from the project."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "check.py", name]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_students_own_check_finds_blank_sections_and_answers(folder):
    blank = checked(folder, "main.py")
    assert (blank.returncode, blank.stderr) == (1, "")
    assert blank.stdout.endswith("0 of 60 points\n")
    text = (folder / "main.py").read_text("utf-8")
    assert checked(folder, "nothing.py").returncode == 2
    for section in range(1, 7):
        text = answered(section, solution_block(section), text)
    names = read_script("main.py", SOLUTION.read_bytes()).text.split("# GRADED 1")[0]
    settings = re.findall(r"(?m)^[A-Z][A-Z_, ]* = .*$", names)
    (folder / "answered.py").write_text(text.replace("# Settings\n", "\n".join(["# Settings", *settings, ""])), "utf-8")
    right = checked(folder, "answered.py")
    (folder / "answered.py").unlink()
    assert right.stdout.endswith("60 of 60 points\n"), right.stdout
    assert right.returncode == 0


def test_the_notebooks_test_cells_find_the_checks_beside_the_notebook(folder):
    *cells, start = CELLS  # the training has not been started yet
    code = f"In = {cells!r}\n{module.test_cell(3, start)}\n{module.test_cell(6, start)}"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "criterion" in done.stdout
    assert "the state dict of the best epoch" in done.stdout


def test_a_notebooks_program_is_each_answer_as_it_was_last_and_one_training():
    head, first, *rest, start = CELLS
    wrong = first.replace("transforms.Compose(", 'raise NotImplementedError("section 1")', 1)
    check_1 = module.test_cell(1, start)
    executed = [head, wrong, check_1, head, first, check_1, *rest, start, start.replace("EPOCHS", "3")]
    assert program_of(executed, start) == [*executed[3:5], *rest, start]
    assert program_of(executed) == [*executed[3:5], *rest, executed[-1]]
