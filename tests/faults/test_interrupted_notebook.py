"""The notebook under papermill: killed, interrupted, started twice; the same command continues."""

import os
import signal

import pytest

from helpers.common import tensors
from tests.faults.notebook_kills import EPOCHS, HeadlessRun, digests, stored_cells, uninterrupted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")


def test_after_any_interruption_the_same_command_continues_bit_identically(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    expected, _ = uninterrupted(tmp_path / "whole")
    outputs = []
    for number, way in enumerate(("kernel killed", "command killed", "SIGTERM", "Ctrl-C")):
        run = HeadlessRun(tmp_path / "killed", tmp_path / f"log{number}")
        run.wait_for_epoch(1 + 2 * number)
        if number == 1:
            second = HeadlessRun(tmp_path / "killed", tmp_path / "second")
            assert second.finish() == 1
            assert "RunError: killed is in use by another process (number" in second.output()
            assert "Traceback" not in second.output()
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
        assert "stopping: what was learned is being saved" in text
        assert "the same command continues" in text
        assert "Traceback" not in text
    run = HeadlessRun(tmp_path / "killed", tmp_path / "log")
    assert run.finish() == 0, run.output()
    assert run.output().startswith("killed: continues an unfinished run\n")
    assert "continues after" in run.output()
    assert digests(run.folder) == expected
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"killed", "cache", "photos"}
    assert all(text.startswith("killed: continues") for text in outputs[1:])
    assert outputs[0].startswith("killed: a new run\n")
