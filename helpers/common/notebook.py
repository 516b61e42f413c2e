"""Show source code, Markdown and figures in a notebook."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from IPython import get_ipython
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats

from helpers.common.progress import watched

HTML = re.compile(r"<(?!/?(?:details|summary|code|span)>)|(?<=!)\[|(?<=\])\(")


def small_figures() -> None:
    """Store this notebook's figures as JPEG, which takes a fraction of a PNG's size for photos."""
    set_matplotlib_formats("jpeg", pil_kwargs={"quality": 80, "subsampling": 2, "optimize": True})


def show_source(*functions: Callable) -> None:
    """Show the source of helpers, highlighted: the code that runs, of its documentation the first line."""
    display(Markdown("\n".join(f"```python\n{short_source(function)}```" for function in functions)))


def short_source(function: Callable) -> str:
    """Return the source with the first line of its docstring only."""
    source, documentation = inspect.getsource(function), function.__doc__ or ""
    return source.replace(documentation, documentation.split("\n")[0])


def show_markdown(text: str) -> None:
    """Show Markdown below a notebook cell; HTML only where it folds or sets code, and neither links nor pictures."""
    display(Markdown(HTML.sub(lambda found: f"&#{ord(found[0])};", text)))


def show_figure(figure: Figure | None, description: str) -> None:
    """Show a figure, if there is one, with a description for readers who cannot see it."""
    if figure is not None:
        data, _ = get_ipython().display_formatter.format(figure)
        display(data, metadata={kind: {"alt": description} for kind in data if kind.startswith("image/")}, raw=True)


def live_figure(draw: Callable[[Any], Figure]) -> Callable[[Any], None]:
    """Return a function that draws its argument in place of the figure before, where a person watches."""
    shown = []

    def show(data: Any) -> None:
        if not watched():
            return
        if shown:
            shown[0].update(draw(data))
        else:
            shown.append(display(draw(data), display_id=True))

    return show
