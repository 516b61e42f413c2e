"""The benchmark's parts, without its minutes: what is compared, what is written, what is drawn."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmarks import baseline, bench, plot
from helpers.data.audit import audit_photos
from helpers.data.augmentation import train_transform, val_transform
from helpers.data.image_folder import find_photos
from helpers.data.split import split_photos
from helpers.recipe import Recipe

ROOT = Path(__file__).parent.parent
NUMBERS = [
    "seed_throughput_ratio",
    "seed_cpu_seconds_ratio",
    "ceiling_ratio",
    "fast_time_ratio",
    "fast_accuracy",
    "baseline_accuracy",
    "augment_ratio",
    "depthwise_ratio",
    "cost_ratio_8x",
    "checkpoint_share",
    "startup_seconds",
    "peak_memory_mb",
]


@pytest.fixture
def small(grow, tmp_path):
    audit = audit_photos(find_photos(grow({"rose": 20, "tulip": 20})))
    return bench.Bench(audit, split_photos(audit, 0.8, 0), "resnet18", "none", bench.QUICK, tmp_path / "scratch")


def test_the_baseline_s_transforms_are_the_seed_recipe_s(small):
    loaders = baseline.build_loaders(Path(bench.tree(small, "t", 32)))
    torch.manual_seed(3)
    photo = Image.effect_noise((320, 240), 60).convert("RGB")
    for part, ours in (("train", train_transform(Recipe())), ("val", val_transform(Recipe()))):
        theirs = loaders[part].dataset.transform
        assert [type(step).__name__ for step in theirs.transforms if not isinstance(step, transforms.ToTensor)] == [
            type(step).__name__ for step in ours.transforms if type(step).__name__ not in ("ToImage", "ToDtype")
        ]
        assert theirs(photo).shape == ours(photo).shape == (3, 224, 224)
    assert torch.allclose(loaders["val"].dataset.transform(photo), val_transform(Recipe())(photo), atol=1e-6)


def test_both_sides_read_the_same_photos_of_every_class(small):
    folder = Path(bench.tree(small, "some", 8))
    photos = find_photos(folder)
    assert set(photos.labels) == {0, 1}
    assert photos.subsets.count("train") == 8
    assert photos.subsets.count("val") == 2
    eightfold = find_photos(bench.tree(small, "more", 8, copies=8))
    assert eightfold.subsets.count("train") == 64
    assert eightfold.subsets.count("val") == 2
    everything = find_photos(bench.tree(small, "all", 32))
    assert [everything.subsets.count(part) for part in ("train", "val")] == [32, 8]


def test_the_baseline_runs_and_reports_its_epochs(small):
    rows = bench.baseline(small, bench.tree(small, "b", 8), epochs=2)
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[0]["photos"] == 8
    assert rows[0]["val_photos"] == 2
    assert 0 < rows[1]["train_seconds"] < rows[1]["train_cpu_seconds"] * 100
    per_run = bench.whole_run_seconds(small, rows[1])
    assert per_run == pytest.approx(25 * (rows[1]["train_seconds"] * 32 / 8 + rows[1]["val_seconds"] * 8 / 2))


@pytest.mark.parametrize("name", ["seed", "size", "startup"])
def test_measurements_leave_numbers(small, name):
    extra = {"seed": {"epochs": 1}, "startup": {"timed": True}}.get(name, {})
    found = bench.measure(name, folder=bench.tree(small, "m", 8), **small.settings, **extra)
    assert 0 < found["seconds"] < 120
    assert name == "startup" or found["peak_megabytes"] > 100


def test_a_network_without_such_layers_is_as_fast_with_either(small):
    small.plan = bench.Plan(photos=32, repetitions=1)
    bench.depthwise(small)
    assert 0.5 < small.results["depthwise_ratio"] < 2  # resnet18: both sides are the same code


def test_streaming_stays_below_what_resident_photos_take(small):
    folder = bench.tree(small, "s", 32)
    resident = bench.measure("stream", folder=folder, limit=1e3)
    assert resident["kind"] == "resident"
    assert bench.measure("stream", folder=folder, limit=resident["decoded_megabytes"])["kind"] == "resident"
    assert bench.measure("stream", folder=folder, limit=0.9 * resident["decoded_megabytes"])["kind"] == "stream"


def test_a_stored_log_of_the_baseline_is_used_for_the_same_photos_and_weights_only(small, tmp_path, monkeypatch):
    (tmp_path / "benchmarks" / "baseline").mkdir(parents=True)
    log = tmp_path / "benchmarks" / "baseline" / f"{bench._baseline_key(small)}.jsonl"
    log.write_text("".join(json.dumps({"epoch": i, "val_accuracy": i / 100}) + "\n" for i in range(25)))
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert bench.baseline_accuracy(small) == (pytest.approx(0.22), 25)
    monkeypatch.setattr(bench, "baseline", lambda *arguments, **more: [{"val_accuracy": 0.4}])
    small.backbone = "resnet34"
    assert bench.baseline_accuracy(small) == (pytest.approx(0.4), 1)


def test_median_smallest_and_largest_are_recorded(small, capsys):
    small.record("speed", [3.0, 1.0, 2.0])
    assert small.results == {"speed": 2.0, "speed_min": 1.0, "speed_max": 3.0}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("seed_throughput_ratio", 3.0, "≥ 3 ✓"),
        ("seed_throughput_ratio", 2.9, "≥ 3 ✗"),
        ("cost_ratio_8x", 1.2, "≤ 1.1 ✗"),
        ("fast_accuracy", 0.5, ""),
    ],
)
def test_a_missed_goal_is_said(name, value, expected):
    assert bench.verdict(name, value) == expected


def test_the_stored_results_hold_every_number_and_can_be_drawn(tmp_path):
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    for name in NUMBERS:
        assert isinstance(results[name], (int, float)), name
        low, high = results.get(f"{name}_min", results[name]), results.get(f"{name}_max", results[name])
        assert low <= results[name] <= high
    plot.draw(results, tmp_path / "results.png")
    assert Image.open(tmp_path / "results.png").size[0] > 1000
    assert all(name in bench.table(results) for name in NUMBERS)


def test_wrong_data_is_refused_by_name(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", "--quick", "--data", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ,
    )
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
