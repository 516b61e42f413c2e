"""Runs side by side: who may be compared with whom, and by how much they differ, computed by hand."""

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from helpers.commands import main
from helpers.common.errors import RunError
from helpers.evaluation.predictions import Predictions
from helpers.runs import folders, table_text
from helpers.runs import table as table_module
from helpers.runs.changes import save_changes
from helpers.runs.history import Epoch, History
from helpers.runs.table import find_run, load_run_table, run_folders
from tests.tiny import a_run, tiny_recipe, tiny_results

ROOT = Path(__file__).parents[2]
NAMES = [f"rose/{i}.jpg" for i in range(8)]


def made(work_dir, name, right, demo=False, fingerprint="f1", names=NAMES, finished=1000, **changes):
    """A finished run that was right about the photos for which ``right`` has a 1."""
    run = a_run(work_dir / name, tiny_recipe(dataset="demo" if demo else "/far/away/photos", **changes))
    accuracy = sum(right) / len(right)
    run.save_history(History([Epoch(0, 0.05, 0.7, 0.5, 0.6, accuracy / 2), Epoch(1, 0.05, 0.7, 0.5, 0.6, accuracy)]))
    logits = torch.tensor([[3.0, 0.0] if each else [0.0, 3.0] for each in right])
    truth = torch.zeros(len(right), dtype=torch.long)
    run.save_predictions(Predictions(logits, truth), names[: len(right)], ("rose", "tulip"))
    (run.folder / "recipe.json").write_text(json.dumps(run.recipe.to_dict()))
    (run.folder / "environment.json").write_text(
        json.dumps(
            {"device_name": "AMD(R) EPYC 7 32-Core Processor, 2 threads", "precision": "bfloat16"}
            | {"data_fingerprint": fingerprint}
        )
    )
    numbers = {"photos": 40, "val_photos": len(right), "demo": demo, "dataset": run.recipe.dataset, "epochs": 2}
    run.save_results(tiny_results(**numbers, best_val_accuracy=accuracy, last_five_mean=0.4, training_seconds=83))
    os.utime(run.folder / "results.json", (finished, finished))
    return run.folder


def test_runs_on_the_same_photos_are_compared_photo_by_photo(tmp_path):
    made(tmp_path, "a", [1, 1, 1, 1, 0, 0, 0, 0])
    made(tmp_path, "b", [1, 1, 1, 1, 1, 1, 1, 0], names=NAMES, lr=0.5)
    table = load_run_table(run_folders(tmp_path))
    first, second = table.rows
    assert [row.group for row in table.rows] == ["A", "A"]
    assert first.difference is None
    assert second.difference.mean == pytest.approx(3 / 8)
    assert 0 <= second.difference.low < 3 / 8 < second.difference.high
    assert second.p_value == pytest.approx(2 / 2**3)  # three photos gained, none lost
    assert table.differing == ("lr",)
    assert table.notes == ()


def test_p_values_of_several_rows_are_raised_as_holm_says(tmp_path):
    for name, right in (("a", [0] * 8), ("b", [1] * 8), ("c", [1, 1, 1, 1, 1, 1, 0, 0])):
        made(tmp_path, name, right)
    table = load_run_table(run_folders(tmp_path))
    # Of two: the smaller, 2 / 2**8, counts twice, the larger, 2 / 2**6, once.
    assert [row.p_value for row in table.rows] == [None, pytest.approx(2 * 2 / 2**8), pytest.approx(2 / 2**6)]
    assert "p-values are optimistic" in table_text.format_text(table)


def test_an_empty_work_folder_in_the_environment_means_the_usual_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWERS_WORK_DIR", "")
    monkeypatch.setattr(table_module, "project_root", lambda start: tmp_path)
    monkeypatch.setattr(folders, "project_root", lambda start=None: tmp_path)
    made(tmp_path / "work_dir", "a", [1, 0])
    assert find_run(None) == tmp_path / "work_dir" / "a"
    assert main(["runs"]) == 0
    assert (tmp_path / "work_dir" / "runs.png").is_file()


def test_photos_are_matched_by_name_and_not_by_place(tmp_path):
    made(tmp_path, "a", [1, 0, 1, 1, 1, 1, 1, 1])
    made(tmp_path, "b", [1, 1, 1, 1, 1, 1, 0, 1], names=NAMES[::-1])
    second = load_run_table(run_folders(tmp_path)).rows[1]
    assert (second.difference.mean, second.difference.low, second.difference.high) == (0, 0, 0)
    assert second.p_value == 1


def test_the_order_of_named_runs_says_who_is_first(tmp_path):
    made(tmp_path, "a", [1, 0, 0, 0, 0, 0, 0, 0])
    folder = made(tmp_path, "b", [1, 1, 0, 0, 0, 0, 0, 0])
    table = load_run_table(run_folders(tmp_path, [str(folder), "a"]))
    assert [row.name for row in table.rows] == ["b", "a"]
    assert table.rows[1].difference.mean == pytest.approx(-1 / 8)
    with pytest.raises(RunError, match="there is no run 'c', neither here"):
        run_folders(tmp_path, ["a", "c"])


def test_other_photos_other_splits_and_the_demo_are_kept_apart(tmp_path):
    right = [1, 1, 1, 1, 0, 0, 0, 0]
    made(tmp_path, "a-demo", right, demo=True, fingerprint="f3")
    made(tmp_path, "b", right)
    made(tmp_path, "c", right, fingerprint="f2")
    made(tmp_path, "d", right, names=[f"tulip/{i}.jpg" for i in range(8)])
    table = load_run_table(run_folders(tmp_path))
    assert [(row.name, row.group) for row in table.rows] == [
        ("b", "A"),
        ("d", "A split 2"),
        ("c", "B"),
        ("a-demo", "C"),
    ]
    assert not any(row.difference for row in table.rows)
    text = table_text.format_text(table)
    assert "C: demo, 40 drawings, 8 of them for validation (the demo: says nothing about real flowers)" in text
    assert "another letter) cannot be compared" in text
    assert "Runs on another split" in text
    assert "paired" not in text


def test_a_run_that_does_not_say_what_it_saw_is_compared_with_none(tmp_path):
    for name in "ab":
        (made(tmp_path, name, [1, 0] * 4) / "environment.json").unlink()
    table = load_run_table(run_folders(tmp_path))
    assert [row.group for row in table.rows] == ["A", "B"]
    assert [row.device for row in table.rows] == ["–", "–"]
    (made(tmp_path, "c", [1, 0] * 4) / "predictions.csv").unlink()
    made(tmp_path, "d", [1, 0] * 4)
    rows = {row.name: row for row in load_run_table(run_folders(tmp_path)).rows}
    assert (rows["c"].group, rows["c"].no_difference) == ("C split unknown", "no predictions")
    assert rows["d"].group == "C"


def test_unfinished_damaged_and_edited_runs_are_named(tmp_path):
    made(tmp_path, "good", [1, 0])
    (made(tmp_path, "unfinished", [1, 0]) / "results.json").unlink()
    (made(tmp_path, "damaged", [1, 0]) / "results.json").write_text("{")
    edited = made(tmp_path, "edited", [1, 0]) / "results.json"
    edited.write_text(edited.read_text().replace('"photos": 40', '"photos": 41'))
    nothing = made(tmp_path, "nothing", [1, 0]) / "results.json"
    nothing.write_text(nothing.read_text().replace('"interval_low": 0.2', '"interval_low": null'))
    table = load_run_table(run_folders(tmp_path))
    assert [row.name for row in table.rows] == ["edited", "good"]
    text = table_text.format_text(table)
    for words in ("unfinished holds a run that is not finished", "damaged/results.json is damaged"):
        assert words in text
    assert "edited/results.json was changed after the run wrote it" in text
    assert "nothing/results.json is damaged: " in text


def test_folders_that_are_no_runs_are_passed_over(tmp_path):
    made(tmp_path, "a", [1, 0])
    for name in ("comparison-mobilenet_v2-224px-25/seed/fold-0", "nbval/demo-resnet18", "browser/demo-resnet18"):
        made(tmp_path, name, [1, 0])
    (tmp_path / "cache" / "val-96").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "runs.png").touch()
    assert [folder.name for folder in run_folders(tmp_path)] == ["a"]


def test_the_table_is_aligned_and_says_what_the_runs_are(tmp_path):
    made(tmp_path, "a", [1, 1, 1, 1, 0, 0, 0, 0])
    made(tmp_path, "longer-name", [1, 1, 1, 1, 1, 0, 0, 0], lr=0.5, weights="/elsewhere/mine.pth")
    lines = table_text.format_text(load_run_table(run_folders(tmp_path))).splitlines()
    assert lines[1].split() == (
        ["a", "A", "resnet18", "2", "50.00", "20.0", "to", "90.0", "40.00", "1", "min", "23", "s"]
        + ["AMD", "EPYC", "7,", "2", "threads,", "bf16", "first"]
    )
    assert lines[2].split()[-6:] == ["+12.50", "(+0.0", "to", "+37.5),", "p", "1"]
    assert len({line.index("resnet18") for line in lines[1:3]}) == 1
    assert "weights               imagenet  mine.pth" in lines
    assert "lr                    0.05      0.5" in lines


def test_only_what_is_not_as_in_the_first_run_is_shown(tmp_path):
    for name, lr in (("a", 0.05), ("b", 0.5), ("c", 0.05)):
        made(tmp_path, name, [1, 0], lr=lr)
    lines = table_text.format_text(load_run_table(run_folders(tmp_path))).splitlines()
    assert lines[-3:] == [
        "settings that differ  a     b    c",
        "lr                    0.05  0.5  ·",
        "· as the first run",
    ]


@pytest.mark.parametrize("name", ["run-{:02}", "a-run-with-a-name-that-is-rather-long-{:02}"])
def test_many_runs_are_numbered_in_tables_that_fit_a_line(tmp_path, name):
    for i in range(40):
        made(tmp_path, name.format(i), [1, 0], lr=(0.05, 0.5, 0.25)[i % 3], weights="x" * 50 if i == 1 else "none")
    text = "settings" + table_text.format_text(load_run_table(run_folders(tmp_path))).split("\n\nsettings", 1)[1]
    assert max(map(len, text.splitlines())) <= table_text.WIDTH
    blocks = text.split("settings that differ")[1:]
    assert [number for block in blocks for number in block.splitlines()[0].split()] == [str(i + 1) for i in range(40)]
    values = [
        value for block in blocks for line in block.splitlines() if line[:3] == "lr " for value in line.split()[1:]
    ]
    assert values == ["0.05", *["0.5", "0.25", "·"] * 13]
    assert f" {name.format(39)}" in text


def test_csv_and_json_hold_the_same_numbers(tmp_path, monkeypatch, capsys):
    made(tmp_path, "a", [1, 1, 1, 1, 0, 0, 0, 0])
    made(tmp_path, "b", [1, 1, 1, 1, 1, 1, 1, 0], lr=0.5)
    monkeypatch.setenv("FLOWERS_WORK_DIR", str(tmp_path))
    assert main(["runs", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert main(["runs", "--csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["difference"] for row in rows] == [None, pytest.approx(3 / 8)]
    assert [float(line["best"]) for line in lines] == [row["best"] for row in rows] == [4 / 8, 7 / 8]
    assert [line["lr"] for line in lines] == ["0.05", "0.5"]
    assert (tmp_path / "runs.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_is_printed_even_if_the_project_is_read_only(tmp_path, monkeypatch, capsys):
    """A file stands for a work_dir that cannot be written: to root, any folder can be."""
    (tmp_path / "read_only").touch()
    monkeypatch.setenv("FLOWERS_WORK_DIR", str(tmp_path / "read_only"))
    made(tmp_path / "runs", "a", [1, 1, 1, 1, 0, 0, 0, 0])
    command = ["runs", "--work-dir", str(tmp_path / "runs")]
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.out.count("50.0") >= 1
    assert "no figure: " in said.err
    assert "cannot be written" in said.err
    assert "name another file with --figure" in said.err
    assert "work_dir = " not in said.err
    assert main([*command, "--figure", str(tmp_path / "read_only" / "x.png")]) == 1  # which was asked for
    assert main([*command, "--figure", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").is_file()


def test_without_a_finished_run_it_says_so(tmp_path, capsys):
    assert main(["runs", "--work-dir", str(tmp_path / "nowhere")]) == 1
    assert "does not exist" in capsys.readouterr().err
    (made(tmp_path, "a", [1, 0]) / "results.json").unlink()
    assert main(["runs", "--work-dir", str(tmp_path), "--figure", str(tmp_path / "f.png")]) == 1
    said = capsys.readouterr().err
    assert "no finished run to compare" in said
    assert "a holds a run that is not finished" in said
    assert not (tmp_path / "f.png").exists()


def test_the_committed_results_are_read_as_they_are():
    table = load_run_table(run_folders(ROOT / "report" / "results"))
    rows = {row.name: row for row in table.rows}
    assert rows["fast-mobilenet_v2"].group == rows["published-mobilenet_v2"].group != rows["demo-mobilenet_v2"].group
    results = json.loads((ROOT / "report/results/fast-mobilenet_v2/results.json").read_text())
    assert rows["fast-mobilenet_v2"].best == results["best_val_accuracy"]
    assert "dataset" not in table.differing


def test_a_copied_folder_is_compared_under_its_own_name(tmp_path):
    shutil.copytree(made(tmp_path, "a", [1, 0]), tmp_path / "copy")
    assert [row.name for row in load_run_table(run_folders(tmp_path)).rows] == ["a", "copy"]


def test_a_change_made_by_hand_is_a_setting_that_differs(tmp_path):
    made(tmp_path, "a", [1, 1, 1, 1, 0, 0, 0, 0])
    save_changes(made(tmp_path, "b", [1, 1, 1, 1, 1, 0, 0, 0]), {"optimizer": "Adam(lr=0.0003)"})
    table = load_run_table(run_folders(tmp_path))
    assert table.differing == ("optimizer by hand",)
    text = table_text.format_text(table)
    assert "optimizer by hand – Adam(lr=0.0003)" in " ".join(text.split())
    assert "same recipe" not in text
