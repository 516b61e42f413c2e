"""Hooks of pytest and nbval for the whole project."""

collect_ignore = ["work_dir", ".venv"]


def pytest_collectstart(collector):
    """nbval: warnings of libraries go to stderr and differ from machine to machine; do not compare them."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
