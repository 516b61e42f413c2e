"""A run published: its numbers and its notebook, no weights, no photos, no path of the machine."""

import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from helpers.commands import _parser, main, publish
from tests.conftest import ROOT
from tests.tiny import tiny_results


@pytest.fixture
def copied(headless_run, tmp_path):
    return shutil.copytree(headless_run, tmp_path / "run")


def test_numbers_and_notebook_are_published_without_photos(copied, tmp_path):
    assert main(["publish", str(copied), "--output", str(tmp_path / "results")]) == 0
    folder = tmp_path / "results" / "run"
    names = {path.name for path in folder.iterdir()}
    assert names == {*publish.NUMBERS, publish.RESULTS, publish.NOTEBOOK, "test_predictions.csv", "test.json"}
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


@pytest.mark.parametrize("name", ["environment.json", "split.csv", "changes.json", publish.NOTEBOOK])
def test_what_a_file_leads_to_is_not_published_and_damage_is_named(copied, tmp_path, capsys, name):
    """Nothing is then written."""
    (tmp_path / "private").write_text("{}")
    damages = [lambda path: path.symlink_to(tmp_path / "private"), os.mkdir]
    damages += [] if name.endswith(".csv") else [lambda path: path.write_text("[" * 100_000), Path.touch]
    for damage in damages:
        if (copied / name).is_dir():
            (copied / name).rmdir()
        (copied / name).unlink(missing_ok=True)
        damage(copied / name)
        assert main(["publish", str(copied), "--output", str(tmp_path / "results")]) == 1
        assert re.search(rf"{name} is (a link, and what it|missing or damaged \()", capsys.readouterr().err)
    assert not (tmp_path / "results").exists()


@pytest.fixture
def refreshed(tmp_path, monkeypatch):
    """Notebooks executed as ``make notebook`` does, and the stored ones; the published training took 10 s."""
    monkeypatch.chdir(tmp_path)
    for folder in (f"refresh/{publish.DEMO}", f"report/results/{publish.DEMO}", "notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    v4 = nbformat.v4
    streams = [v4.new_output("stream", name=name, text=name) for name in ("stdout", "stderr")]
    picture = v4.new_output("display_data", {"image/jpeg": "x"})
    cell = v4.new_code_cell(f'run.save_figure(figure, "{publish.OF_PHOTOS[0]}")', outputs=[*streams, picture])
    nbformat.write(v4.new_notebook(cells=[cell]), tmp_path / "refresh" / "a.ipynb")
    (tmp_path / "notebooks" / "a.ipynb").write_text("stored before")

    def command(seconds, *options):
        for place, took in (("refresh", seconds), ("report/results", 10.0)):
            results = json.dumps(tiny_results(training_seconds=took))
            (tmp_path / place / publish.DEMO / "results.json").write_text(results)
        return main(["publish", "--refreshed", "refresh", *options])

    return command, tmp_path / "notebooks" / "a.ipynb"


def test_a_refreshed_notebook_is_stored_without_warnings_and_with_its_pictures(refreshed, capsys):
    command, stored = refreshed
    assert command(19.0) == 0
    assert "training took 19.0 s; the published run's, which the README quotes, 10.0 s" in capsys.readouterr().out
    (cell,) = nbformat.read(stored, as_version=4).cells
    assert [each.get("name", "picture") for each in cell.outputs] == ["stdout", "picture"]


def test_a_training_of_twice_the_stated_time_is_stored_only_by_force(refreshed, capsys):
    command, stored = refreshed
    assert command(21.0) == 1
    assert "nothing is stored: that is more than 2 times as long" in capsys.readouterr().err
    assert stored.read_text() == "stored before"
    assert command(21.0, "--force") == 0
    assert stored.read_text() != "stored before"


def test_make_notebook_executes_beside_the_stored_notebooks_and_stores_by_this_command():
    (recipe,) = re.findall(r"^notebook: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "--inplace" not in recipe
    assert "--output-dir work_dir/refresh" in recipe
    (words,) = re.findall(r"-m helpers (.*) \$\(if \$\(FORCE\),(--force)\)", recipe)
    options = _parser("publish", publish).parse_args(" ".join(words).split()[1:])
    assert (options.refreshed, options.force) == (Path("work_dir/refresh"), True)
