"""Which photos a user's paths name."""

import os

import pytest

from helpers.inference.input_photos import expand_paths


@pytest.fixture
def holiday(tmp_path):
    """Photos at two depths, a hidden one, one in an unsupported format, and a text."""
    root = tmp_path / "Urlaub in Grün"
    (root / "b").mkdir(parents=True)
    for name in ("z.JPG", "a.png", "b/c.webp", ".hidden.jpg", "phone.heic", "notes.txt"):
        (root / name).write_bytes(b"")
    return root


def test_a_folder_gives_the_photos_below_it_and_what_was_skipped(holiday):
    found = expand_paths([holiday])
    assert [path.relative_to(holiday).as_posix() for path in found.photos] == ["a.png", "z.JPG", "b/c.webp"]
    assert found.problems == []
    assert found.skipped == "1 .txt, 1 .heic" or found.skipped == "1 .heic, 1 .txt"


def test_a_file_counts_whatever_its_name_and_every_photo_once(holiday):
    found = expand_paths([holiday / "notes.txt", holiday / "a.png", holiday])
    assert [path.name for path in found.photos] == ["notes.txt", "a.png", "z.JPG", "c.webp"]


def test_patterns_are_expanded_where_the_shell_does_not(holiday):
    assert [path.name for path in expand_paths([str(holiday / "*.[Jp][Pn][Gg]")]).photos] == ["a.png", "z.JPG"]
    assert [path.name for path in expand_paths([str(holiday / "**" / "*.webp")]).photos] == ["c.webp"]
    (problem,) = expand_paths([str(holiday / "*.tiff")]).problems
    assert "nothing matches this pattern" in problem


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "rose [1].jpg").write_bytes(b"")
    assert [path.name for path in expand_paths([str(tmp_path / "rose [1].jpg")]).photos] == ["rose [1].jpg"]


def test_what_is_not_there_or_empty_is_named_and_the_rest_is_taken(holiday, tmp_path):
    (tmp_path / "empty").mkdir()
    found = expand_paths([tmp_path / "nowhere.jpg", holiday / "a.pmg", tmp_path / "empty", holiday / "a.png"])
    assert [path.name for path in found.photos] == ["a.png"]
    nowhere, near, empty = found.problems
    assert "nowhere.jpg does not exist" in nowhere
    assert f"did you mean {holiday / 'a.png'}?" in near
    assert "empty holds no photos" in empty


def test_an_empty_name_is_not_the_folder_one_is_in(holiday, monkeypatch):
    monkeypatch.chdir(holiday)
    found = expand_paths(["", "a.png"])
    assert [path.name for path in found.photos] == ["a.png"]
    assert found.problems == ["an empty name '': name a file, a folder or a pattern"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_and_loops_of_links_end(holiday):
    (holiday / "b" / "up").symlink_to(holiday)
    (holiday / "link.jpg").symlink_to(holiday / "a.png")
    assert [path.name for path in expand_paths([holiday]).photos] == ["a.png", "link.jpg", "z.JPG", "c.webp"]


def test_two_thousand_links_are_found(tmp_path):
    (tmp_path / "one.jpg").write_bytes(b"")
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(2000):
        os.link(tmp_path / "one.jpg", folder / f"{i:04}.jpg")
    assert len(expand_paths([folder]).photos) == 2000
