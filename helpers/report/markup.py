"""What a report is made of: sentences, headings, tables, figures, as plain values that ``report.typ`` lays out.

A template is written by us, a value comes from the run. Marks are looked for in templates alone, so whatever stands in
a value (``#``, ``$``, ``@``) is text and stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

Pieces = list[str | dict[str, str]]  # text, and {"cite" | "ref" | "math" | "code": …} between it


Block = dict[str, Any]


MARKS = re.compile(r"\[(?P<cite>[a-z]+\d{4}\w*)\]|<(?P<ref>[a-z]+-[a-z]+)>|\$(?P<math>[^$]+)\$|`(?P<code>[^`]+)`")


def written(template: str, **values: Any) -> Pieces:
    """A sentence: ``[key]`` cites, ``<fig-curves>`` refers, ``$…$`` is typst's math, ``{name:.1%}`` a value."""
    pieces: Pieces = []
    end = 0
    for mark in MARKS.finditer(template):
        pieces.append(template[end : mark.start()].format(**values))
        pieces.append({mark.lastgroup: mark[mark.lastgroup]})
        end = mark.end()
    return [piece for piece in [*pieces, template[end:].format(**values)] if piece]


def paragraph(*sentences: Pieces | str, title: str = "") -> Block:
    """Sentences in a row; text alone is taken as it is, empty ones are left out."""
    pieces: Pieces = []
    for sentence in filter(None, sentences):
        own = [sentence] if isinstance(sentence, str) else sentence
        pieces += [" ", *own] if pieces else own
    return {"kind": "text", "title": title, "pieces": pieces}


def heading(text: str) -> Block:
    """The heading of a subsection."""
    return {"kind": "heading", "text": text}


def points(*items: Pieces) -> Block:
    """A list."""
    return {"kind": "list", "items": list(items)}


def equation(name: str) -> Block:
    """One of the equations of ``report.typ``."""
    return {"kind": "equation", "name": name}


def table(
    label: str, caption: Pieces, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, last: bool = False
) -> Block:
    """Rows of text under a header; the first ``left`` columns are set to the left, the others (numbers) to the right.

    Args:
        last: the last row is a sum, and set apart.
    """
    return {
        "kind": "table",
        "label": label,
        "caption": caption,
        "header": list(header),
        "rows": [list(row) for row in rows],
        "left": left,
        "last": last,
    }


def figure(label: str, caption: Pieces, files: Sequence[str], alt: str, wide: bool = False) -> Block:
    """Pictures side by side, in their own size; ``alt`` tells readers who cannot see them what is there."""
    return {"kind": "figure", "label": label, "caption": caption, "files": list(files), "alt": alt, "wide": wide}
