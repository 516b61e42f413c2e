"""Errors for the user: never swallowed by a handler for damaged values, and always printable."""

import pytest

from helpers.common import errors


@pytest.mark.parametrize(
    "kind", [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
)
def test_handlers_for_damaged_values_do_not_swallow_them(kind):
    assert issubclass(kind, errors.UserError)
    assert not issubclass(kind, (ValueError, TypeError, KeyError, OSError, RuntimeError))


def test_a_terminal_obeys_no_name_in_an_error():
    assert str(errors.RunError("a\x1b[2J\nb\x07")) == "a\\x1b[2J\nb\\x07"


def test_a_file_name_that_is_not_text_can_be_printed():
    error = errors.PhotosError("caf\udce9.jpg is damaged")
    assert str(error).encode() == b"caf\\xe9.jpg is damaged"
    assert error._render_traceback_() == ["PhotosError: caf\\xe9.jpg is damaged"]


def test_an_interrupted_training_is_one_line_in_a_notebook():
    assert errors.Interrupted("SIGINT: saved")._render_traceback_() == ["interrupted (SIGINT: saved)"]
