"""The command line: ``python -m helpers <command> …``."""

import sys

from helpers.commands import main

if __name__ == "__main__":
    sys.exit(main())
