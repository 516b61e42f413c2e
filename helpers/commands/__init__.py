"""One file per command of ``python -m helpers``."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = ("run", "train", "predict", "figures", "report", "export", "runs", "compare", "search")


def main(arguments: list[str] | None = None) -> int:
    """Run the named command. Returns the exit code."""
    name, *rest = sys.argv[1:] if arguments is None else arguments
    return import_module(f"helpers.commands.{name}").main(rest)
