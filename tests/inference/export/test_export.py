"""Exported files predict as the run does, without this project, or are discarded."""

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers.commands import main
from helpers.common import files
from helpers.common.errors import ParameterError, PhotosError, RunError
from helpers.data.augmentation import IMAGENET_MEAN, IMAGENET_STD, val_transform
from helpers.data.decode import load_photo
from helpers.inference.export import export, formats, verify
from helpers.inference.export import timing as export_timing
from helpers.inference.export.export import export_run
from helpers.inference.export.formats import DeployedModel
from helpers.inference.export.preprocessing import _steps, describe_model
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe
from helpers.runs.finished import read_run
from helpers.runs.saving import load_best_model
from tests.conftest import ROOT, colourful
from tests.data.pictures import PICTURES
from tests.finished_run import finished_run

CLASSES = ("rose", "tulip", "weed")


def grown(folder):
    """Photos with their split given; odd kinds among the validation photos."""
    for number, name in enumerate(CLASSES):
        for subset, shift in (("train", 0), ("val", 50)):
            (folder / subset / name).mkdir(parents=True)
            for i in range(2):
                photo = colourful((90 + 7 * i, 61), 100 * number + shift + i)
                photo.save(folder / subset / name / f"{i}.jpg")
    colourful((61, 99), 1).save(folder / "val" / "rose" / "portrait.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    colourful((80, 60), 2).save(folder / "val" / "rose" / "turned.jpg", exif=turned)
    colourful((75, 70), 3).convert("L").save(folder / "val" / "tulip" / "grey.png")
    glass = colourful((70, 70), 4).convert("RGBA")
    glass.putalpha(90)
    glass.save(folder / "val" / "tulip" / "glass.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run's folder, and its photos'."""
    folder = tmp_path_factory.mktemp("export")
    return finished_run(folder, photos=grown, image_size=48, val_resize=54, precision="fp32")[:2]


@pytest.fixture(scope="module")
def done(run):
    """The run exported with everything, and what was said about it."""
    pytest.importorskip("onnxruntime", reason="requirements-export.txt is not installed")
    folder, _ = run
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_timing, "SLICE", 0.0)
        target = export_run(folder, root=folder.parents[1], onnx=True, measure_speed=True, log=said.append)
    return target, said, json.loads((target / "preprocessing.json").read_text())


def test_both_files_predict_as_the_run_does_alone_and_in_batches(run, done):
    folder, _ = run
    target, said, facts = done
    assert said[0] == "verified on 10 of the run's 10 validation photos"
    assert said[3].startswith("predictions.csv, computed in float32: 10 of 10 predictions the same")
    assert facts["check"]["against_predictions_csv"]["probabilities_max_difference"] < 1e-5
    for name in ("model.pt2", "model.onnx"):
        assert facts["files"][name]["logits_max_difference"] < 1e-4
        assert facts["files"][name]["same_predictions"] is True
    model = load_best_model(folder)
    images = torch.randn(5, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits = model(images)
    for predict in (formats.open_program(target / "model.pt2"), formats.open_onnx(target / "model.onnx")):
        for part in (slice(0, 1), slice(1, 3), slice(0, 5)):
            torch.testing.assert_close(predict(images[part]), logits[part], atol=1e-4, rtol=0)


def test_the_speed_of_all_three_is_written_down(done):
    target, said, _ = done
    rows = json.loads((target / "timing.json").read_text())["rows"]
    assert [row["engine"] for row in rows] == ["PyTorch", "exported program", "ONNX Runtime"] * 2
    assert [row["batch"] for row in rows] == [1] * 3 + [32] * 3
    assert all(row["photos_per_second"]["low"] > 0 for row in rows)
    assert "ONNX Runtime" in said[-1]


def test_everything_that_a_user_of_the_file_needs_is_written_down(run, done):
    target, _, facts = done
    assert facts["input"] | {"value_range": ""} == {
        "name": "images",
        "shape": ["batch", 3, 48, 48],
        "dtype": "float32",
        "layout": "NCHW: photo, colour, row from the top, column from the left",
        "colour_order": "RGB",
        "value_range": "",
    }
    assert facts["output"]["classes"] == list(CLASSES)
    steps = facts["preprocessing"]
    assert (steps["resize"]["shorter_side"], steps["crop"]["size"]) == (54, 48)
    assert (steps["resize"]["interpolation"], steps["resize"]["antialias"]) == ("bilinear", True)
    assert steps["mean"] == [0.485, 0.456, 0.406]
    results = read_run(run[0]).results
    assert facts["model"]["accuracy"]["interval_95"] == [results["interval_low"], results["interval_high"]]
    assert facts["model"]["accuracy"]["photos"] == 10
    for name, file in facts["files"].items():
        assert file["sha256"] == hashlib.sha256((target / name).read_bytes()).hexdigest()


def test_preprocessing_json_is_also_inside_the_files(done):
    import onnxruntime

    target, _, facts = done
    inside = {"preprocessing.json": ""}
    torch.export.load(target / "model.pt2", extra_files=inside)
    session = onnxruntime.InferenceSession(target / "model.onnx", providers=["CPUExecutionProvider"])
    outside = {name: value for name, value in facts.items() if name not in ("check", "files")}
    assert json.loads(inside["preprocessing.json"]) == outside
    assert json.loads(session.get_modelmeta().custom_metadata_map["preprocessing.json"]) == outside
    assert session.get_inputs()[0].shape == ["batch", 3, 48, 48]
    assert session.get_outputs()[0].shape == ["batch", 3]


def test_the_files_hold_no_paths_of_this_machine(done):
    """torch writes the paths of all sources into both kinds of file, unless prevented."""
    target, _, _ = done
    with zipfile.ZipFile(target / "model.pt2") as archive:
        inside = b"".join(archive.read(name) for name in archive.namelist())
    for content in (inside, (target / "model.onnx").read_bytes(), (target / "preprocessing.json").read_bytes()):
        assert not re.search(rb"[/\\][\w.-]+\.py\b", content)
        assert str(ROOT).encode() not in content


def test_the_pt2_file_declares_nothing_to_be_unpickled(done):
    target, _, _ = done
    with zipfile.ZipFile(target / "model.pt2") as archive:
        configs = [archive.read(name).decode() for name in archive.namelist() if name.endswith("_config.json")]
        (examples,) = [archive.read(name) for name in archive.namelist() if "sample_inputs" in name]
    assert len(configs) == 2
    assert "use_pickle" in configs[0]
    assert not any(re.search(r'"use_pickle":\s*true', config) for config in configs)
    assert examples == b""


def test_classify_py_needs_neither_torch_nor_this_project(run, done, tmp_path):
    folder, photos = run
    target, _, _ = done
    stored = read_run(folder).predictions
    # None in sys.modules makes an import fail.
    program = (
        "import sys, runpy; sys.modules.update(torch=None, torchvision=None, helpers=None); "
        "script, *sys.argv[1:] = sys.argv[1:]; runpy.run_path(script, run_name='__main__')"
    )
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam")
    paths = [str(photos / name) for name in stored.names]
    command = [sys.executable, "-I", "-c", program, target / "classify.py", target / "model.onnx"]
    found = subprocess.run([*command, tmp_path / "letter.jpg", *paths], capture_output=True, text=True, cwd=target)
    assert found.returncode == 1
    assert "letter.jpg: cannot be read as a photo" in found.stderr
    for line, path, row in zip(found.stdout.splitlines(), paths, stored.probabilities.tolist(), strict=True):
        name, _, pairs = line.rpartition(": ")
        assert name == path
        probabilities = dict(pair.split() for pair in pairs.split(", "))
        # Printed with six decimals; measured: no difference in any of them.
        assert [float(probabilities[each]) for each in CLASSES] == pytest.approx(row, abs=3e-6)


@pytest.mark.parametrize("kind", PICTURES)
def test_classify_py_sees_the_pixels_that_the_project_sees(done, run, tmp_path, kind):
    """Executed from the exported file, whose copy of ``data.pixels`` must be complete."""
    path = PICTURES[kind](tmp_path)
    classify = runpy.run_path(str(done[0] / "classify.py"))
    ours = val_transform(read_run(run[0]).recipe)(load_photo(path)).numpy()
    theirs = classify["preprocess"](path, done[2]["preprocessing"])[0]
    np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_classify_py_names_what_it_cannot_read_among_others(done, run, tmp_path, capsys):
    good = next(run[1].glob("val/rose/*.jpg"))
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "cut.tif").write_bytes(b"II*\0\x08\0\0\0\xff\xff")
    os.mkfifo(tmp_path / "pipe.jpg")
    broken = [str(tmp_path / name) for name in ("cut.png", "cut.tif", "pipe.jpg", "nowhere.jpg")]
    classify = runpy.run_path(str(done[0] / "classify.py"))
    assert classify["main"](done[0] / "model.onnx", broken[0], str(good), *broken[1:]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{good}: ")
    assert [line.split(": ")[0] for line in said.err.splitlines()] == broken


def test_preprocessing_json_with_the_checksums_of_the_others_is_written_last(run, tmp_path, monkeypatch):
    """Where it is, the others are complete."""
    folder, written = shutil.copytree(run[0], tmp_path / "a", ignore=shutil.ignore_patterns("export")), []
    monkeypatch.setattr(export, "write_atomically", lambda path, content: written.append(path.name))
    export_run(folder, root=tmp_path, log=str)
    assert written[-1] == "preprocessing.json"
    assert "model.pt2" in written


def test_test_time_augmentation_is_inside_the_file(tmp_path):
    recipe = Recipe.from_preset("published", image_size=48, val_resize=54, test_flip=True)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    program = formats.trace(DeployedModel(net, recipe), 48)
    formats.save_program(program, tmp_path / "m.pt2", {})
    predict = formats.open_program(tmp_path / "m.pt2")
    images = torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        torch.testing.assert_close(predict(images), with_tta(net, recipe)(images), atol=1e-6, rtol=0)
        torch.testing.assert_close(predict(images), predict(images.flip(-1)), atol=1e-5, rtol=0)
        assert (predict(images) - net(images)).abs().max() > 1e-3


def test_test_time_augmentation_is_written_down(run):
    finished = read_run(run[0])
    views = describe_model(replace(finished, recipe=replace(finished.recipe, test_flip=True)))["views"]
    assert views == {"inside_the_model": True, "mirrored_too": True}


@pytest.mark.parametrize("before", [{}, {"model.pt2": b"old", "timing.json": b"old"}])
def test_a_file_that_predicts_differently_is_discarded(run, tmp_path, monkeypatch, before):
    folder = shutil.copytree(run[0], tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    for name, content in before.items():
        (folder / "export").mkdir(exist_ok=True)
        (folder / "export" / name).write_bytes(content)
    monkeypatch.setattr(formats, "trace", lambda model, side: model)
    monkeypatch.setattr(formats, "save_program", lambda program, path, facts: path.write_bytes(b"new"))
    monkeypatch.setattr(formats, "open_program", lambda path: lambda images: torch.eye(3)[:1].repeat(len(images), 1))
    with pytest.raises(RunError, match=r"model\.pt2 does not match the run's model: .* The file was discarded"):
        export_run(folder, root=tmp_path, log=str)
    assert {path.name: path.read_bytes() for path in folder.glob("export/*")} == before


def test_files_of_an_earlier_export_do_not_stay_beside_new_ones(run, tmp_path, monkeypatch):
    folder = shutil.copytree(run[0], tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    (folder / "export").mkdir()
    (folder / "export" / "model.onnx").write_bytes(b"old")
    model = torch.inference_mode()(DeployedModel(load_best_model(folder), read_run(folder).recipe))
    monkeypatch.setattr(formats, "trace", lambda model, side: model)
    monkeypatch.setattr(formats, "save_program", lambda program, path, facts: path.write_bytes(b"new"))
    monkeypatch.setattr(formats, "open_program", lambda path: model)
    assert sorted(path.name for path in export_run(folder, root=tmp_path, log=str).iterdir()) == [
        "model.pt2",
        "preprocessing.json",
    ]


def test_the_comparison_names_the_largest_differences():
    photos = verify.SamplePhotos(torch.zeros(3, 1), "three", None)
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    batches = []

    def predict(shift):
        def say(images):
            batches.append(len(images))
            first = 0 if len(images) == 1 else 1
            return (logits + shift)[first : first + len(images)]

        return say

    nearly = torch.tensor([[0.0, 0.0], [0.0, 0.0], [2e-4, 0.0]])
    found = verify.compare_models("m", predict(nearly), predict(torch.zeros(1)), photos)
    assert batches == [1, 2, 1, 2]
    assert found["logits_max_difference"] == pytest.approx(2e-4, rel=1e-3)
    # The slope of softmax at (2, 0) is p (1 - p), p = 1 / (1 + exp(-2)).
    assert found["probabilities_max_difference"] == pytest.approx(2e-4 * 0.10499, rel=1e-2)
    with pytest.raises(RunError, match="0 of 3 predictions differ, probabilities by up to"):
        verify.compare_models("m", predict(nearly * 100), predict(torch.zeros(1)), photos)
    with pytest.raises(RunError, match="probabilities by up to nan"):
        verify.compare_models("m", predict(nearly * float("nan")), predict(torch.zeros(1)), photos)
    with pytest.raises(RunError, match="1 of 3 predictions differ"):
        verify.compare_models("m", predict(-nearly * 15000), predict(torch.zeros(1)), photos)


def test_without_the_run_s_photos_drawn_ones_are_used_and_named(run, tmp_path, grow):
    folder, photos = run
    finished = read_run(folder)
    moved = verify.sample_photos(finished, tmp_path, data=str(photos), most=4)
    assert moved.source == "4 of the run's 10 validation photos"
    assert moved.stored.shape == (4, 3)
    other = grow({"rose": 1, "tulip": 1})
    with pytest.raises(PhotosError, match="none of the run's 10 validation photos is in"):
        verify.sample_photos(finished, tmp_path, data=str(other))
    gone = replace(finished, recipe=replace(finished.recipe, dataset=str(tmp_path / "gone")))
    drawn = verify.sample_photos(gone, tmp_path, most=6)
    assert drawn.source.startswith("6 drawn photos; the run's own are not available: dataset = ")
    assert drawn.images.shape == (6, 3, 48, 48)
    assert drawn.stored is None
    far = replace(gone, recipe=replace(gone.recipe, dataset="flower_photos"))
    assert "flower_photos is not downloaded yet" in verify.sample_photos(far, tmp_path, most=1).source


def test_missing_packages_are_named_with_the_remedy(run, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ParameterError, match=r"onnx: python -m pip install -r requirements-export\.txt"):
        export_run(folder, onnx=True)
    assert main(["export", str(folder), "--time"]) == 1
    assert "requirements-export.txt" in capsys.readouterr().err


def test_an_unusable_run_is_refused(run, tmp_path, capsys):
    folder = shutil.copytree(run[0], tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    (folder / "best_model.pth").rename(tmp_path / "aside")
    assert main(["export", str(folder)]) == 1
    assert "best_model.pth does not exist" in capsys.readouterr().err
    (tmp_path / "aside").rename(folder / "best_model.pth")
    facts = json.loads((folder / "best_model.json").read_text())
    files.write_json(folder / "best_model.json", facts | {"val_resize": 99})
    with pytest.raises(RunError, match=r"val_resize in best_model\.json and recipe\.json differs"):
        export_run(folder)
    (folder / "recipe.json").unlink()
    with pytest.raises(RunError, match="without a recipe, preprocessing is unknown"):
        export_run(folder)
    (folder / "results.json").unlink()
    with pytest.raises(RunError):
        export_run(folder)
    assert not (folder / "export").exists()


def test_speeds_are_photos_per_second_and_ratios_are_taken_round_by_round(monkeypatch):
    """With a slice of 0, a round is two calls: one that warms up and chooses their number, and the one measured."""
    clock, threads = [0.0], set()
    cost = {"slow": [9.0, 4.0, 9.0, 2.0], "fast": [9.0, 1.0, 9.0, 1.0]}  # CPU seconds of each call
    monkeypatch.setattr(export_timing.time, "process_time", lambda: clock[0])
    monkeypatch.setattr(export_timing, "SLICE", 0.0)

    def engine(name):
        costs = iter(cost[name])

        def model(images):
            threads.add(torch.get_num_threads())
            clock[0] += next(costs)

        return model

    before = torch.get_num_threads()
    engines = {name: engine(name) for name in cost}
    timing = export_timing.measure(engines, torch.zeros(3, 3, 8, 8), batches=(8,), rounds=2)
    slow, fast = timing["rows"]
    assert slow["photos_per_second"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert fast["photos_per_second"]["median"] == 8.0
    assert fast["ratio"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert (threads, torch.get_num_threads()) == ({1}, before)
    assert export_timing.timing_table(timing).splitlines()[2].split() == (
        ["8", "fast", "8.0", "(8.0", "to", "8.0)", "3.00", "(2.00", "to", "4.00)"]
    )


def test_a_coarse_clock_is_waited_for(monkeypatch):
    milliseconds = [0]
    monkeypatch.setattr(export_timing.time, "process_time", lambda: milliseconds[0] * 64 // 1000 / 64)  # as on Windows

    def model(images):
        milliseconds[0] += 1

    (row,) = export_timing.measure({"PyTorch": model}, torch.zeros(1, 3, 8, 8), batches=(1,), rounds=3)["rows"]
    assert row["photos_per_second"]["low"] == pytest.approx(1000, rel=0.1)  # a tick is a sixteenth of a slice
    assert row["photos_per_second"]["high"] == pytest.approx(1000, rel=0.1)


def test_classify_py_prepares_real_photos_identically(real_folder):
    pytest.importorskip("onnxruntime", reason="requirements-export.txt is not installed")
    from helpers.inference.export import classify

    recipe = Recipe.from_preset("published")
    steps = _steps(recipe.val_resize, recipe.val_size, list(IMAGENET_MEAN), list(IMAGENET_STD))
    for path in sorted(real_folder.glob("*/*.jpg"))[::100]:
        ours = val_transform(recipe)(load_photo(path))
        # Measured: no difference at all. Another processor may round a last bit otherwise.
        np.testing.assert_allclose(classify.preprocess(path, steps)[0], ours, atol=1e-6)
