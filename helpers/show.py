"""Showing things in a notebook that are not figures."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from IPython.display import Code, Markdown, display


def show_source(function: Callable) -> None:
    """Show the source of a helper, coloured: the code that runs, not a copy of it."""
    display(Code(inspect.getsource(function), language="python"))


def show_markdown(text: str) -> None:
    display(Markdown(text))
