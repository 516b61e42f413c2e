"""A run as a file for use elsewhere: it answers as the run does, without this project, or it is not kept."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers.commands import export as export_command
from helpers.common import files
from helpers.common.errors import ParameterError, PhotosError, RunError
from helpers.data.augmentation import IMAGENET_MEAN, IMAGENET_STD, val_transform
from helpers.data.decode import load_photo
from helpers.evaluation.predictions import Predictions
from helpers.inference.export import formats, verify
from helpers.inference.export import timing as export_timing
from helpers.inference.export.export import _move, _sweep, export_run
from helpers.inference.export.formats import Deployed
from helpers.inference.export.preprocessing import _steps, describe
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe
from helpers.runs.finished import read_run
from helpers.runs.history import Epoch, History
from helpers.runs.saving import load_best_model
from tests.conftest import ROOT, colourful
from tests.tiny import a_run, random_model, tiny_results

CLASSES = ("rose", "tulip", "weed")
ODD = ("portrait.jpg", "turned.jpg", "grey.png", "glass.png")  # photos that preparing may get wrong


def made(root, weights="none", photos=None, **changes):
    """A finished run of a SqueezeNet on photos in ``root/photos``, and their folder."""
    photos = photos or grown(root / "photos")
    changes = {"image_size": 48, "val_resize": 54, "backbone": "squeezenet1_1"} | changes
    recipe = Recipe.from_preset("seed", dataset=str(photos), weights=weights, **changes)
    run = a_run(root / "work_dir" / "a", recipe)
    model = random_model(recipe.backbone, len(CLASSES), recipe.dropout, seed=4, weights=weights)
    best = Epoch(0, 0.05, 0.7, 0.5, 0.6, 0.5)
    run.save_best(model.state_dict(), best, CLASSES)
    run.save_history(History([best]))
    files.write_json(run.folder / "recipe.json", recipe.to_dict())
    files.write_json(run.folder / "environment.json", {"precision": "float32", "data_fingerprint": "f"})
    names = sorted(path.relative_to(photos).as_posix() for path in photos.glob("*/*"))[:40]
    tested = with_tta(load_best_model(run.folder), recipe)
    images = [val_transform(recipe)(load_photo(photos / name)) for name in names]
    with torch.inference_mode():
        shares = torch.cat([tested(image[None]).softmax(1) for image in images])
    run.save_predictions(Predictions(shares.log(), shares.argmax(1)), names, CLASSES)
    shares = {"best_val_accuracy": 1.0, "interval_low": 0.6, "interval_high": 1.0}
    run.save_results(tiny_results(classes=list(CLASSES), photos=99, val_photos=len(names), **shares))
    return run.folder, photos


def grown(folder):
    """Photos of odd kinds in two class folders."""
    for name in ("rose", "tulip"):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            colourful((90 + 7 * i, 61), 10 * len(name) + i).save(folder / name / f"{i}.jpg")
    colourful((61, 99), 1).save(folder / "rose" / ODD[0])
    turned = Image.Exif()
    turned[0x0112] = 6
    colourful((80, 60), 2).save(folder / "rose" / ODD[1], exif=turned)
    colourful((75, 70), 3).convert("L").save(folder / "tulip" / ODD[2])
    glass = colourful((70, 70), 4).convert("RGBA")
    glass.putalpha(90)
    glass.save(folder / "tulip" / ODD[3])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def done(run):
    """The run exported with everything, and what was said about it."""
    pytest.importorskip("onnxruntime", reason="requirements-export.txt is not installed")
    folder, _ = run
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_timing, "SLICE", 0.0)
        target = export_run(folder, root=folder.parent, onnx=True, timing=True, log=said.append)
    return target, said, json.loads((target / "preprocessing.json").read_text())


def test_both_files_answer_as_the_run_does_alone_and_in_batches(run, done):
    folder, _ = run
    target, said, facts = done
    assert said[0] == "checked on 10 of the run's 10 validation photos"
    assert said[3].startswith("predictions.csv, computed in float32: 10 of 10 calls the same")
    assert facts["check"]["against_predictions_csv"]["probabilities_max_difference"] < 1e-5
    for name in ("model.pt2", "model.onnx"):
        assert facts["files"][name]["logits_max_difference"] < 1e-4
        assert facts["files"][name]["same_calls"] is True
    model = load_best_model(folder)
    images = torch.randn(5, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits = model(images)
    for answer in (formats.open_program(target / "model.pt2"), formats.open_onnx(target / "model.onnx")):
        for part in (slice(0, 1), slice(1, 3), slice(0, 5)):
            torch.testing.assert_close(answer(images[part]), logits[part], atol=1e-4, rtol=0)


def test_the_speed_of_all_three_is_written_down(done):
    target, said, _ = done
    rows = json.loads((target / "timing.json").read_text())["rows"]
    assert [row["engine"] for row in rows] == ["PyTorch", "exported program", "ONNX Runtime"] * 2
    assert [row["batch"] for row in rows] == [1] * 3 + [32] * 3
    assert all(row["photos_per_second"]["low"] > 0 for row in rows)
    assert "ONNX Runtime" in said[-1]


def test_everything_that_a_stranger_needs_is_written_down(done):
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
    assert facts["model"]["accuracy"]["interval_95"] == [0.6, 1.0]
    assert facts["model"]["accuracy"]["photos"] == 10
    for name, file in facts["files"].items():
        assert file["sha256"] == hashlib.sha256((target / name).read_bytes()).hexdigest()


def test_the_same_stands_inside_the_files(done):
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


def test_the_files_say_nothing_of_this_machine(done):
    """torch writes the paths of all sources into both kinds of file, unless it is kept from it."""
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


@pytest.mark.parametrize("module", ["torch", "helpers"])
def test_the_script_beside_the_model_needs_neither_torch_nor_this_project(run, done, module):
    folder, photos = run
    target, _, _ = done
    called = read_run(folder).predictions
    # None in sys.modules makes an import fail.
    program = (
        "import sys, runpy; sys.modules.update(torch=None, torchvision=None, helpers=None); "
        "script, *sys.argv[1:] = sys.argv[1:]; runpy.run_path(script, run_name='__main__'); "
        f"assert sys.modules[{module!r}] is None"
    )
    paths = [str(photos / name) for name in called.names]
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, target / "classify.py", target / "model.onnx", *paths],
        capture_output=True,
        text=True,
        check=True,
        cwd=target,
    )
    for line, path, stored in zip(done.stdout.splitlines(), paths, called.probabilities.tolist(), strict=True):
        name, _, answers = line.rpartition(": ")
        assert name == path
        shares = dict(answer.split() for answer in answers.split(", "))
        # Printed with six decimals; measured: no difference in any of them.
        assert [float(shares[each]) for each in CLASSES] == pytest.approx(stored, abs=3e-6)


def test_views_at_test_time_are_inside_the_file(tmp_path):
    recipe = Recipe.from_preset("seed", image_size=48, val_resize=54, test_flip=True)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    program = formats.trace(Deployed(net, recipe), 48)
    formats.save_program(program, tmp_path / "m.pt2", {})
    answer = formats.open_program(tmp_path / "m.pt2")
    images = torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        torch.testing.assert_close(answer(images), with_tta(net, recipe)(images), atol=1e-6, rtol=0)
        torch.testing.assert_close(answer(images), answer(images.flip(-1)), atol=1e-5, rtol=0)
        assert (answer(images) - net(images)).abs().max() > 1e-3


def test_views_are_written_down(run):
    finished = read_run(run[0])
    views = describe(replace(finished, recipe=replace(finished.recipe, test_flip=True)))["views"]
    assert views == {"inside_the_model": True, "mirrored_too": True}


@pytest.mark.parametrize("before", [{}, {"model.pt2": b"old", "timing.json": b"old"}])
def test_a_file_that_answers_otherwise_is_not_kept(run, tmp_path, monkeypatch, before):
    folder = shutil.copytree(run[0], tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    for name, content in before.items():
        (folder / "export").mkdir(exist_ok=True)
        (folder / "export" / name).write_bytes(content)
    monkeypatch.setattr(formats, "trace", lambda model, side: model)
    monkeypatch.setattr(formats, "save_program", lambda program, path, facts: path.write_bytes(b"new"))
    monkeypatch.setattr(formats, "open_program", lambda path: lambda images: torch.eye(3)[:1].repeat(len(images), 1))
    with pytest.raises(RunError, match=r"model\.pt2 is not the run's model: .* It was not kept"):
        export_run(folder, root=tmp_path, log=str)
    assert {path.name: path.read_bytes() for path in folder.glob("export/*")} == before
    assert not list(folder.glob(".export-*"))


def test_what_a_killed_export_left_is_removed_when_it_is_old(tmp_path):
    for name, age in ((".export-old", 4000), (".export-young", 10)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    _sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".export-young"]


def test_what_an_earlier_export_left_does_not_stay_beside_a_new_one(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).write_text(name)
    _move(tmp_path / "new", tmp_path / "model.pt2")
    _move(tmp_path / "missing", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


def test_the_comparison_names_the_largest_differences():
    photos = verify.Photos(torch.zeros(3, 1), "three", None)
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    asked = []

    def answer(shift):
        def say(images):
            asked.append(len(images))
            first = 0 if len(images) == 1 else 1
            return (logits + shift)[first : first + len(images)]

        return say

    nearly = torch.tensor([[0.0, 0.0], [0.0, 0.0], [2e-4, 0.0]])
    found = verify.compare("m", answer(nearly), answer(torch.zeros(1)), photos)
    assert asked == [1, 2, 1, 2]
    assert found["logits_max_difference"] == pytest.approx(2e-4, rel=1e-3)
    # The slope of softmax at (2, 0) is p (1 - p), p = 1 / (1 + exp(-2)).
    assert found["probabilities_max_difference"] == pytest.approx(2e-4 * 0.10499, rel=1e-2)
    with pytest.raises(RunError, match="0 of 3 calls differ, probabilities by up to"):
        verify.compare("m", answer(nearly * 100), answer(torch.zeros(1)), photos)
    with pytest.raises(RunError, match="probabilities by up to nan"):
        verify.compare("m", answer(nearly * float("nan")), answer(torch.zeros(1)), photos)
    with pytest.raises(RunError, match="1 of 3 calls differ"):
        verify.compare("m", answer(-nearly * 15000), answer(torch.zeros(1)), photos)


def test_without_its_photos_drawn_ones_are_used_and_said_to_be(run, tmp_path, grow):
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
    assert drawn.source.startswith("6 drawn photos, for the run's own could not be had: dataset = ")
    assert drawn.images.shape == (6, 3, 48, 48)
    assert drawn.stored is None
    far = replace(gone, recipe=replace(gone.recipe, dataset="flower_photos"))
    assert "flower_photos is not downloaded yet" in verify.sample_photos(far, tmp_path, most=1).source


def test_missing_packages_are_named_with_the_remedy(run, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ParameterError, match=r"onnx: python -m pip install -r requirements-export\.txt"):
        export_run(folder, onnx=True)
    assert export_command.main([str(folder), "--time"]) == 1
    assert "requirements-export.txt" in capsys.readouterr().err


def test_what_cannot_be_exported_is_refused(run, tmp_path, capsys):
    folder = shutil.copytree(run[0], tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    (folder / "best_model.pth").rename(tmp_path / "aside")
    assert export_command.main([str(folder)]) == 1
    assert "best_model.pth does not exist" in capsys.readouterr().err
    (tmp_path / "aside").rename(folder / "best_model.pth")
    facts = json.loads((folder / "best_model.json").read_text())
    files.write_json(folder / "best_model.json", facts | {"val_resize": 99})
    with pytest.raises(RunError, match=r"val_resize is 54 in recipe\.json and 99 in best_model\.json"):
        export_run(folder)
    (folder / "recipe.json").unlink()
    with pytest.raises(RunError, match="without a recipe nobody knows"):
        export_run(folder)
    (folder / "results.json").unlink()
    with pytest.raises(RunError):
        export_run(folder)
    assert not (folder / "export").exists()


def test_speeds_are_photos_by_seconds_and_ratios_round_by_round(monkeypatch):
    clock = [0.0]
    cost = {"slow": [4.0, 2.0], "fast": [1.0, 1.0]}  # seconds a call takes in each of two rounds
    monkeypatch.setattr(export_timing.time, "process_time", lambda: clock[0])
    monkeypatch.setattr(export_timing, "SLICE", 0.0)  # one call per round

    def engine(name):
        calls = [0]

        def answer(images):
            clock[0] += cost[name][max(0, calls[0] - 1)]  # one call comes first: warming up
            calls[0] += 1
            return images

        return answer

    threads = torch.get_num_threads()
    engines = {name: engine(name) for name in cost}
    timing = export_timing.measure(engines, torch.zeros(3, 3, 8, 8), batches=(8,), rounds=2)
    slow, fast = timing["rows"]
    assert slow["photos_per_second"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert fast["photos_per_second"]["median"] == 8.0
    assert fast["ratio"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert torch.get_num_threads() == threads
    assert "1 threads" in timing["machine"]
    assert export_timing.as_text(timing).splitlines()[2].split() == (
        ["8", "fast", "8.0", "(8.0", "to", "8.0)", "3.00", "(2.00", "to", "4.00)"]
    )


def test_a_clock_that_ticks_coarsely_is_waited_for(monkeypatch):
    milliseconds = [0]
    monkeypatch.setattr(export_timing.time, "process_time", lambda: milliseconds[0] * 64 // 1000 / 64)  # as on Windows

    def answer(images):
        milliseconds[0] += 1
        return images

    (row,) = export_timing.measure({"PyTorch": answer}, torch.zeros(1, 3, 8, 8), batches=(1,), rounds=3)["rows"]
    assert row["photos_per_second"]["low"] == pytest.approx(1000, rel=0.07)  # a tick is a sixteenth of a slice
    assert row["photos_per_second"]["high"] == pytest.approx(1000, rel=0.07)


def test_real_photos_are_prepared_alike(real_folder):
    pytest.importorskip("onnxruntime", reason="requirements-export.txt is not installed")
    from helpers.inference.export import classify

    recipe = Recipe.from_preset("seed")
    steps = _steps(recipe.val_resize, recipe.val_size, list(IMAGENET_MEAN), list(IMAGENET_STD))
    for path in sorted(real_folder.glob("*/*.jpg"))[::100]:
        ours = val_transform(recipe)(load_photo(path))
        # Measured: no difference at all. Another processor may round a last bit otherwise.
        np.testing.assert_allclose(classify.prepare(path, steps)[0], ours, atol=1e-6)
