"""What the benchmark compares: the same photos and transforms on both sides, measured in fresh processes."""

import argparse
from pathlib import Path

import pytest

from benchmarks import measure, parts
from helpers.commands import parameters, run
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.split import split_photos


@pytest.fixture
def small(grow, tmp_path):
    audit = audit_photos(find_photos(grow({"rose": 20, "tulip": 20})))
    return parts.Benchmark(
        audit, split_photos(audit, 0.8, 0), "shufflenet_v2_x0_5", "none", parts.QUICK, tmp_path / "scratch"
    )


def test_both_sides_read_the_same_photos_of_every_class(small):
    folder = Path(parts.link_photos(small, "some", 8))
    photos = find_photos(folder)
    assert set(photos.labels) == {0, 1}
    assert photos.subsets.count("train") == 8
    assert photos.subsets.count("val") == 2
    eightfold = find_photos(parts.link_photos(small, "more", 8, copies=8))
    assert eightfold.subsets.count("train") == 64
    assert eightfold.subsets.count("val") == 2
    everything = find_photos(parts.link_photos(small, "all", 32))
    assert [everything.subsets.count(part) for part in ("train", "val")] == [32, 8]


def test_the_baseline_reports_a_row_per_epoch(small):
    small.backbone = "mobilenet_v2"
    rows = parts.run_baseline(small, parts.link_photos(small, "b", 8), epochs=2)
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[0]["photos"] == 8
    assert rows[0]["val_photos"] == 2
    assert 0 < rows[1]["train_seconds"] < rows[1]["train_cpu_seconds"] * 100
    whole = parts.whole_run_seconds(small, rows[1])
    assert whole == pytest.approx(25 * (rows[1]["train_seconds"] * 32 / 8 + rows[1]["val_seconds"] * 8 / 2))


def test_a_measurement_in_a_fresh_process_returns_its_numbers(small):
    found = parts.measure("startup", folder=parts.link_photos(small, "m", 8), timed=True, **small.settings)
    assert 0 < found["first_step"] < found["seconds"] < 120


@pytest.mark.parametrize("name", ["published", "size"])
def test_measurements_return_seconds_and_memory(small, tmp_path, name):
    extra = {"epochs": 1} if name == "published" else {}
    folder = parts.link_photos(small, "m", 8)
    found = measure.MEASUREMENTS[name](folder=folder, work_dir=str(tmp_path / "runs"), **small.settings, **extra)
    assert 0 < found["seconds"] < 120
    assert found["peak_megabytes"] > 100


def test_without_strided_depthwise_layers_both_sides_are_equally_fast(small, tmp_path):
    small.backbone = "squeezenet1_1"  # has none: both sides are the same code
    folder = parts.link_photos(small, "d", 8)
    found = measure.depthwise(3, steps=1, folder=folder, work_dir=str(tmp_path / "runs"), **small.settings)
    assert 0.5 < sorted(found["ratios"])[1] < 2


def test_photos_above_the_memory_limit_are_streamed(small):
    folder = parts.link_photos(small, "s", 32)
    resident = measure.stream(1e3, folder)
    assert resident["kind"] == "resident"
    assert measure.stream(resident["decoded_megabytes"], folder)["kind"] == "resident"
    assert measure.stream(0.9 * resident["decoded_megabytes"], folder, workers=0)["kind"] == "stream"


def test_whole_commands_start_with_an_empty_cache(small, monkeypatch):
    given = []
    monkeypatch.setattr(parts, "_output", given.append)
    parts.commands(small)
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    recipes = [parameters.recipe_of(parameters.parameters_of(parser.parse_args(words[3:]))) for words in given]
    assert [recipe.preset for recipe in recipes] == 2 * ["demo"] + 2 * ["fast"]
    assert [recipe.dataset for recipe in recipes] == 2 * ["demo"] + 2 * [str(small.audit.photos.root)]
    assert len({recipe.work_dir for recipe in recipes}) == 4
    assert not any(Path(recipe.work_dir).exists() for recipe in recipes)
    assert small.results["fast_command_seconds_min"] >= 0
