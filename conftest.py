"""Hooks of pytest and nbval for the whole project."""

collect_ignore = ["work_dir", ".venv"]


def pytest_collectstart(collector):
    """Keep nbval from comparing stderr: warnings of libraries differ from machine to machine."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
