"""What pytest and nbval need to know about the whole project."""

import os

# Executed notebooks of runs are results, not tests.
collect_ignore = ["work_dir", ".venv"]

# Kernels that nbval starts inherit these: no bars in the outputs, no debugger's warning.
os.environ.setdefault("FLOWERS_PROGRESS", "0")
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def pytest_collectstart(collector):
    """Warnings go to stderr and differ between versions: nbval compares all but them."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare = (*collector.skip_compare, "stderr")
