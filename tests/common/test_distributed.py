"""Two processes train as one would: gradients, statistics, metrics, files; when one dies, the others end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from helpers.commands import main
from helpers.common import distributed
from helpers.models import freeze
from helpers.models.freezing import FrozenStatsBatchNorm2d
from helpers.runs.history import History

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TOGETHER = ["launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
QUIET = ["--mixed_precision", "no", "--dynamo_backend", "no"]
PARAMETERS = """
preset: demo
demo_photos: 12
dataset: demo
device: cpu
precision: fp32
backbone: squeezenet1_1  # no batch normalization, whose small batches would magnify rounding
weights: none
image_size: 64
crop_size: 128
val_resize: 72
batch_size: 11
dropout: 0.0
lr: 0.002
"""


def environment(folder):
    ours = {"FLOWERS_WORK_DIR": str(folder), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return {**{k: v for k, v in os.environ.items() if not k.startswith("ACCELERATE")}, **ours}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Train the same recipe by one process and by two, which compare single steps before."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "small.yaml").write_text(PARAMETERS + "epochs: 2\n")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWERS_WORK_DIR", str(folder))
        torch.set_num_threads(1)
        assert main(["train", "-f", str(folder / "small.yaml"), "-p", "run", "alone", "--no-notebook"]) == 0
        torch.set_num_threads(threads)
    together = [BIN / "accelerate", *TOGETHER, *QUIET, ROOT / "tests" / "common" / "two_processes.py"]
    together += ["train", "-f", folder / "small.yaml", "-p", "run", "together"]
    done = subprocess.run(together, capture_output=True, text=True, timeout=400, env=environment(folder), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def findings(runs):
    return json.loads(runs[1].splitlines()[0])


@pytest.mark.parametrize("photos", ["even", "ragged", "lonely"])
def test_a_shared_step_equals_the_step_of_one_process(findings, photos):
    gradient, statistics = findings[photos]
    assert findings["processes"] == 2
    assert gradient < 2e-4  # of its norm; float32 itself is off by as much where statistics come from few values
    assert statistics < 1e-4


def test_loss_accuracy_and_predictions_are_those_of_all_photos(findings):
    (loss, accuracy, logits, labels), (shared_loss, shared_accuracy, shared_logits, shared_labels) = (
        findings["alone"],
        findings["together"],
    )
    assert shared_loss == pytest.approx(loss, rel=1e-4)
    assert shared_accuracy == accuracy
    assert shared_labels == labels
    assert shared_logits == pytest.approx(logits, abs=1e-4)


def test_frozen_statistics_stay_and_the_others_are_shared(findings):
    statistics = {f"{layer}.{name}" for layer in (1, 3) for name in ("running_mean", "running_var")}
    assert statistics <= set(findings["nothing frozen"])
    assert not statistics & set(findings["norms frozen"])
    assert "1.weight" in findings["norms frozen"]
    assert {name.split(".")[0] for name in findings["half frozen"]} == {"2", "3", "6"}


def test_batch_norm_on_a_gpu_is_pytorchs_own_where_it_is_not_frozen(monkeypatch):
    class OnGpu:
        device = torch.device("cuda")

    model = freeze(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)), norms=True)
    model.insert(2, nn.BatchNorm2d(4))
    for norm in model[1:3]:
        monkeypatch.setitem(norm._parameters, "weight", OnGpu())
    monkeypatch.setattr(nn.SyncBatchNorm, "convert_sync_batchnorm", lambda norm: nn.SyncBatchNorm(norm.num_features))
    distributed._share_batch_norm(model)
    assert [type(norm) for norm in model[1:3]] == [FrozenStatsBatchNorm2d, nn.SyncBatchNorm]


def test_more_processes_than_photos_in_a_batch_are_refused_by_name(findings):
    assert findings["refusal"].startswith("2 processes share each batch of 1 photos: start at most 1")


def test_all_processes_agree_with_the_first(findings):
    assert findings["agreed"] == ["said by 0", "said by 0"]


def test_alone_nothing_is_shared():
    assert (distributed.world_size(), distributed.rank(), distributed.is_main()) == (1, 0, True)
    assert distributed.shares(7, 3) == [slice(0, 3, 1), slice(3, 6, 1), slice(6, 7, 1)]
    network = torch.nn.Linear(1, 1)
    assert distributed.wrap_ddp(network) is network
    assert [float(value) for value in distributed.all_reduce_sum(torch.tensor(3), 0.5)] == [3.0, 0.5]


def test_two_processes_reach_the_weights_of_one(runs):
    folder, _ = runs
    alone, together = (torch.load(folder / name / "last.ckpt", weights_only=True) for name in ("alone", "together"))
    for name, value in alone["model"].items():
        assert torch.allclose(value, together["model"][name], atol=5e-5), name  # measured: 1e-5 or 2e-5, by processor
    for one, two in zip(*(History.read(folder / name) for name in ("alone", "together")), strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, abs=1e-4)
        assert two.val_loss == pytest.approx(one.val_loss, abs=1e-4)
        assert two.val_accuracy == one.val_accuracy


def test_a_resumed_training_keeps_its_split(runs, monkeypatch, capsys):
    folder, _ = runs
    path = folder / "alone" / "split.csv"
    swap = {"train": "val", "val": "train", "subset": "subset"}
    rows = [line.rsplit(",", 1) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{photo},{swap[side]}\n" for photo, side in rows))
    for checkpoint in (folder / "alone").glob("*.ckpt"):  # of the split before, with which the run would be refused
        checkpoint.unlink()
    before = path.read_bytes()
    monkeypatch.setenv("FLOWERS_WORK_DIR", str(folder))
    assert main(["train", "-f", str(folder / "small.yaml"), "-p", "run", "alone", "--no-notebook"]) == 0
    assert not (folder / "alone-2").exists()
    assert path.read_bytes() == before
    assert f"the split is that of {path}" in capsys.readouterr().out


def test_only_the_first_process_writes_and_prints(runs):
    folder, output = runs
    before = output.split("continues an unfinished run")[0]  # what follows is the notebook's
    assert before.count("Epoch 0/1") == before.count("Epoch 1/1") == 1
    assert "2 processes, 48 training and 12 validation photos" in before
    assert sorted(path.name for path in folder.iterdir()) == ["alone", "small.yaml", "together"]


def test_the_notebook_opens_the_run_and_completes_its_folder(runs):
    folder, output = runs
    run = folder / "together"
    results = json.loads((run / "results.json").read_text())
    assert results["epochs"] == 2
    assert "accuracy" in output
    assert (run / "flower_classification.ipynb").is_file()
    assert (run / "figures" / "curves.png").is_file()
    facts = json.loads((run / "environment.json").read_text())
    assert facts["processes"] == 1
    assert facts["before"][0]["processes"] == 2


def test_a_dying_process_ends_the_others_within_a_minute_with_its_reason(tmp_path):
    (tmp_path / "long.yaml").write_text(PARAMETERS + "epochs: 5000\n")
    command = [BIN / "accelerate", *TOGETHER, *QUIET, "-m", "helpers", "train", "-f", tmp_path / "long.yaml"]
    with open(tmp_path / "log", "w") as log:
        launcher = subprocess.Popen(command, stdout=log, stderr=log, env=environment(tmp_path), cwd=ROOT)
        try:
            deadline = time.monotonic() + 240
            while "val Loss" not in (tmp_path / "log").read_text():
                assert time.monotonic() < deadline
                assert launcher.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
            workers = {
                child.environ()["RANK"]: child
                for child in psutil.Process(launcher.pid).children(recursive=True)
                if "RANK" in child.environ()
            }
            workers["1"].send_signal(signal.SIGKILL)
            killed = time.monotonic()
            assert launcher.wait(timeout=60) != 0
            _gone, alive = psutil.wait_procs(workers.values(), timeout=60 - (time.monotonic() - killed))
            assert not alive
        finally:
            launcher.kill()
    assert "SIGKILL" in (tmp_path / "log").read_text()
