"""Tests; what kills.py and pytest have in common."""

import signal


def hear_ctrl_c() -> None:
    """A shell starts background jobs deaf to Ctrl-C, and Python with them. Tests of it must hear it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
