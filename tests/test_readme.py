"""The numbers of the READMEs are those of the results they point to, and the commands exist."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.bench import MEANINGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNS = sorted((ROOT / "report" / "results").glob("*/results.json"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_the_readme_quotes_every_committed_run(path):
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
def test_the_numbers_of_a_committed_run_agree_with_each_other(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["best_val_accuracy"] == pytest.approx(results["best_val_correct"] / results["val_photos"])
    history = (path.parent / "history.csv").read_text().splitlines()[1:]
    accuracies = [float(line.split(",")[-1]) for line in history]
    assert max(accuracies) == results["best_val_accuracy"]
    assert sum(accuracies[-5:]) / 5 == pytest.approx(results["last_five_mean"])
    predictions = (path.parent / "predictions.csv").read_text().splitlines()[1:]
    called = [line.split(",")[1:3] for line in predictions]
    assert sum(true == call for true, call in called) == results["best_val_correct"]


def test_every_make_target_in_the_readme_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets


def test_every_file_in_the_readme_exists():
    for name in re.findall(r"^((?:helpers|notebooks|tests|report|benchmarks)/[\w/.]*)", README, re.MULTILINE):
        assert (ROOT / name).exists(), name


def comparison(backbone, cost):
    """The rows of one comparison that were trained on all photos."""
    rows = json.loads((ROOT / "report" / "results" / "comparison.json").read_text(encoding="utf-8"))
    rows = [row for row in rows if (row["backbone"], row["cost"]) == (backbone, cost)]
    return {row["recipe"]: row for row in rows if row["train_photos"] > 0.7 * row["photos"]}


def test_the_readme_quotes_the_committed_comparison():
    rows = comparison("mobilenet_v2", "224 px, 25 epochs")
    quoted = re.findall(r"^\| `(\w+)` \| (\S+ % \(.+?\)) \| (.+?) \| (\d+) s \|$", README, re.MULTILINE)
    assert {name for name, *_ in quoted} == set(rows)
    for name, accuracy, gain, seconds in quoted:
        row = rows[name]
        mean, low, high = (100 * row[f"accuracy_{which}"] for which in ("mean", "low", "high"))
        assert accuracy == f"{mean:.2f} % ({low:.1f} to {high:.1f})"
        mean, low, high = (100 * row[f"difference_{which}"] for which in ("mean", "low", "high"))
        assert gain == ("–" if name == "published" else f"{mean:+.2f} ({low:+.2f} to {high:+.2f})")
        assert seconds == f"{row['seconds_per_run']:.0f}"


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "squeezenet1_1"])
def test_the_readme_counts_the_committed_single_changes(backbone):
    rows = comparison(backbone, "128 px, 8 epochs")
    changes = [row for name, row in rows.items() if name.startswith("published + ")]
    better = sum(row["difference_low"] > 0 for row in changes)
    worse = sum(row["difference_high"] < 0 for row in changes)
    (number,) = {row["photos"] for row in changes}
    text = " ".join(README.split())
    assert f"{number} photos held out" in text
    name = {"mobilenet_v2": "MobileNetV2", "squeezenet1_1": "SqueezeNet 1.1"}[backbone]
    assert f"{better} of {len(changes)} changed {name} for the better and {worse} for the worse" in text


def changed(path):
    """Whether a file differs from the last commit, for example after ``make bench``."""
    return bool(
        subprocess.run(["git", "diff", "--quiet", "HEAD", "--", path], cwd=ROOT, capture_output=True).returncode
    )


def test_the_benchmarks_readme_quotes_the_committed_results():
    if changed("benchmarks/results/bench.json"):
        pytest.skip("benchmarks/results/bench.json holds your own measurement")
    results = json.loads((ROOT / "benchmarks" / "results" / "bench.json").read_text(encoding="utf-8"))
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| (.+) \| (.+) \| (.+) \| [^|]+ \|$", text, re.MULTILINE)
    assert {row[0] for row in rows} == set(MEANINGS)
    for name, *shown in rows:
        for cell, suffix in zip(shown, ("", "_min", "_max"), strict=True):
            if cell == "–":
                assert name + suffix not in results
                continue
            number = re.search(r"[\d,.]+", cell)[0]
            digits = len(number.partition(".")[2])
            value = results[name + suffix] * (100 if "%" in cell else 1)
            assert number == f"{value:,.{digits}f}", (name, cell)
    for name in ("augment_literal_ms", "augment_ours_ms"):
        assert f"{results[name]:.1f} ms" in text
    assert f"{results['baseline_system_ms']:.0f} ms per photo in the kernel" in text
