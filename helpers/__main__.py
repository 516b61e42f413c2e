"""The command line: ``python -m helpers <command> …``."""

from __future__ import annotations

import sys

from helpers.commands import main

if __name__ == "__main__":
    sys.exit(main())
