"""The command line: ``python -m helpers <command> …``."""

import gc
import sys

from helpers.commands import main

if __name__ == "__main__":
    code = main()
    gc.freeze()  # else Python takes PyTorch's modules apart at the end, object by object, for a second
    sys.exit(code)
