"""Where photos come from: drawn, a folder, an archive, and a download that breaks off mid-way."""

import hashlib
import http.server
import inspect
import threading

import pytest

from helpers.common.errors import PhotosError
from helpers.data.image_folder import find_photos
from helpers.data.sources import locate
from tests.data.sources.test_archives import pack


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file, breaks off each answer after ``self.server.patience`` bytes, and knows ranges."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content, start = self.server.content, 0
        if (span := self.headers.get("Range")) and self.server.ranges:
            start = int(span.removeprefix("bytes=").rstrip("-"))
        self.server.starts.append(start)
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + self.server.patience])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(grow, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.content = pack(grow({"rose": 3, "tulip": 3}), tmp_path / "served.tgz").read_bytes()
    server.patience, server.ranges, server.starts = 10**9, True, []
    server.url = f"http://127.0.0.1:{server.server_port}/flower_photos.tgz"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()


def fetch(server, tmp_path, sha256=None, log=lambda _: None):
    sha256 = sha256 or hashlib.sha256(server.content).hexdigest()
    return locate.locate_photos(
        "flower_photos", tmp_path / "cache", root=tmp_path, url=server.url, sha256=sha256, log=log
    )


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_is_continued(server, tmp_path, ranges):
    server.ranges = ranges
    half = len(server.content) // 2 + 1
    server.patience = half if ranges else 10**9
    said = []
    folder = fetch(server, tmp_path, log=said.append)
    assert find_photos(folder).counts() == {"rose": 3, "tulip": 3}
    assert server.starts == ([0, half] if ranges else [0])
    assert "CC-BY 2.0" in said[0]


def test_a_server_without_ranges_is_asked_for_everything_again(server, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "flower_photos.tgz.part").write_bytes(server.content[:100])
    server.ranges = False
    assert len(find_photos(fetch(server, tmp_path))) == 6


def test_a_download_is_kept_and_not_repeated(server, tmp_path):
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert len(server.starts) == 1


def test_a_tampered_download_is_refused_and_removed(server, tmp_path):
    with pytest.raises(PhotosError, match=r"has SHA-256 .* has been removed"):
        fetch(server, tmp_path, "0" * 64)
    assert not list((tmp_path / "cache").glob("flower_photos*"))


def test_without_a_network_the_message_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(PhotosError, match=r"could not be downloaded.*put it into .*cache as flower_photos\.tgz"):
        locate.locate_photos("flower_photos", tmp_path / "cache", root=tmp_path, log=lambda _: None)


def test_folders_and_archives_relative_to_the_root(grow, tmp_path):
    folder = grow({"rose": 2, "tulip": 2}, tmp_path / "my photos")
    pack(folder, tmp_path / "packed.zip")
    for dataset in ("my photos", str(folder), "packed.zip"):
        assert len(find_photos(locate.locate_photos(dataset, tmp_path / "cache", root=tmp_path))) == 4


def test_the_demo_is_drawn(tmp_path):
    folder = locate.locate_photos("demo", tmp_path, root=tmp_path, demo_photos=2)
    assert set(find_photos(folder).counts().values()) == {2}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("demmo", "did you mean 'demo'"),
        ("flower_photo", "did you mean 'flower_photos'"),
        ("/nowhere/at/all", "does not exist: give demo, flower_photos, or the path"),
        ("notes.txt", "neither a folder nor an archive"),
        (" ", "dataset is empty"),
        ("~no-such-user/photos", "no such home folder"),
    ],
)
def test_unknown_data_sets_are_named(tmp_path, dataset, message):
    (tmp_path / "notes.txt").write_text("roses are red")
    with pytest.raises(PhotosError, match=message):
        locate.locate_photos(dataset, tmp_path / "cache", root=tmp_path)


def test_a_connection_that_breaks_often_but_brings_something_is_continued_to_the_end(server, tmp_path):
    server.patience = len(server.content) // 9
    fetch(server, tmp_path, hashlib.sha256(server.content).hexdigest())
    assert len(server.starts) >= 9  # more often than it may fail without bringing anything
    assert not list((tmp_path / "cache").glob("*.part"))


def test_a_server_that_brings_nothing_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.data.sources.download.time.sleep", lambda _: None)
    server.patience = 0
    with pytest.raises(PhotosError, match="could not be downloaded"):
        fetch(server, tmp_path)
    assert len(server.starts) == 5


@pytest.mark.parametrize("surplus", [b"", b"of another file"])
def test_a_part_that_is_whole_is_kept_and_a_longer_one_is_not(server, tmp_path, monkeypatch, surplus):
    monkeypatch.setattr("helpers.data.sources.download.time.sleep", lambda _: None)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "flower_photos.tgz.part").write_bytes(server.content + surplus)
    assert len(find_photos(fetch(server, tmp_path, hashlib.sha256(server.content).hexdigest()))) == 6
    assert server.starts == [len(server.content + surplus)] + ([0] if surplus else [])


def test_a_bar_is_drawn_where_a_person_watches(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FLOWERS_PROGRESS", "1")
    said = []
    fetch(server, tmp_path, log=said.append)
    assert "100%" in capsys.readouterr().out
    assert len(said) == 2  # the licence and the address


def test_the_published_archive_is_checked_against_the_published_digest():
    """TensorFlow Datasets: datasets/tf_flowers/checksums.tsv."""
    assert locate.FLOWER_PHOTOS_SHA256 == "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c"
    default = inspect.signature(locate.locate_photos).parameters["sha256"].default
    assert default == locate.FLOWER_PHOTOS_SHA256


def test_a_tilde_is_the_home_folder(grow, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    grow({"rose": 1, "tulip": 1}, tmp_path / "flowers")
    assert locate.locate_photos("~/flowers", tmp_path / "cache", root=tmp_path / "x") == tmp_path / "flowers"
