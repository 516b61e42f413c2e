"""The tested code behind the notebooks, one folder per step.

Start with ``recipe`` (every setting), then follow a photo through ``data``, ``models``, ``training``, ``runs``,
``evaluation``, ``plots``, ``inference``, ``comparison`` and ``report``. ``commands`` is the command line; ``common``
serves all of them.
"""

import atexit
import gc

# Else Python takes PyTorch's modules apart before it ends, object by object: a second for every command and kernel.
atexit.register(gc.freeze)
