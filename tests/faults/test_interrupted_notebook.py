"""The notebook under papermill: killed, interrupted, started twice; the same command continues."""

import json
import os
import signal
import subprocess
import sys

import pytest

from helpers.commands import main
from helpers.common import tensors
from tests.conftest import ROOT
from tests.faults.notebook_kills import EPOCHS, NOTEBOOK, HeadlessRun, arguments, digests, stored_cells

FILES = {"recipe.json", "environment.json", "split.csv", "history.csv", "best_model.pth", "best_model.json"}
FILES |= {"last.ckpt", "results.json", "predictions.csv", "test_predictions.csv", "figures"}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")


def test_after_any_interruption_the_same_command_continues_bit_identically(tmp_path, headless_run, capsys):
    home, outputs = tmp_path / "killed", []
    home.mkdir()
    for number, way in enumerate(("kernel killed", "command killed", "SIGTERM", "Ctrl-C")):
        run = HeadlessRun(home, tmp_path / f"log{number}")
        run.wait_for_epoch(2 + 2 * number)  # not 1: its checkpoint is written a moment later, and may never be
        if number == 1:
            assert main(["run", *arguments(home)]) == 1  # a second process, for the lock is the run's
            assert (
                f"RunError: mine is in use by another process (number {run.process.pid} on " in capsys.readouterr().err
            )
        run.end(way)
        code = run.finish()
        outputs.append(run.output())
        assert code == {"kernel killed": 1, "command killed": -signal.SIGKILL}.get(way, 130), run.output()
        assert run.epochs() < EPOCHS
        saved = tensors.load_tensors(run.folder / "last.ckpt")
        assert run.epochs() - len(saved["history"]) <= 1  # killed after one file was written and before the other
        if saved["history"]:
            tensors.load_tensors(run.folder / "best_model.pth")
        cells = stored_cells(run.folder)
        assert len([cell for cell in cells if cell["outputs"]]) > 5  # what was printed and drawn until then
        assert not (run.folder / "results.json").exists()
    assert "the kernel died, most likely for lack of memory" in outputs[0]
    for text in outputs[2:]:
        assert "stopping: the run is being saved" in text
        assert "the same command continues" in text
        assert "Traceback" not in text
    # The README's plain command continues it too.
    notebooks, executed = ROOT / "notebooks", tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", notebooks / NOTEBOOK, executed, "-k", "python3", "--cwd", notebooks]
    environment = {name: value for name, value in os.environ.items() if name != "FLOWERS_WORK_DIR"}
    done = subprocess.run([*command, *arguments(home)], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "resuming at" in executed.read_text()
    for each in (run.folder, headless_run):
        assert {path.name for path in each.iterdir()} >= FILES
        results = json.loads((each / "results.json").read_text())
        assert (results["epochs"], results["val_photos"], results["demo"]) == (EPOCHS, 24, True)
        assert (results["train_photos"], results["test"]["photos"], results["test"]["evaluations"]) == (96, 30, 1)
    assert digests(run.folder) == digests(headless_run)
    assert {path.name for path in home.iterdir()} == {"mine", "cache", "photos"}
    assert all(text.startswith("mine: continues") for text in outputs[1:])
    assert outputs[0].startswith("mine: a new run\n")
