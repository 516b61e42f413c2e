"""Show source code and Markdown in a notebook; keep its figures small."""

import inspect
import re
from collections.abc import Callable

from IPython.display import Code, Markdown, display
from matplotlib_inline.backend_inline import set_matplotlib_formats

HTML = re.compile(r"<(?!/?(?:details|summary|code|span)>)|(?<=!)\[|(?<=\])\(")


def small_figures() -> None:
    """Store this notebook's figures as JPEG, which takes a fraction of a PNG's size for photos."""
    set_matplotlib_formats("jpeg", pil_kwargs={"quality": 80, "subsampling": 2, "optimize": True})


def show_source(function: Callable) -> None:
    """Show the source of a helper, highlighted: the code that runs, not a copy of it."""
    display(Code(inspect.getsource(function), language="python"))


def show_markdown(text: str) -> None:
    """Show Markdown below a notebook cell; HTML only where it folds or sets code, and neither links nor pictures."""
    display(Markdown(HTML.sub(lambda found: f"&#{ord(found[0])};", text)))
