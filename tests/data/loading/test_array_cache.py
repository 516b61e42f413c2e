"""The cache: built once, whole or not at all, and never believed when it is damaged."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from helpers.data.loading import array_cache

SHAPES = {"squares": ((10, 3), "uint8"), "halves": ((10,), "float32")}


class Builder:
    def __init__(self):
        self.calls = 0

    def __call__(self, arrays):
        self.calls += 1
        arrays["squares"][:] = np.arange(10)[:, None] ** 2
        arrays["halves"][:] = np.arange(10) / 2


@pytest.fixture
def entry(tmp_path):
    return tmp_path / "cache" / "entry"


def fetch(entry, build, version="1", said=None, shapes=SHAPES):
    """The entry's arrays, read or made; None if it cannot be written."""
    log = (said if said is not None else []).append
    if (arrays := array_cache.read_entry(entry, shapes, version, log)) is None:
        with array_cache.new_entries({entry: shapes}, version, log) as fresh:
            if fresh:
                build(fresh[entry])
        arrays = fresh.get(entry)
    return arrays


def test_built_once_and_the_same_when_read(entry):
    build = Builder()
    first, second = fetch(entry, build), fetch(entry, build)
    assert build.calls == 1
    assert np.array_equal(first["squares"][4], [16, 16, 16])
    assert first["halves"].dtype == np.float32
    assert all(np.array_equal(first[name], second[name]) for name in SHAPES)
    assert [path.name for path in entry.parent.iterdir()] == ["entry"]


def test_the_arrays_cannot_be_changed_by_accident(entry):
    fetch(entry, Builder())
    with pytest.raises(ValueError, match="read-only"):
        fetch(entry, Builder())["squares"][0] = 7


@pytest.mark.parametrize("offset", [0, 60, 130, -1])
def test_a_flipped_bit_is_found_and_the_entry_made_again(entry, offset):
    build, said = Builder(), []
    fetch(entry, build)
    path = entry / "squares.npy"
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    assert np.array_equal(fetch(entry, build, said=said)["squares"][9], [81, 81, 81])
    assert build.calls == 2
    assert "squares.npy is damaged" in said[0]
    assert "made again" in said[0]


@pytest.mark.parametrize("name", ["squares.npy", "facts.json"])
@pytest.mark.parametrize("kept", [0, 20, None])
def test_truncated_or_missing_files_are_found(entry, name, kept):
    build, said = Builder(), []
    fetch(entry, build)
    if kept is None:
        (entry / name).unlink()
    else:
        (entry / name).write_bytes((entry / name).read_bytes()[:kept])
    fetch(entry, build, said=said)
    assert build.calls == 2
    assert len(said) <= 1
    assert "entry" in said[0]


@pytest.mark.parametrize("facts", [[], {"version": "1"}, {"version": "1", "sha256": {}}, {"version": "1", "sha256": 3}])
def test_foreign_facts_are_not_believed(entry, facts):
    build = Builder()
    fetch(entry, build)
    (entry / "facts.json").write_text(json.dumps(facts))
    fetch(entry, build)
    assert build.calls == 2


def test_another_version_is_made_again_and_said_so(entry):
    build, said = Builder(), []
    fetch(entry, build)
    fetch(entry, build, version="2", said=said)
    assert build.calls == 2
    assert "made by 1, this is 2" in said[0]


def test_a_failing_build_leaves_nothing(entry):
    def build(arrays):
        arrays["squares"][0] = 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(entry, build)
    assert list(entry.parent.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(entry, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    said = []
    assert fetch(entry, Builder(), said=said) is None
    assert "No space left on device" in said[0]
    assert "goes on without" in said[0]
    assert list(entry.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_really_full_disk_is_said_and_leaves_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        said = []
        shapes = {"large": ((1000, 1000), "uint8")}
        assert fetch(disk / "entry", Builder(), said=said, shapes=shapes) is None
        assert "No space left on device" in said[0]
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_cannot_be_made_is_no_reason_to_stop(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    assert fetch(tmp_path / "file" / "entry", Builder(), said=said) is None
    assert "not cached" in said[0]


def test_of_two_builders_at_once_both_get_the_contents(entry):
    other = Builder()

    def build(arrays):
        other(arrays)
        fetch(entry, other)  # another process is faster

    arrays = fetch(entry, build)
    assert np.array_equal(arrays["halves"], np.arange(10) / 2)
    assert [path.name for path in entry.parent.iterdir()] == ["entry"]


def test_deleting_it_during_use_harms_nobody(entry):
    arrays = fetch(entry, Builder())
    shutil.rmtree(entry)
    assert arrays["squares"][3, 0] == 9


def test_entries_are_made_together_and_one_without_room_is_left_out(entry, monkeypatch):
    reserve, said = os.posix_fallocate, []

    def nearly_full(file, start, length):
        if length > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reserve(file, start, length)

    monkeypatch.setattr(os, "posix_fallocate", nearly_full)
    large = entry.parent / "large"
    with array_cache.new_entries({large: {"a": ((2000,), "uint8")}, entry: SHAPES}, "1", said.append) as fresh:
        assert list(fresh) == [entry]
        Builder()(fresh[entry])
    assert len(said) == 1
    assert [path.name for path in entry.parent.iterdir()] == ["entry"]
    assert array_cache.read_entry(entry, SHAPES, "1")["squares"][3, 0] == 9
