"""The committed notebooks are executed, tidy and small; headless runs of them succeed and fail as they should."""

import ast
import hashlib
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.display import Code

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DELIVERABLE = ROOT / "notebooks" / "flower_classification.ipynb"
QUICK = {"epochs": 2, "demo_photos": 10, "image_size": 32, "val_resize": 36, "backbone": "squeezenet1_1", "lr": 0.001}


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_executed_in_order_without_errors_and_small(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_call_helpers_and_define_nothing(path):
    for cell in code_cells(path):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 20
        assert not any(line.startswith(("def ", "class ")) for line in lines)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_of_the_machine_is_in_the_outputs(path):
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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_source_shown_is_the_source_that_runs(path):
    """Known here within a second, rather than at the end of the notebook's re-execution."""
    module_of = {}
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                module_of |= {alias.name: node.module for alias in node.names}
        for name in re.findall(r"^show_source\((\w+)\)$", cell.source, re.MULTILINE):
            function = getattr(importlib.import_module(module_of[name]), name)
            shown = [out.data["text/html"] for out in cell.outputs if "text/html" in out.get("data", {})]
            assert shown == [Code(inspect.getsource(function), language="python")._repr_html_()], (
                f"{path.name} shows another {name} than the helpers hold: make notebook executes it again"
            )


def papermill(tmp_path, **parameters):
    """The plain command of the README, into a folder of its own."""
    command = [sys.executable, "-m", "papermill", str(DELIVERABLE), str(tmp_path / "out.ipynb"), "-k", "python3"]
    command += ["--cwd", str(ROOT / "notebooks"), "--no-progress-bar"]
    for name, value in {"work_dir": str(tmp_path / "runs"), **parameters}.items():
        command += ["-p", name, str(value)]
    environment = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    environment.pop("FLOWERS_WORK_DIR", None)
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_a_headless_run_leaves_everything_and_repeats_to_the_bit(tmp_path):
    digests = []
    for name in ("first", "second"):
        done = papermill(tmp_path, run=name, **QUICK)
        assert done.returncode == 0, done.stderr[-2000:]
        folder = tmp_path / "runs" / name
        expected = {"recipe.json", "environment.json", "split.csv", "history.csv", "best_model.pth", "best_model.json"}
        expected |= {"last.ckpt", "results.json", "predictions.csv", "figures", "known.pth", "export"}
        assert expected <= {path.name for path in folder.iterdir()}
        files = ("history.csv", "best_model.pth", "split.csv", "predictions.csv")
        digests.append([hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files])
        results = json.loads((folder / "results.json").read_text())
        assert (results["epochs"], results["val_photos"], results["demo"]) == (2, 10, True)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochz": 3}, "ParameterError: parameter 'epochz' is unknown: did you mean 'epochs'?"),
        ({"epochs": "ten"}, "ParameterError: epochs = 'ten': expected a whole number, got str"),
        ({"lr": -1}, "ParameterError: lr = -1: must be more than 0"),
        ({"nesterov": "false"}, "ParameterError: nesterov = 'false': expected true or false"),
        ({"dataset": "nowhere"}, "PhotosError: dataset = 'nowhere'"),
        (
            {"backbone": "resnet19"},
            "WeightsError: backbone 'resnet19' is unknown to torchvision: did you mean resnet18",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_papermill_ends_in_the_message_not_in_a_traceback_of_the_notebook(tmp_path, parameters, message):
    done = papermill(tmp_path, **parameters)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith(message)
    assert "Traceback (most recent call last)\nCell" not in done.stderr


def test_a_work_dir_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = papermill(tmp_path, work_dir=str(tmp_path / "file" / "runs"))
    assert done.returncode != 0
    assert "RunError: work_dir: " in done.stderr.strip().splitlines()[-1]
