"""A run's folder that somebody else made: nothing outside of it is read or written, and its faults are one sentence."""

import json
import os

import pytest
from PIL import Image

from helpers.commands import main, run_figures, runs
from helpers.common.errors import PhotosError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources import locate
from helpers.inference.export.verify import sample_photos
from helpers.plots import training
from helpers.recipe import Recipe
from helpers.runs.finished import read_run
from helpers.runs.folders import default_name
from tests.conftest import colourful

COMMANDS = ("figures", "predict", "export", "report", "runs")


def edit(folder, name="recipe.json", **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def called(command, folder, photos, tmp_path):
    """Run a command on the folder, writing only into ``tmp_path``. Returns the exit code."""
    paths = {"predict": [str(next(photos.glob("*/*.jpg"))), "--run", str(folder)], "runs": [str(folder)]}
    more = {"report": ["--output", str(tmp_path / "report.pdf")], "runs": ["--figure", str(tmp_path / "runs.png")]}
    return main([command, *paths.get(command, [str(folder)]), *more.get(command, [])])


@pytest.fixture
def stranger(finished, folder, monkeypatch):
    """A finished run, and its photos' folder inside of the reader's project; saliency and maps take long."""
    monkeypatch.setattr(run_figures, "FIGURES", {name: run_figures.FIGURES[name] for name in ("curves",)})
    return folder, finished[1]


@pytest.mark.parametrize("text", ["[]", "null", "3", "[" * 100_000, '{"a":' * 100_000, "", "\x00", '{"epochs": 1e999}'])
@pytest.mark.parametrize("name", ["recipe.json", "results.json", "best_model.json", "environment.json"])
def test_json_of_any_kind_is_one_sentence(stranger, tmp_path, capfd, name, text):
    folder, photos = stranger
    (folder / name).write_text(text)
    for command in ("predict", "runs", "figures"):
        called(command, folder, photos, tmp_path)
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out


VALUES = (None, [[1]], 10**30, 1e300, "a\x1b[2J\ud800")


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_of_any_kind_are_one_sentence(stranger, tmp_path, capfd, monkeypatch, value):
    folder, photos = stranger
    for name in ("results.json", "best_model.json", "environment.json", "recipe.json"):
        if name != "results.json":  # whose numbers alone are drawn, which takes most of the time
            monkeypatch.setattr(training, "compare_runs", lambda rows: None)
            monkeypatch.setattr(runs, "save_figure", lambda *_: None)
        whole = (folder / name).read_text()
        for key in json.loads(whole):
            edit(folder, name, **{key: value})
            called("runs", folder, photos, tmp_path)
            if name == "best_model.json":
                called("predict", folder, photos, tmp_path)
        (folder / name).write_text(whole)
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out
    assert "\x1b" not in said.err + said.out


@pytest.mark.parametrize("name", ["recipe.json", "results.json", "split.csv", "predictions.csv", "best_model.pth"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_nobody_waits_for_a_pipe_in_a_run(stranger, tmp_path, capfd, name):
    folder, photos = stranger
    (folder / name).unlink()
    os.mkfifo(folder / name)
    for command in COMMANDS:
        called(command, folder, photos, tmp_path)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_among_the_photos_is_named_and_the_others_are_classified(stranger, tmp_path, capfd):
    folder, _ = stranger
    mine = tmp_path / "mine"
    mine.mkdir()
    os.mkfifo(mine / "x.jpg")
    colourful((50, 40)).save(mine / "y.jpg")
    assert main(["predict", str(mine), "--run", str(folder)]) == 1
    said = capfd.readouterr().out
    assert "x.jpg" in said
    assert "not a file" in said
    assert "1 photo: 1 " in said


def test_a_recipe_cannot_name_a_private_picture(stranger, tmp_path, capsys):
    """Earlier versions had a setting ``photo``, whose pictures were drawn into the figures."""
    folder, photos = stranger
    colourful((50, 40)).save(tmp_path / "private.jpg")
    edit(folder, photo=str(tmp_path / "private.jpg"))
    assert main(["figures", str(folder), "--data", str(photos)]) == 0
    assert "has settings that this version does not: photo" in capsys.readouterr().out
    assert [path.name for path in (folder / "figures").iterdir()] == ["curves.png"]


def test_photos_outside_of_the_project_are_not_opened_unasked(tmp_path, monkeypatch):
    root = tmp_path / "project"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    for place in ("/", "..", str(tmp_path), "~", "link", "a/../../x.zip"):
        with pytest.raises(PhotosError, match=r"outside of the project, .*, which are not opened unasked"):
            locate.locate_existing(Recipe(dataset=place), root)
    assert locate.locate_existing(Recipe(dataset="/"), root, str(tmp_path)) == tmp_path  # the reader says so
    with pytest.raises(PhotosError, match="100,000 photos per class would be drawn first"):
        locate.locate_existing(Recipe.from_preset("demo", demo_photos=100_000), root)
    drawn = []
    monkeypatch.setattr("helpers.data.sources.garden.plant_garden", lambda folder, **_: drawn.append(folder))
    locate.locate_existing(Recipe.from_preset("demo", work_dir=str(tmp_path / "elsewhere")), root)
    assert drawn == [root / "work_dir" / "photos" / "demo-160-0"]


def test_an_export_opens_only_photos_of_the_data_set(finished, folder, tmp_path):
    """A name such as ``../../secret.jpg`` in ``predictions.csv``."""
    colourful((90, 60)).save(finished[1].parent / "secret.jpg")
    rows = (folder / "predictions.csv").read_text().splitlines()
    (folder / "predictions.csv").write_text("\n".join([rows[0], "../secret.jpg," + rows[1].split(",", 1)[1]]))
    with pytest.raises(PhotosError, match="none of the run's 1 validation photos"):
        sample_photos(read_run(folder), tmp_path, str(finished[1]))


@pytest.mark.parametrize("name", ["figures", "export"])
def test_nothing_is_written_through_a_link_in_the_run(stranger, tmp_path, capfd, name):
    folder, photos = stranger
    (tmp_path / "elsewhere").mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert called(name, folder, photos, tmp_path) == 1
    assert "is a link, through which nothing is written" in capfd.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_names_that_are_too_long_are_one_sentence(tmp_path, capfd):
    long = "x" * 300
    for arguments in (["figures", long], ["report", long], ["predict", long, "--run", long], ["runs", long]):
        assert main(arguments) == 1
    assert main(["run", "--data", long]) == 1
    said = capfd.readouterr()
    assert "Traceback" not in said.err
    assert said.err.count("Error") == 5
    assert len(default_name(Recipe(dataset="é" * 120)).encode()) <= 200


def test_a_thin_picture_is_left_out_and_named(grow):
    root = grow({"rose": 3, "tulip": 3})
    Image.new("RGB", (100_000, 1)).save(root / "rose" / "line.png")
    audit = audit_photos(find_photos(root))
    assert audit.unreadable == (("rose/line.png", "100000 × 1 px is a line, not a photo"),)


def test_class_folders_with_control_characters_are_refused_by_name(grow):
    root = grow({"rose": 1, "tulip": 1})
    (root / "rose").rename(root / "ro\x1b[2Jse")
    with pytest.raises(PhotosError, match=r"'ro\\\\x1b\[2Jse' is not plain UTF-8 text: rename the folder"):
        find_photos(root)
