"""The GPU benchmark, tried on the processor at toy size."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from benchmarks import gpu
from helpers.commands import _parser
from helpers.commands import run as run_command
from helpers.commands.parameters import parameters_of, recipe_of
from helpers.data.split import Split
from tests.conftest import ROOT

TOY = ["--device", "cpu", "--photos", "20", "--epochs", "2", "--image-size", "32", "--weights", "none"]
DONE = SimpleNamespace(returncode=0, stderr="")


def test_the_benchmark_runs_unattended_and_writes_its_numbers(grow, tmp_path, monkeypatch, capsys):
    executed = []  # what would be slow
    run = SimpleNamespace(run=lambda command, **options: executed.append(command) or DONE)
    monkeypatch.setattr(gpu, "subprocess", run)
    data, output = str(grow({"rose": 10, "tulip": 10})), tmp_path / "gpu.json"
    command = [*TOY, "--data", data, "--backbone", "shufflenet_v2_x0_5", "--output", str(output)]
    assert gpu.main(command) == 0
    found = json.loads(output.read_text())
    assert found["train_photos"] == 16
    assert min(found["import_seconds"], found["whole_run_seconds"]) >= 0
    imported, whole = executed
    assert subprocess.run(imported, cwd=ROOT, check=False).returncode == 0
    options = _parser("run", run_command).parse_args(whole[4:])  # the notebook itself is executed by other tests
    assert recipe_of(parameters_of(options)).epochs == 2
    assert found["two_runs_bit_identical"] is True
    assert found["moved_between_devices_epochs"] == [1, 2, 3]
    assert found["published_25_epochs_seconds"] > 12 * found["epoch_seconds"] > 0
    assert found["cuda_graphs_speedup"] == "not tried: needs a GPU"
    assert str(tmp_path) not in output.read_text()
    assert "| `published_25_epochs_seconds` |" in capsys.readouterr().out


def test_photos_are_repeated_to_the_courses_number():
    split = gpu.repeated(Split((0, 1, 2), (3, 4)), 20)
    assert (len(split.train), len(split.val)) == (16, 4)
    assert set(split.train) == {0, 1, 2}
    assert set(split.val) == {3, 4}


@pytest.mark.skipif(gpu.torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_benchmark_says_how_to_try_it(capsys):
    assert gpu.main([]) == 1
    assert "--device cpu --photos 40" in capsys.readouterr().err
