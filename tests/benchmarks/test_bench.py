"""The benchmark's table and goals, and the committed results."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import bench, parts, plot
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.split import split_photos

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_median_smallest_and_largest_are_recorded(grow, tmp_path):
    audit = audit_photos(find_photos(grow({"rose": 2, "tulip": 2})))
    small = parts.Benchmark(audit, split_photos(audit, 0.5, 0), "resnet18", "none", parts.QUICK, tmp_path)
    small.record("speed", [3.0, 1.0, 2.0])
    assert small.results == {"speed": 2.0, "speed_min": 1.0, "speed_max": 3.0}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("published_throughput_ratio", 3.0, "≥ 3 ✓"),
        ("published_throughput_ratio", 2.9, "≥ 3 ✗"),
        ("cost_ratio_8x", 1.2, "≤ 1.1 ✗"),
        ("startup_seconds", 0.5, ""),
    ],
)
def test_goals_missed_and_reached_are_marked(name, value, expected):
    assert bench.goal_reached(name, value) == expected


def test_the_stored_results_are_complete_and_can_be_drawn(tmp_path):
    results = json.loads((RESULTS / "bench.json").read_text())
    assert set(bench.GOALS) <= set(bench.MEANINGS)
    for name in bench.MEANINGS:
        assert isinstance(results[name], (int, float)), name
        low, high = results.get(f"{name}_min", results[name]), results.get(f"{name}_max", results[name])
        assert low <= results[name] <= high
    plot.draw(results, tmp_path / "bench.png")
    assert Image.open(tmp_path / "bench.png").size[0] > 1000
    assert all(name in bench.result_table(results) for name in bench.MEANINGS)


@pytest.mark.parametrize("name", ["bench.json", "fast_candidates.json"])
def test_stored_results_name_no_folder_of_a_machine(name):
    text = (RESULTS / name).read_text(encoding="utf-8")
    assert json.loads(text)
    assert not re.search(r"/(home|work|tmp)/", text)


def test_missing_photos_are_named(tmp_path, capsys):
    assert bench.main(["--quick", "--data", str(tmp_path / "nowhere")]) == 1
    assert re.match(r"PhotosError: .*nowhere", capsys.readouterr().err)


def test_a_part_is_measured_alone_and_the_stored_others_are_kept(grow, tmp_path, monkeypatch, capsys):
    photos, output = grow({"rose": 5, "tulip": 5}), tmp_path / "results"
    only = ["--data", str(photos), "--output", str(output), "--only", "commands"]
    assert bench.main(only) == 1
    assert "run all parts first" in capsys.readouterr().err
    output.mkdir()
    stored = json.loads((RESULTS / "bench.json").read_text())
    (output / "bench.json").write_text(json.dumps(stored))
    monkeypatch.setattr(parts, "_output", lambda words: "")
    assert bench.main(only) == 0
    found = json.loads((output / "bench.json").read_text())
    assert found.pop("only_commands")["photos"] == 10
    assert found["fast_command_seconds_max"] < 60
    assert {name: value for name, value in found.items() if "command" not in name} == {
        name: value for name, value in stored.items() if "command" not in name
    }
