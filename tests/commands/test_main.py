"""The command line: what it lists, what it refuses, and how a command may end."""

import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from helpers import commands
from helpers.common.errors import RunError
from tests.conftest import ROOT


def python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_every_command_is_listed_with_a_line(arguments, capsys):
    assert commands.main(arguments) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    assert listed == commands.COMMANDS


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        commands.main([name, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m helpers {name}")
    assert "``" not in text
    assert import_module(f"helpers.commands.{name}").__doc__.split(":")[0] in " ".join(text.split())


def test_help_and_wrong_parameters_need_no_torch():
    wrong = [[name, "-p", "epochz", "3"] for name in ("run", "train", "compare", "search")]
    done = python(
        f"""
import sys
from helpers.commands import COMMANDS, main
for name in COMMANDS:
    try:
        main([name, "--help"])
    except SystemExit:
        pass
print([main(arguments) for arguments in {wrong}])
print({{"torch", "matplotlib", "optuna", "papermill", "sklearn"}} & set(sys.modules))
"""
    )
    assert done.stdout.splitlines()[-2:] == ["[1, 1, 1, 1]", "set()"], done.stderr
    assert done.stderr.count("parameter 'epochz' is unknown: did you mean 'epochs'?") == 4


def test_an_unknown_command_is_named(capsys):
    assert commands.main(["trian"]) == 2
    assert capsys.readouterr().err == "python -m helpers: there is no command 'trian': did you mean 'train'?\n"


def ending_in(monkeypatch, error, **attributes):
    """Run a command that raises this error. Returns the exit code."""

    def run(options):
        raise error

    module = SimpleNamespace(__doc__="A command.", add_arguments=lambda parser: None, run=run, **attributes)
    monkeypatch.setattr(commands, "import_module", lambda name: module)
    return commands.main(["runs"])


def test_an_error_for_the_user_is_one_line(monkeypatch, capsys):
    assert ending_in(monkeypatch, RunError("there is no run 'a'")) == 1
    assert capsys.readouterr().err == "RunError: there is no run 'a'\n"


def test_of_several_processes_the_one_that_failed_is_named(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert ending_in(monkeypatch, RunError("no")) == 1
    assert capsys.readouterr().err == "process 1: RunError: no\n"


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    assert ending_in(monkeypatch, KeyboardInterrupt()) == 130
    assert ending_in(monkeypatch, KeyboardInterrupt("SIGTERM"), WHEN_INTERRUPTED="nothing was written") == 130
    assert capsys.readouterr().err == "interrupted\ninterrupted (SIGTERM): nothing was written\n"


def test_other_errors_keep_their_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        ending_in(monkeypatch, ZeroDivisionError())
    with pytest.raises(BrokenPipeError):  # of a process that died, not of the output
        ending_in(monkeypatch, BrokenPipeError())


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another error on Windows")
@pytest.mark.parametrize(("lines", "reader", "read"), [(100_000, "head -1", "a line\n"), (1, "true", "")])
def test_a_closed_pipe_is_quiet(lines, reader, read):
    code = f"""
import types
from helpers import commands
def run(options):
    for _ in range({lines}):
        print("a line")
    return 0
commands.import_module = lambda name: types.SimpleNamespace(__doc__="A.", add_arguments=lambda parser: None, run=run)
raise SystemExit(commands.main(["runs"]))
"""
    command = f"env -u PYTHONUNBUFFERED {sys.executable} -c '{code}' | {reader}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (read, "")
