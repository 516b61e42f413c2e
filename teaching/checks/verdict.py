"""What a check found out about one section, as text for the student."""

from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """Whether a section is right, and what was seen."""

    passed: bool
    seen: str


class Failure(Exception):  # noqa: N818
    """The block does not do what is asked; the message says what it does instead."""


def require(condition: Any, seen: str) -> None:
    """Raise a failure that says what was seen, unless the condition holds."""
    if not condition:
        raise Failure(seen)


def explained(error: BaseException) -> str:
    """Return an exception as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
