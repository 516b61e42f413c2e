"""The command line, ``python -m helpers <command> …``: one module per command.

Each has ``add_arguments(parser)`` and ``run(options) -> exit code``; its docstring is its help. Modules are imported
when their command is given, and import what takes seconds (torch, matplotlib) inside ``run`` only.
"""

import argparse
import inspect
import os
import select
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from helpers.common.errors import UserError
from helpers.common.progress import in_terminal, working
from helpers.common.text import align, did_you_mean

COMMANDS = {
    "run": "execute the notebook headless, with any parameters, and write the report",
    "look": "look closer at a finished run: mistakes, saliency, calibration, your own photos, export",
    "train": "train on several processes, GPUs or machines",
    "predict": "classify your own photos with a finished run",
    "figures": "draw every figure of a finished run again",
    "report": "write the report of a finished run as a PDF",
    "publish": "copy a run's numbers and notebook into report/results, without weights and photos",
    "export": "export a run's model for use elsewhere",
    "runs": "compare finished runs in a table and a figure",
    "compare": "compare recipes by cross-validation",
    "search": "search for a better recipe",
    "weights": "fetch a backbone's ImageNet weights, so that later runs need no network",
}
STDOUT = 1  # its file descriptor

# With this module, jsonschema (which nbformat imports) compiles a grammar for international web addresses: a second of
# every command, for a kind of text that notebooks do not have.
sys.modules.setdefault("rfc3987_syntax", None)


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments name. Returns the exit code; wrong usage exits with code 2, as argparse does.

    Errors that a user can act on end in one line and code 1, Ctrl-C in one line and code 130.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print("usage: python -m helpers <command> [options]    (<command> --help explains the options)\n")
        print(align([(f"  {command}", text) for command, text in COMMANDS.items()]))
        return 0
    if name not in COMMANDS:
        print(f"python -m helpers: there is no command {name!r}{did_you_mean(name, COMMANDS)}", file=sys.stderr)
        return 2
    command = import_module(f"helpers.commands.{name}")
    options = _parser(name, command).parse_args(rest)
    if in_terminal() and name != "run":  # whose kernel loads it
        with working("loading PyTorch: some seconds"):
            import_module("torch")
    return _guarded(lambda: command.run(options), getattr(command, "WHEN_INTERRUPTED", ""))


def _parser(name: str, command: ModuleType) -> argparse.ArgumentParser:
    description, _, rest = inspect.getdoc(command).replace("``", "").partition("\n\n")
    parser = argparse.ArgumentParser(prog=f"python -m helpers {name}", description=description, epilog=rest)
    command.add_arguments(parser)
    return parser


def _guarded(run: Callable[[], int], when_interrupted: str) -> int:
    try:
        code = run()
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"{_process()}{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        reason = f" ({error})" if str(error) else ""
        print(f"interrupted{reason}" + (f": {when_interrupted}" if when_interrupted else ""), file=sys.stderr)
        return 130
    except BrokenPipeError:
        if not _reader_has_gone():  # the pipe to another process, perhaps
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for what is still to be flushed
        return 1


def _process() -> str:
    """Say which of several processes this is."""
    return f"process {os.environ['RANK']}: " if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""


def _reader_has_gone() -> bool:
    """Tell whether standard output is a pipe that nobody reads any more (``… | head``)."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(STDOUT, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
