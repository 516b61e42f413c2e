"""The committed notebooks are executed, tidy and small; papermill runs them, and errors end in their message."""

import ast
import importlib
import re
from pathlib import Path

import nbformat
import pytest
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError

from helpers.common.notebook import short_source
from helpers.data import five_augmentations, train_transform
from helpers.models import replace_head
from helpers.runs import save_best_model
from helpers.training import make_loss, make_optimizer, train_one_epoch

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DELIVERABLE = ROOT / "notebooks" / "flower_classification.ipynb"


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_cell_is_stored_executed_in_order_without_errors(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_call_helpers_and_define_no_functions(path):
    for cell in code_cells(path):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 20
        assert not any(line.startswith(("def ", "class ")) for line in lines)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_without_the_project_says_what_it_needs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="needs the project around it: clone or upload the whole repository"):
        exec(code_cells(path)[0].source, {})


def test_a_run_without_results_can_be_looked_at(folder, monkeypatch, capsys):
    (folder / "results.json").write_text("[]")
    monkeypatch.setattr("helpers.common.notebook.set_matplotlib_formats", lambda *_, **__: None)
    cell = next(c for c in code_cells(ROOT / "notebooks" / "closer_look.ipynb") if "open_run_data(" in c.source)
    exec(cell.source, {"run": str(folder), "data": None})
    assert capsys.readouterr().out.splitlines()[-1] == "a with 8 validation photos"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_contain_no_paths_of_this_machine(path):
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert "/home/" not in text
    assert "/tmp/" not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_parameters_cell_is_tagged_typed_and_commented(path):
    (cell,) = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    for line in cell.source.splitlines():
        name, _, rest = line.partition(": ")
        assert name.isidentifier(), line
        assert " = " in rest, line
        assert "  # " in rest, line


def test_every_graded_block_of_the_assignment_is_tagged():
    source = "\n".join(c.source for c in code_cells(DELIVERABLE) if "graded" in c.metadata.get("tags", []))
    for call in ("train_transform", "replace_head", "make_loss", "make_optimizer", "fit(", "load_best_model"):
        assert call in source


ANSWERS = {  # what the stored source of each graded section must hold
    "## 2 ": ("RandomRotation", "CenterCrop", "RandomHorizontalFlip", "RandomVerticalFlip", "ColorJitter", "Normalize"),
    "## 3 ": ("nn.Linear",),
    "## 4 ": ("CrossEntropyLoss", "SGD("),
    "## 5 ": (".backward()", "optimizer.step()"),
    "## 6 ": ("best_model", "save_tensors"),
}


def test_the_stored_notebook_shows_the_answer_to_each_graded_block():
    shown = dict.fromkeys(ANSWERS, "")
    section = ""
    for cell in nbformat.read(DELIVERABLE, as_version=4).cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            section = cell.source[:5]
        if section in shown:
            shown[section] += "".join(out.get("data", {}).get("text/markdown", "") for out in cell.get("outputs", []))
    for section, answers in ANSWERS.items():
        assert [answer for answer in answers if answer not in shown[section]] == [], section


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_source_shown_is_the_source_that_runs(path):
    """Found here within a second, rather than at the end of the notebook's re-execution."""
    module_of = {}
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                module_of |= {alias.name: node.module for alias in node.names}
        for names in re.findall(r"^show_source\((.+)\)$", cell.source, re.MULTILINE):
            functions = [getattr(importlib.import_module(module_of[name]), name) for name in names.split(", ")]
            shown = "".join(out.data["text/markdown"] for out in cell.outputs if "text/markdown" in out.get("data", {}))
            assert all(f"```python\n{short_source(each)}```" in shown for each in functions), (
                f"{path.name} shows another {names} than the helpers hold: make notebook executes it again"
            )


def test_the_deliverable_is_short():
    cells = code_cells(DELIVERABLE)
    lines = [line for cell in cells for line in cell.source.splitlines()]
    assert len(cells) <= 26
    assert sum(line.lstrip().startswith(("import ", "from ")) for line in lines) <= 16


@pytest.mark.parametrize(
    "function", [five_augmentations, train_transform, replace_head, make_loss, make_optimizer, train_one_epoch,
                 save_best_model], ids=lambda each: each.__name__)  # fmt: skip
def test_the_answer_to_a_graded_block_fits_on_a_screen(function):
    assert len(short_source(function).splitlines()) <= 20


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_figure_is_described_for_those_who_cannot_see_it(path):
    outputs = [out for cell in code_cells(path) for out in cell.outputs if "image/jpeg" in out.get("data", {})]
    assert all(len(out.metadata["image/jpeg"]["alt"]) > 10 for out in outputs)
    assert not [out for cell in code_cells(path) for out in cell.outputs if "image/png" in out.get("data", {})]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_prose_has_no_formulas_that_need_a_network_to_be_set(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.cell_type == "code" or "$" not in re.sub(r"`[^`]*`", "", cell.source)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochz": 3}, "ParameterError: parameter 'epochz' is unknown: did you mean 'epochs'?"),
        ({"work_dir": "file/runs"}, "RunError: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_an_execution_ends_in_the_message_without_the_notebooks_traceback(tmp_path, monkeypatch, parameters, message):
    """Through papermill itself, whose command prints this error last."""
    monkeypatch.delenv("FLOWERS_WORK_DIR", raising=False)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    (tmp_path / "file").write_text("not a folder")
    place = tmp_path / parameters.get("work_dir", "runs")
    with pytest.raises(PapermillExecutionError) as error:
        execute_notebook(
            DELIVERABLE,
            tmp_path / "out.ipynb",
            {**parameters, "work_dir": str(place)},
            kernel_name="python3",
            cwd=ROOT / "notebooks",
            progress_bar=False,
        )
    text = str(error.value)
    assert text.strip().splitlines()[-1].startswith(message)
    assert "Traceback (most recent call last)\nCell" not in text
