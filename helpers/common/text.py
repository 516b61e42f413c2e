"""Text for people: names, numbers, durations, tables, and what to say instead of an unknown name."""

import difflib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return ``: did you mean 'a' or 'b'?``, or without a similar name ``: <otherwise>`` (default: all known names)."""
    known = list(known)
    if close := difflib.get_close_matches(name, known, n=3):
        return f": did you mean {' or '.join(map(repr, close))}?"
    return f": {otherwise or 'known are ' + ', '.join(known)}"


def did_you_mean_path(path: Path, otherwise: str = "") -> str:
    """Return ``: did you mean <path>?`` for the entry of the same folder with the most similar name; else otherwise."""
    try:
        siblings = os.listdir(path.parent)
    except OSError:
        siblings = []
    if close := difflib.get_close_matches(path.name, siblings, n=1):
        return f": did you mean {path.parent / close[0]}?"
    return f": {otherwise}" if otherwise else ""


def align(rows: Sequence[tuple[str, ...]], right: tuple[int, ...] = ()) -> str:
    """Return the rows as lines with aligned columns; those of ``right`` are aligned to the right."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            padded(cell, width, right=i in right) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def columns(text: str) -> int:
    """Count the columns that a text takes in a terminal: a Chinese, Japanese or Korean letter takes two."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )


def padded(text: str, width: int, right: bool = False) -> str:
    """Return the text with spaces up to so many columns of a terminal."""
    spaces = " " * (width - columns(text))
    return spaces + text if right else text + spaces


def written_count(photos: float) -> str:
    """Write a number of photos, which is a fraction if it is a mean over trainings."""
    return f"{photos:.1f}".removesuffix(".0")


def listed(names: Sequence[str]) -> str:
    """Return names in a row: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def counted(number: int, thing: str) -> str:
    """Return ``1 photo``, ``1,285 photos``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Return ``21 min 26 s``, ``8.1 s``, ``70 ms``; ``–`` if unknown."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def scientific(value: float) -> str:
    """Return a learning rate as people write it: ``0.001``, ``2.5·10⁻⁵``."""
    if value >= 1e-3 or value <= 0:
        return f"{value:.3g}"
    digits, _, power = f"{value:.2e}".partition("e")
    raised = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(letter)] if letter.isdecimal() else "⁻" for letter in str(int(power)))
    return (f"{float(digits):g}·" if float(digits) != 1 else "") + f"10{raised}"


def spelled(number: int) -> str:
    """Return a small number as a word, as in running text; a larger one in digits."""
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return words[number] if 0 <= number < len(words) else f"{number:,}"


# Control characters, which a terminal obeys; line ends; what reverses a line; and halves of characters, not UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MARKUP = re.compile(r"[\\$&<>*\[\]`~|#@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.")


def printable(name: str) -> str:
    """Return the name as one line of plain text; what is none becomes ``\\x1b``, ``\\n``, ``\\xe9`` and the like."""

    def escaped(found: re.Match[str]) -> str:
        code = ord(found[0])
        code -= 0xDC00 if 0xDC80 <= code < 0xDD00 else 0  # a byte that is no UTF-8, as Python keeps it
        return "\\n" if code == 10 else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"

    return UNPRINTABLE.sub(escaped, name)


def as_markdown(text: str) -> str:
    """Return Markdown that shows the text as it is: neither markup nor HTML, mathematics or a link.

    A span keeps MathJax from taking ``$`` or a backslash for the beginning of a formula.
    """

    def escaped(found: re.Match[str]) -> str:
        entity = f"&#{ord(found[0])};"
        return f"<span>{entity}</span>" if found[0] in "\\$" else entity

    return MARKUP.sub(escaped, printable(text))


def percent(share: float) -> str:
    """Return a probability with as many digits as tell it from certainty: 98 %, 99.98 %, 0.02 %."""
    for digits in (0, 1, 2):
        text = f"{share:.{digits}%}"
        if 0 < float(text[:-1]) < 100:
            return text
    return "< 0.01%" if share < 0.5 else "> 99.99%"
