"""A run published: its numbers and its notebook, no weights, no photos, no path of the machine."""

import json
import shutil

import pytest

from helpers.commands import main, publish
from tests.conftest import ROOT


@pytest.fixture
def copied(headless_run, tmp_path):
    return shutil.copytree(headless_run, tmp_path / "run")


def test_numbers_and_notebook_are_published_without_photos(copied, tmp_path):
    assert main(["publish", str(copied), "--output", str(tmp_path / "results")]) == 0
    folder = tmp_path / "results" / "run"
    names = {path.name for path in folder.iterdir()}
    assert names == {*publish.NUMBERS, publish.RESULTS, publish.NOTEBOOK}
    for name in publish.NUMBERS:
        assert (folder / name).read_bytes() == (copied / name).read_bytes()
    text = (folder / publish.NOTEBOOK).read_text()
    assert str(tmp_path) not in text
    assert str(ROOT) not in text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    shown = {
        name: json.dumps(cell["outputs"])
        for cell in cells
        for name in (*publish.OF_PHOTOS, "confusion")
        if f'"{name}")' in "".join(cell["source"])
    }
    assert shown.keys() == {*publish.OF_PHOTOS, "confusion"}
    assert "image/" in shown.pop("confusion")
    for output in shown.values():
        assert "image/" not in output
        assert "not in this repository" in output


def test_edited_unfinished_and_local_runs_are_refused(copied, tmp_path, capsys):
    command = ["publish", str(copied), "--output", str(tmp_path / "results")]
    history = copied / "history.csv"
    kept = history.read_text()
    history.write_text(kept.replace("0", "1", 1))
    assert main(command) == 1
    assert "history.csv was changed after the run wrote it" in capsys.readouterr().err
    history.write_text(kept)
    (copied / "results.json").unlink()
    assert main(command) == 1
    assert "not finished" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
