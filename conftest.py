"""Hooks of pytest and nbval for the whole project."""

import os

collect_ignore = ["work_dir", ".venv"]


def pytest_collectstart(collector):
    """Keep nbval from comparing stderr: warnings of libraries differ from machine to machine."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)


def pytest_xdist_auto_num_workers():
    """Run one test more at a time than there are cores: many wait for a process that they have started."""
    return min(4, (os.cpu_count() or 1) + 1)
