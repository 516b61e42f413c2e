"""``python -m helpers predict``: the table, the files it writes, and its exit code."""

import csv
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.commands import main
from helpers.commands.predict import SHEET
from helpers.common.errors import RunError
from helpers.evaluation.predictions import read_predictions
from helpers.inference import out_of_distribution
from helpers.runs.table import find_run
from tests.conftest import colourful


def run_command(*arguments):
    return main(["predict", *map(str, arguments)])


def test_the_command_prints_the_predictions_before_the_caveats_and_writes_csv_and_sheet(finished, tmp_path, capsys):
    folder, photos, _ = finished
    sheet, table = tmp_path / "sheet.png", tmp_path / "all.csv"
    assert run_command(photos / "rose", "--run", folder, "--sheet", sheet, "--csv", table) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["photo", "predicted", "prob.", "second", "prob.", "note"]
    assert all(f"{i:03}.jpg  " in line for i, line in enumerate(lines[:20]))
    assert lines[20] == ""
    assert lines[21].startswith("20 photos: ")
    assert [line for line in lines if line.startswith("run a: squeezenet1_1 for rose, tulip; accuracy ")]
    assert [line for line in lines if line.startswith("Flagged photos are more unusual than 95 % of the 8 validation")]
    assert lines[-2:] == [f"CSV: {table}", f"contact sheet: {sheet}"]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert all(float(row["rose"]) + float(row["tulip"]) == pytest.approx(1, abs=1e-5) for row in rows)
    assert {row["class"] for row in rows} <= {"rose", "tulip"}
    assert Image.open(sheet).size[0] > 500
    assert list(tmp_path.glob("*.tmp")) == []


def test_files_that_are_not_photos_are_listed_and_skipped(finished, tmp_path, capsys):
    folder, photos, _ = finished
    good, mine = (photos / "rose" / "000.jpg").read_bytes(), tmp_path / "Fotos für Oma"
    mine.mkdir()
    (mine / "a.jpg").write_bytes(good)
    (mine / "cut.jpg").write_bytes(good[: len(good) // 2])
    (mine / "empty.jpg").write_bytes(b"")
    (mine / "letter.jpg").write_text("Dear Sir or Madam")
    (mine / "letter.txt").write_text("Dear Sir or Madam")
    Image.new("RGB", (4000, 1)).save(mine / "line.png")
    Image.new("RGB", (1, 1), "red").save(mine / "point.png")
    Image.new("CMYK", (60, 50)).save(mine / "print.jpg")
    Image.fromarray(np.full((40, 50), 40_000, np.uint16)).save(mine / "scan.png")
    Image.new("P", (50, 40)).save(mine / "web.png", transparency=0)
    assert run_command(mine, tmp_path / "nowhere.jpg", "--run", folder, "--no-sheet") == 1
    out, err = capsys.readouterr()
    assert "nowhere.jpg does not exist" in err
    assert "skipped, not photos by their suffix: 1 .txt" in err
    reasons = {
        "cut": "truncated",
        "empty": "the file is empty",
        "letter": "not a known image format",
        "line": "is a line",
    }
    for name, words in reasons.items():
        (line,) = [line for line in out.splitlines() if f"{name}." in line]
        assert words in line.lower()
    assert "\n5 photos: " in out
    assert "4 files could not be read" in out


def test_nothing_but_problems_is_an_error(finished, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run_command(tmp_path / "empty", "--run", finished[0]) == 1
    assert "no photo was found" in capsys.readouterr().err
    (tmp_path / "x.jpg").write_text("not a photo")
    assert run_command(tmp_path / "x.jpg", "--run", finished[0]) == 1
    assert "none could be read" in capsys.readouterr().out


def test_an_unusable_run_is_an_error(folder, finished, capsys):
    (folder / "recipe.json").write_text("{")
    assert run_command(finished[1] / "rose", "--run", folder) == 1
    assert capsys.readouterr().err.startswith("RunError: ")


def test_the_newest_finished_run_is_the_default(folder, finished, capsys, monkeypatch):
    monkeypatch.setenv("FLOWERS_WORK_DIR", str(folder.parent))
    older = shutil.copytree(folder, folder.parent / "older")
    shutil.copytree(folder, folder.parent / "unfinished")
    (folder.parent / "unfinished" / "results.json").unlink()
    os.utime(older / "results.json", (1, 1))
    assert run_command(finished[1] / "rose" / "000.jpg") == 0
    assert "no run given: a is the newest finished one" in capsys.readouterr().out
    assert (folder / SHEET).is_file()
    assert find_run("older") == older
    assert find_run("") == folder
    with pytest.raises(RunError, match=r"did you mean .*/older\?"):
        find_run("odler")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sheet", "sheet.doc"], "must end in one of"),
        (["--sheet", "no/where/sheet.jpg"], "does not exist"),
        (["--csv", "no/where/all.csv"], "the folder no/where does not exist or cannot be written"),
        (["--batch-size", "0"], "at least 1"),
        (["--device", "tpu"], "'tpu' is unknown"),
    ],
)
def test_wrong_options_are_named(finished, capsys, options, message):
    assert run_command(finished[1] / "rose" / "000.jpg", "--run", finished[0], *options) == 1
    assert message in capsys.readouterr().err


def test_the_accuracy_by_folder_names_is_separate_for_training_photos(finished, capsys):
    folder, photos, _ = finished
    run_command(photos, "--run", folder, "--no-sheet")
    out = capsys.readouterr().out
    stored = read_predictions(folder)
    right = int((stored.probabilities.argmax(1) == stored.labels).sum())
    assert f"accuracy by folder names: {right} of 8, " in out
    assert "accuracy by folder names, on training photos (by name): " in out


def test_a_run_that_was_not_looked_at_gets_its_detector_first(finished, folder, capsys):
    _, photos, detector = finished
    (folder / out_of_distribution.FILE).unlink()
    assert run_command(photos / "rose", "--run", folder, "--no-sheet", "--data", photos) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("to flag unfamiliar photos, once: 40 of the run's photos pass through the network")
    assert any("flagged: like none of the classes?" in line for line in lines)
    assert not any("not flagged" in line for line in lines)
    assert out_of_distribution.load(folder, len(detector.centre)).threshold == pytest.approx(detector.threshold)
    assert run_command(photos / "rose", "--run", folder, "--no-sheet") == 0
    assert "once" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "reason"), [(None, "photos outside of the project"), ("rose", "are not those of the run")]
)
def test_without_its_photos_one_line_says_why_nothing_is_flagged(finished, folder, tmp_path, capsys, data, reason):
    photos = finished[1]
    (folder / out_of_distribution.FILE).unlink()
    if data:
        data = shutil.copytree(photos, tmp_path / "others")
        colourful((60, 90), 999).save(data / "rose" / "000.jpg")
    assert run_command(photos / "rose", "--run", folder, "--no-sheet", *(["--data", data] if data else [])) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "flagged" in line]
    assert line.startswith("note: unfamiliar photos are not flagged: ")
    assert reason in line
    assert not (folder / out_of_distribution.FILE).exists()
