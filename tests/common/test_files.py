"""Whole files or none, and nothing but tensors inside."""

import pytest
import torch
from matplotlib.figure import Figure

from helpers.common import files, tensors
from helpers.common.errors import RunError


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
    with pytest.raises(RunError, match=r"file cannot be made \(.*\): choose another folder"):
        files.save_figure(tmp_path / "file" / name, figure)
