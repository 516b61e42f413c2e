"""Errors that a user can act on: each message names the culprit and the remedy."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user gave cannot be used. The message says what, and what to do about it."""

    def __str__(self) -> str:
        # Names of files need not be text; what is not would fail again when it is printed.
        return super().__str__().encode("utf-8", "backslashreplace").decode()

    def _render_traceback_(self) -> list[str]:
        # IPython asks an exception for this. A user's mistake needs its message, not the
        # forty frames of library code in which it was noticed.
        return [f"{type(self).__name__}: {self}"]


class ParameterError(UserError):
    """A parameter is unknown, of the wrong type, or out of range."""


class PhotosError(UserError):
    """The photos cannot be found, read, or made into a classification problem."""


class WeightsError(UserError):
    """A backbone or its weights cannot be had, or do not fit each other."""


class RunError(UserError):
    """A run's folder cannot be made, written, or read."""


class DivergedError(RunError):
    """A training ran away: its loss is no longer a number."""
