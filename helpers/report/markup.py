"""The report's building blocks (sentences, tables, figures) as plain values that ``report.typ`` lays out.

Sentences are f-strings with marks: ``[key]`` cites, ``<fig-curves>`` refers, ``$…$`` is typst's math, `…` is code.
Strings that come from a run go through ``literal`` first, so ``#``, ``$`` or ``[he2016]`` in a class name stay text.
"""

import re
from collections.abc import Sequence
from typing import Any

Block = dict[str, Any]
Cells = Sequence[str]
MARKS = re.compile(r"\[(?P<cite>[a-z]+\d{4}\w*)\]|<(?P<ref>[a-z]+-[a-z]+)>|\$(?P<math>[^$]+)\$|`(?P<code>[^`]+)`")
OPENING, HIDDEN = "[<$`", "\ue000\ue001\ue002\ue003"  # what begins a mark, and private characters in its place


def literal(value: Any) -> Any:
    """Hide everything in the value's strings that could begin a mark."""
    return _translated(value, str.maketrans(OPENING, HIDDEN))


def revealed(content: Any) -> Any:
    """Restore what ``literal`` hid, in the finished content."""
    return _translated(content, str.maketrans(HIDDEN, OPENING))


def _translated(value: Any, characters: dict[int, int]) -> Any:
    if isinstance(value, str):
        return value.translate(characters)
    if isinstance(value, dict):
        return {key: _translated(each, characters) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_translated(each, characters) for each in value]
    return value


def pieces(text: str) -> list[str | dict[str, str]]:
    """Cut the text at its marks: strings, and ``{"cite" | "ref" | "math" | "code": …}`` between them."""
    found: list[str | dict[str, str]] = []
    end = 0
    for mark in MARKS.finditer(text):
        found += [text[end : mark.start()], {mark.lastgroup: mark[mark.lastgroup]}]
        end = mark.end()
    return [piece for piece in [*found, text[end:]] if piece]


def paragraph(*sentences: str | dict[str, Any], title: str = "") -> Block:
    """Join sentences, empty ones left out; of a dictionary, those whose setting or condition holds."""
    each = [each if isinstance(each, dict) else {each: True} for each in sentences]
    said = [sentence for conditions in each for sentence, holds in conditions.items() if sentence and holds]
    return {"kind": "text", "title": title, "pieces": pieces(" ".join(said))}


def heading(text: str) -> Block:
    """Begin a subsection."""
    return {"kind": "heading", "text": text}


def bullets(*items: str) -> Block:
    """Return a bulleted list."""
    return {"kind": "list", "items": [pieces(item) for item in items]}


def equation(name: str) -> Block:
    """Show one of the equations of ``report.typ``."""
    return {"kind": "equation", "name": name}


def listing(label: str, caption: str, lines: Sequence[str]) -> Block:
    """Show lines of code or of a log as they are."""
    return {"kind": "listing", "label": label, "caption": pieces(caption), "lines": list(lines)}


def tabular(label: str, caption: str, header: Cells, rows: Sequence[Cells], left=1, total=False, wide=False) -> Block:
    """Set rows of text under a header.

    Args:
        left: so many columns are aligned left, the others (numbers) right.
        total: the last row is a sum, and set apart.
        wide: over both columns of the page.
    """
    body = {"header": list(header), "rows": [list(row) for row in rows], "left": left, "total": total}
    return {"kind": "table", "label": label, "caption": pieces(caption), "wide": wide} | body


def figure(label: str, caption: str, files: Sequence[str], alt: str, wide: bool = False) -> Block:
    """Set pictures side by side in their own size; ``alt`` describes them to readers who cannot see them."""
    body = {"files": list(files), "alt": alt}
    return {"kind": "figure", "label": label, "caption": pieces(caption), "wide": wide} | body
