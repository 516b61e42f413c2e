"""``python -m helpers compare`` and ``search``: options are checked before anything is trained."""

import contextlib
import json

import pytest

from helpers.commands import main
from helpers.comparison import cross_validation, search
from tests.comparison.made_up import ROWS, SEARCH

SMALL = ["--folds", "2", "--only", "0", "--image-size", "32", "--epochs", "1"]
SMALL += ["-p", "backbone", "squeezenet1_1", "-p", "weights", "none"]


@pytest.fixture
def command(grow, tmp_path):
    return ["--data", str(grow({"rose": 8, "tulip": 8})), "-p", "work_dir", str(tmp_path), *SMALL]


def test_rows_photos_and_suspects_are_written(command, tmp_path, capsys):
    (tmp_path / "trials.json").write_text(json.dumps(SEARCH))
    names = {"output": "new/folder/rows.json", "photos": "right.csv", "suspects": "suspects.csv"}
    files = [f"--{option}={tmp_path / name}" for option, name in names.items()]
    assert main(["compare", *command, "--rows", "fast", "--searched", str(tmp_path / "trials.json"), *files]) == 0
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split()[0] for line in lines] == ["recipe", "published", "fast", "searched"]
    rows = json.loads((tmp_path / names["output"]).read_text())
    assert [(row["recipe"], row["cost"]) for row in rows] == [
        (n, "32 px, 1 epochs") for n in ("published", "fast", "searched")
    ]
    assert (tmp_path / "right.csv").read_text().startswith("name,class,scene,fold,published,fast,searched\n")
    assert (tmp_path / "suspects.csv").read_text().startswith("name,label,predicted")
    decoded = {path.name.split("-")[1] for path in (tmp_path / "cache").glob("[tv]*")}
    assert max(map(int, decoded)) < 64  # nothing for the 224 px of the published recipe itself


@pytest.mark.parametrize("name", ["compare", "search"])
def test_test_photos_are_in_no_fold(name, command, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(cross_validation, "compare", lambda recipes, protocol, *rest, **more: seen.append(protocol))
    monkeypatch.setattr(search, "search", lambda study, base, protocol, *rest: seen.append(protocol))
    options = command if name == "compare" else [*command[:7], *command[9:]]
    with contextlib.suppress(TypeError):  # the comparison returns nothing here
        main([name, *options, "-p", "test_fraction", "0.25"])
    assert (seen[0].fold < 0).sum() == 4


def test_a_comparison_in_which_all_diverge_says_so(command, capsys):
    wild = ["-p", "lr", "1e30", "--rows", "published + MixUp", "--shares", "0.5"]
    assert main(["compare", *command, *wild]) == 1
    assert "every training diverged" in capsys.readouterr().err


def test_rows_are_chosen_by_name(command, capsys):
    assert main(["compare", *command, "--rows", "searched"]) == 1
    assert "--rows: there is no 'searched'; known are published, fast, best" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["compare", "search"])
def test_an_unknown_backbone_is_named(name, command, capsys):
    options = command[: -len(SMALL)]
    assert main([name, *options, "-p", "backbone", "resnet18x"]) == 1
    assert "backbone 'resnet18x' is unknown to torchvision: did you mean" in capsys.readouterr().err


def test_an_unknown_parameter_and_missing_photos_are_named(capsys):
    assert main(["compare", "-p", "dataset", "demo", "-p", "epochz", "3"]) == 1
    assert "parameter 'epochz' is unknown" in capsys.readouterr().err
    assert main(["compare", "-p", "dataset", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_a_file_of_other_folds_is_refused_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / "rows.json").write_text(json.dumps([ROWS[0] | {"fold_rule": "drawn by lot"}]))
    assert main(["compare", "-p", "dataset", "demo", "--output", str(tmp_path / "rows.json")]) == 1
    assert "holds rows of other folds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "1"], "--folds 1: must be at least 2"),
        (["--seeds", "0"], "--seeds 0: must be at least 1"),
        (["--epochs", "0"], "--epochs 0: must be at least 1"),
        (["--image-size", "0"], "--image-size 0: must be at least 16"),
        (["--folds", "3", "--only", "1", "3"], "--only 3: the folds are 0 to 2"),
        (["-p", "image_size", "128"], "image_size would change some rows and not others: use --image-size"),
    ],
)
def test_options_that_cannot_be_used_are_named(capsys, options, message):
    assert main(["compare", "-p", "dataset", "demo", *options]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["output", "photos", "suspects"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_trained(option, command, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["compare", *command, f"--{option}", str(tmp_path / "file" / "rows")]) == 1
    assert "file cannot be written (File exists): name another file" in capsys.readouterr().err
    assert not list(tmp_path.glob("**/fold-*"))
