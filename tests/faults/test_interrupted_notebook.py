"""The notebook under papermill: killed, interrupted, started twice. The same command goes on."""

import os
import signal

import pytest

from helpers.common import tensors
from tests.faults.notebook_kills import EPOCHS, Life, digests, stored_notebook, whole

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")


def test_the_same_command_continues_whatever_ended_it_and_comes_to_the_same_bits(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    expected, _ = whole(tmp_path / "whole")
    said = []
    for number, way in enumerate(("kernel killed", "command killed", "SIGTERM", "Ctrl-C")):
        life = Life(tmp_path / "killed", tmp_path / f"log{number}")
        life.wait_for_epoch(1 + 2 * number)
        if number == 1:
            second = Life(tmp_path / "killed", tmp_path / "second")
            assert second.finish() == 1
            assert "RunError: killed is in use by another process (number" in second.said()
            assert "Traceback" not in second.said()
        life.end(way)
        code = life.finish()
        said.append(life.said())
        assert code == {"kernel killed": 1, "command killed": -signal.SIGKILL}.get(way, 130), life.said()
        assert life.epochs() < EPOCHS
        saved = tensors.load_tensors(life.folder / "last.ckpt")
        assert life.epochs() - len(saved["history"]) <= 1  # killed between the one file and the other
        if saved["history"]:
            tensors.load_tensors(life.folder / "best_model.pth")
        cells = stored_notebook(life.folder)
        assert len([cell for cell in cells if cell["outputs"]]) > 5  # what was printed and drawn until then
        assert not (life.folder / "results.json").exists()
    assert "the kernel died, most likely for lack of memory" in said[0]
    for text in said[2:]:
        assert "stopping: what was learned is being saved" in text
        assert "the same command continues" in text
        assert "Traceback" not in text
    life = Life(tmp_path / "killed", tmp_path / "log")
    assert life.finish() == 0, life.said()
    assert life.said().startswith("killed: continues an unfinished run\n")
    assert "continues after" in life.said()
    assert digests(life.folder) == expected
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"killed", "cache", "photos"}
    assert all(text.startswith("killed: continues") for text in said[1:])
    assert said[0].startswith("killed: a new run\n")
