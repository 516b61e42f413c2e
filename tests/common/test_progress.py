"""Progress is shown where a person watches, also in the terminal of a command whose notebook runs without one."""

import logging
import os
import re
import select
import struct

import pytest

from helpers.commands import run as run_command
from helpers.common import progress
from helpers.common.progress import CLEAR, TERMINAL, TrainingBar, working
from helpers.data.decode import decode_each
from helpers.data.sources.garden import plant_garden
from tests.conftest import ROOT, colourful


@pytest.fixture
def terminal(monkeypatch):
    """A terminal in which a command was started; returns what it shows."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    outside, inside = pytest.importorskip("pty").openpty()
    monkeypatch.setenv(TERMINAL, os.ttyname(inside))
    monkeypatch.setenv("FLOWERS_PROGRESS", "0")  # as for the notebook's kernel
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    progress._opened.cache_clear()

    def shown():
        parts = []
        while select.select([outside], [], [], 0.2)[0]:
            parts.append(os.read(outside, 4096))
        return b"".join(parts).decode()

    yield shown
    progress._opened.cache_clear()
    os.close(outside)
    os.close(inside)


def test_the_bar_of_a_training_is_in_the_terminal_and_its_lines_in_the_notebook(terminal, capsys):
    bar = TrainingBar(epochs=2, steps=3, photos=96)
    bar.show(0, 0, 0, None)
    bar.show(0, 2, 64, 0.5)
    bar.log("Epoch 0/1")
    assert re.search(r"epoch 0/1, step 2/3 \|.*\|.* photos/s, .* left, best 50.00%", terminal())
    bar.close()
    assert capsys.readouterr().out == "Epoch 0/1\n"


def test_what_takes_seconds_is_said_until_it_is_done(terminal, capsys):
    with working("typesetting: 3 s"):
        assert terminal() == "\rtypesetting: 3 s …"
    assert terminal() == f"\r{' ' * 18}\r"
    assert capsys.readouterr().out == ""


def test_drawing_and_decoding_have_bars(terminal, tmp_path):
    plant_garden(tmp_path / "garden", photos_per_class=1, workers=0)
    assert "drawing the demo photos" in terminal()
    colourful((30, 20)).save(tmp_path / "a.png")
    decode_each([(0, tmp_path / "a.png")], lambda row, photo: None)
    assert "decoding photos" in terminal()


def test_nobody_watching_sees_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv(TERMINAL, raising=False)
    monkeypatch.setenv("FLOWERS_PROGRESS", "0")
    with working("a"):
        assert list(progress.progress([1, 2], 2, "b")) == [1, 2]
    TrainingBar(1, 1, 1).show(0, 0, 0, None)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("watched", [True, False])
def test_a_notebook_executed_in_a_terminal_is_told_which(watched, monkeypatch, tmp_path):
    import papermill

    seen = []
    for name in (TERMINAL, "FLOWERS_PROGRESS", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(logging.getLogger("papermill"), "filters", [])
    monkeypatch.setattr(run_command, "in_terminal", lambda: watched)
    monkeypatch.setattr(os, "ttyname", lambda number: "/dev/pts/7")
    monkeypatch.setattr(run_command.sys.stdout, "fileno", lambda: 1, raising=False)
    monkeypatch.setattr(papermill, "execute_notebook", lambda *args, **options: seen.append(os.environ[TERMINAL]))
    run_command.run_papermill(ROOT / run_command.NOTEBOOK, tmp_path, {}, ROOT)
    assert seen == ["/dev/pts/7" if watched else ""]


def test_the_console_has_a_line_per_epoch_and_in_a_terminal_the_section(monkeypatch, capsys):
    monkeypatch.setenv(TERMINAL, "/dev/pts/7")
    sections = run_command._sections(ROOT / run_command.NOTEBOOK)
    lines = run_command.EpochLines(sections)
    training = sections.index("5 Training")

    def shown(text):
        record = logging.makeLogRecord({"msg": text})
        return record.getMessage() if lines.filter(record) else None

    assert shown(f"Executing Cell {training + 1}------") is None
    assert capsys.readouterr().out == f"{CLEAR}5 Training …"
    for notice in ("it was begun on 1 thread, photos from disk and goes on with 2", "weights = 'a.pth' was trained on"):
        assert shown(notice) == f"{CLEAR}{notice}"
    texts = ["Epoch 0/3\n-----", "train Loss: 1.2 Acc: 0.5", "def fit(model):\n    return", "val Loss: 0.9 Acc: 0.625"]
    *nothing, line = map(shown, texts)
    assert nothing == [None] * 3
    assert re.fullmatch(re.escape(CLEAR) + r"epoch  0/3  training  50\.0%  validation  62\.5%(  .* left)?", line)


def test_a_training_that_nobody_watches_logs_its_lines(monkeypatch):
    monkeypatch.setenv("FLOWERS_PROGRESS", "0")
    lines = []
    unseen = progress.TrainingBar(2, 3, 9, lines.append)
    unseen.show(0, 1, 3, None)
    unseen.log("epoch 0")
    unseen.close()
    assert lines == ["epoch 0"]
