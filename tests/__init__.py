"""Tests, in the rooms of ``helpers``; README.md lists what they guard."""

import signal


def enable_ctrl_c() -> None:
    """Handle SIGINT even where a shell started this process in the background, with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
