"""The recipe: every setting of a run, in one frozen dataclass, and the named presets.

This module imports nothing heavy, so a wrong parameter is refused within milliseconds.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence


def did_you_mean(name: str, known) -> str:
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    if close:
        return ": did you mean " + " or ".join(repr(c) for c in close) + "?"
    return ": known are " + ", ".join(known)


def align(cells: list[tuple[str, ...]], right: tuple[int, ...] = ()) -> str:
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if i in right else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def percent_of(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def duration_of(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def listed(names: Sequence[str]) -> str:
    """Names in a row: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def counted(number: int, thing: str) -> str:
    """``1 photo``, ``1,285 photos``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """``21 min 26 s``, ``8.1 s``, ``70 ms``."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def small(value: float) -> str:
    """A learning rate as people write it: ``0.001``, ``2.5·10⁻⁵``."""
    digits, _, power = f"{value:.2e}".partition("e")
    if value >= 1e-3 or value <= 0:
        return f"{value:.3g}"
    raised = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(letter)] if letter.isdecimal() else "⁻" for letter in str(int(power)))
    return (f"{float(digits):g}·" if float(digits) != 1 else "") + f"10{raised}"


def in_words(number: int) -> str:
    """Small numbers as words, as in running text."""
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return words[number] if 0 <= number < len(words) else f"{number:,}"


def printable(name: str) -> str:
    """The name of a file as UTF-8 text; bytes that are none become ``\\xe9`` and the like."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def percent(share: float) -> str:
    """A probability with as many digits as tell it from certainty: 98 %, 99.98 %, 0.02 %."""
    for digits in (0, 1, 2):
        text = f"{share:.{digits}%}"
        if 0 < float(text[:-1]) < 100:
            return text
    return "< 0.01%" if share < 0.5 else "> 99.99%"
