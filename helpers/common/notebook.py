"""Showing things in a notebook that are not figures."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from IPython.display import Code, Markdown, display
from matplotlib_inline.backend_inline import set_matplotlib_formats


def small_figures() -> None:
    """Store this notebook's figures as JPEG: a page of photos takes a small part of its size as PNG."""
    set_matplotlib_formats("jpeg", pil_kwargs={"quality": 80, "subsampling": 2, "optimize": True})


def show_source(function: Callable) -> None:
    """Show the source of a helper, coloured: the code that runs, not a copy of it."""
    display(Code(inspect.getsource(function), language="python"))


def show_markdown(text: str) -> None:
    display(Markdown(text))
