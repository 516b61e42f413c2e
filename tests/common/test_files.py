"""Whole files or none, and nothing but tensors inside."""

import json
import os

import pytest
import torch
from matplotlib.figure import Figure

from helpers.common import files, tensors
from helpers.common.errors import RunError, UserError
from helpers.data.decode import load_photo
from helpers.data.split import read_split_rows
from helpers.evaluation.label_errors import read_suspects
from helpers.evaluation.predictions import read_predictions
from helpers.runs.history import History


def test_tensors_round_trip(tmp_path):
    value = {"weights": torch.randn(3, 4), "epoch": 7, "seconds": [1.5, 2.5]}
    tensors.save_tensors(tmp_path / "a.pth", value)
    loaded = tensors.load_tensors(tmp_path / "a.pth")
    assert torch.equal(loaded["weights"], value["weights"])
    assert (loaded["epoch"], loaded["seconds"]) == (7, [1.5, 2.5])


def test_the_same_tensors_are_the_same_bytes_under_any_name(tmp_path):
    for name in ("one.pth", "another.ckpt"):
        tensors.save_tensors(tmp_path / name, {"w": torch.ones(5)})
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "another.ckpt").read_bytes()


def test_a_failing_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match=r"a\.json cannot be written \(No space left on device.*free some space"):
        files.write_json(path, {"new": 2})
    assert path.read_text() == '{\n  "old": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_missing_and_truncated_files_are_named(tmp_path):
    with pytest.raises(RunError, match=r"none\.pth does not exist"):
        tensors.load_tensors(tmp_path / "none.pth")
    tensors.save_tensors(tmp_path / "a.pth", torch.ones(1000))
    (tmp_path / "a.pth").write_bytes((tmp_path / "a.pth").read_bytes()[:700])
    with pytest.raises(RunError, match=r"a\.pth cannot be loaded"):
        tensors.load_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.JPG", b"\xff\xd8"), ("a.pdf", b"%PDF")])
def test_a_figure_is_written_in_the_format_of_its_name(tmp_path, name, begins):
    figure = Figure((1, 1))
    files.save_figure(tmp_path / "figures" / name, figure)
    assert (tmp_path / "figures" / name).read_bytes().startswith(begins)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file cannot be written \(.*\): choose another folder"):
        files.save_figure(tmp_path / "file" / name, figure)


READERS = {
    "a.json": lambda folder: files.read_json(folder / "a.json"),
    "known.pth": lambda folder: tensors.load_tensors(folder / "known.pth"),
    "predictions.csv": read_predictions,
    "history.csv": History.read,
    "split.csv": lambda folder: read_split_rows(folder / "split.csv"),
    "suspects.csv": lambda folder: read_suspects(folder / "suspects.csv"),
    "x.jpg": lambda folder: load_photo(folder / "x.jpg"),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("name", READERS)
def test_pipes_and_devices_are_named_and_nobody_waits_for_them(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=name):
        READERS[name](tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")  # would never end
    with pytest.raises(UserError, match=name):
        READERS[name](tmp_path)


def test_a_file_larger_than_any_of_ours_is_not_read(tmp_path):
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(10**13)  # a sparse file
    with pytest.raises(RunError, match="more than 200,000,000 bytes"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").rename(tmp_path / "a.pth")
    with pytest.raises(RunError, match="cannot be loaded"):
        tensors.load_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize("text", ["[]", "null", "3", "[" * 100_000, "{", '{"a": 1', "\xff"])
def test_json_that_is_not_an_object_is_named(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"a\.json is damaged"):
        files.read_json(tmp_path / "a.json")


def test_strings_from_json_and_csv_can_be_shown(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"a\x1b": ["\ud800", {"b": "\x07"}, 1, None]}))
    assert files.read_json(tmp_path / "a.json") == {"a\\x1b": ["\\ud800", {"b": "\\x07"}, 1, None]}
    (tmp_path / "a.csv").write_text("a\x1b,b\n")
    assert files.read_csv(tmp_path / "a.csv") == [["a\\x1b", "b"]]


FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "=cmd|' /C calc'!A1",
    "'=1",
    *("＝1", "＋1", "－1", "＠A1", "\n=1"),
    "-",
    "=",
    "-1e",
    "+inf+1",
]
HARMLESS = ["-1", "+1.5e-3", "-.5", "-1.", "nan", "-inf", "rose/-1.jpg", "'tis", "", "a=b", "1-2", "\r=1"]


def test_cells_that_a_spreadsheet_would_execute_are_quoted_and_come_back(tmp_path):
    lines = files.csv_text([[cell] for cell in FORMULAS + HARMLESS])
    (tmp_path / "a.csv").write_text(lines, newline="")
    assert [cell for (cell,) in files.csv.reader(lines.splitlines()[:3])] == ["'=1+1", "'+1+1", "'-1+1"]
    for cell in FORMULAS:
        assert files.csv_text([[cell]]).lstrip('"').startswith("'")
    for cell in HARMLESS:
        assert not files.csv_text([[cell]]).startswith("'") or cell == "'tis"
    back = files.read_csv(tmp_path / "a.csv")
    assert [row[0] if row else "" for row in back] == [files.printable(cell) for cell in FORMULAS + HARMLESS]
    assert files.csv_text([[-1.5, -3]]) == "-1.5,-3\n"


def test_nothing_is_written_through_a_link(tmp_path):
    assert files.inside(tmp_path, "figures") == tmp_path / "figures"
    (tmp_path / "figures").symlink_to(tmp_path.parent)
    with pytest.raises(RunError, match=r"figures is a link"):
        files.inside(tmp_path, "figures")


def test_two_writers_of_one_file_have_temporary_files_of_their_own(tmp_path, monkeypatch):
    """Threads of one process among them; and a link that waits at such a name is not written through."""
    names = []
    monkeypatch.setattr(files.os, "replace", lambda source, target: names.append(source.name))
    for _ in range(2):
        files.write_atomically(tmp_path / "a", b"")
    assert len(set(names)) == 2
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "0")
    (tmp_path / f".b.{os.getpid()}-0.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(RunError, match="cannot be written"):
        files.write_atomically(tmp_path / "b", b"")
    assert not (tmp_path / "victim").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot open folders")
def test_the_folder_reaches_the_disk_after_the_file_has_its_name(tmp_path, monkeypatch):
    """Without that, a power failure may take the renaming back."""
    said, replace, fsync = [], os.replace, os.fsync
    monkeypatch.setattr(files.os, "replace", lambda *paths: (said.append("replace"), replace(*paths)))
    monkeypatch.setattr(files.os, "fsync", lambda fd: (said.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    files.write_atomically(tmp_path / "a", b"x")
    assert [os.path.basename(each)[:3] for each in said[:1]] == [".a."]
    assert said[1:] == ["replace", str(tmp_path)]
