"""The README's numbers are the ones in a run's results.json, and its commands exist."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNS = sorted((ROOT / "report" / "results").glob("*/results.json"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_every_committed_run_is_quoted_as_it_was(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    (row,) = [line for line in README.splitlines() if f"report/results/{path.parent.name}" in line]
    assert (
        f"{100 * results['best_val_accuracy']:.2f} % ({results['best_val_correct']} of {results['val_photos']})" in row
    )
    assert f"{100 * results['interval_low']:.1f}–{100 * results['interval_high']:.1f} %" in row
    assert f"{100 * results['last_five_mean']:.2f} %" in row
    minutes, seconds = divmod(round(results["training_seconds"]), 60)
    assert f"{minutes} min {seconds} s" in row
    assert f"{results['photos']:,}" in row


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_the_committed_numbers_agree_with_each_other(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["best_val_accuracy"] == pytest.approx(results["best_val_correct"] / results["val_photos"])
    history = (path.parent / "history.csv").read_text().splitlines()[1:]
    accuracies = [float(line.split(",")[-1]) for line in history]
    assert max(accuracies) == results["best_val_accuracy"]
    assert sum(accuracies[-5:]) / 5 == pytest.approx(results["last_five_mean"])
    predictions = (path.parent / "predictions.csv").read_text().splitlines()[1:]
    called = [line.split(",")[1:3] for line in predictions]
    assert sum(true == call for true, call in called) == results["best_val_correct"]


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets


def test_every_file_that_the_house_names_exists():
    for name in re.findall(r"^((?:helpers|notebooks|tests|report|benchmarks)/[\w/.]*)", README, re.MULTILINE):
        assert (ROOT / name).exists(), name
