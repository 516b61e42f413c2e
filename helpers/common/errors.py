"""Errors that a user can act on: each message names the culprit and the remedy."""

from helpers.common.text import printable


class UserError(Exception):
    """Something the user gave cannot be used. The message says what, and what to do about it."""

    def __str__(self) -> str:
        # Names from outside may hold what a terminal obeys, or what is not text.
        return "\n".join(map(printable, super().__str__().split("\n")))

    def _render_traceback_(self) -> list[str]:
        # IPython shows this instead of the traceback: a user needs the message, not forty frames of library code.
        return [f"{type(self).__name__}: {self}"]


class Interrupted(KeyboardInterrupt):
    """A training was interrupted and saved. Shown as one line in a notebook."""

    def _render_traceback_(self) -> list[str]:
        return [f"interrupted ({self})"]


class ParameterError(UserError):
    """A parameter is unknown, of the wrong type, out of range, or without effect."""


class PhotosError(UserError):
    """The photos cannot be found, read, or made into a classification problem."""


class WeightsError(UserError):
    """A backbone or its weights are not available, or do not fit each other."""


class RunError(UserError):
    """A run's folder cannot be made, written, or read."""


class DivergedError(RunError):
    """A training diverged: its loss is no longer a finite number."""
