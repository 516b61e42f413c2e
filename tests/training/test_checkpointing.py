"""Interrupted, killed or damaged: a run resumes bit-identically, or says why not."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from helpers.common import tensors
from helpers.common.errors import RunError
from helpers.models.head import find_head
from helpers.training import checkpointing, make_optimizer, make_schedule, setup
from tests.faults.kills import digests, kill_often
from tests.tiny import Tiny, a_run, forked, start_python, stop_at, tiny_fit, tiny_loaders, tiny_model, tiny_recipe


def make_checkpointer(folder, recipe):
    model = tiny_model()
    optimizer = make_optimizer(model, recipe)
    schedule = make_schedule(optimizer, recipe)
    return checkpointing.Checkpointer(a_run(folder, recipe), model, optimizer, schedule, tiny_loaders(recipe))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    tiny_fit(folder, tiny_recipe())
    return digests(folder)


def test_killed_at_random_moments_it_resumes_bit_identically(tmp_path, capfd):
    outcome = kill_often(20, tmp_path, seed=int(os.environ.get("PYTEST_SEED", "7")))
    print(outcome)
    assert outcome.different == []
    assert outcome.identical == 20
    assert outcome.lost == outcome.outside == 0
    assert outcome.most_repeated <= 2
    assert outcome.reads > 20


def test_checkpoint_steps_are_the_most_that_are_repeated(tmp_path, monkeypatch):
    saved = []
    save = checkpointing.Checkpointer.save
    monkeypatch.setattr(
        checkpointing.Checkpointer, "save", lambda self: (saved.append(self.unsaved is not None), save(self))
    )
    tiny_fit(tmp_path, tiny_recipe(epochs=2, checkpoint_steps=1))
    assert sum(saved) == 2 * 3 + 2  # after each step, and at each end of an epoch


def test_the_cost_of_saving_decides_how_often_it_is_done(tmp_path):
    checkpointer = make_checkpointer(tmp_path, tiny_recipe())
    checkpointer.cost = 1.0
    checkpointer.last_save -= 99
    assert not checkpointer.is_due(checkpointing.TrainingState())
    checkpointer.last_save -= 2
    assert checkpointer.is_due(checkpointing.TrainingState())


def test_snapshots_are_copied_to_the_cpu():
    """On the device, model, momenta and best model would be held twice. (A fake GPU: tensors without numbers.)"""
    with FakeTensorMode():
        state = {"model": {"weight": torch.empty(3, 4, device="cuda")}, "optimizer": [torch.empty(2, device="cuda")]}
        copied = checkpointing._copy_to_cpu(state)
        assert copied["model"]["weight"].device.type == copied["optimizer"][0].device.type == "cpu"
    weights = torch.ones(2)
    copied = checkpointing._copy_to_cpu([weights])
    weights.add_(1)
    assert copied[0].tolist() == [1, 1]  # on the CPU too it is a copy


@pytest.mark.parametrize("how", ["cut off", "bit flipped", "emptied", "code inside"])
def test_of_a_damaged_checkpoint_the_previous_one_is_used(tmp_path, whole, how):
    recipe = tiny_recipe(checkpoint_steps=1)
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, recipe, after_step=stop_at(4))
    path, dice = tmp_path / "last.ckpt", random.Random(how)
    content = path.read_bytes()
    assert (tmp_path / "previous.ckpt").exists()
    for _ in range(1 if how in ("emptied", "code inside") else 12):
        place = dice.randrange(len(content))
        damaged = {
            "cut off": content[:place],
            "bit flipped": content[:place] + bytes([content[place] ^ 1 << dice.randrange(8)]) + content[place + 1 :],
            "emptied": b"",
            "code inside": b"cposix\nsystem\n(S'touch " + str(tmp_path / "canary").encode() + b"'\ntR.",
        }[how]
        path.write_bytes(damaged)
        lines = []
        state = make_checkpointer(tmp_path, recipe).restore(lines.append)
        if "previous.ckpt is used instead" in " ".join(lines):
            assert (len(state.history), state.meter.steps) == (1, 1)
        else:  # a flipped bit that means nothing: padding, or a field that nobody reads
            assert how == "bit flipped"
            assert (len(state.history), state.meter.steps) == (1, 2)
    path.write_bytes(damaged)
    tiny_fit(tmp_path, recipe)
    assert digests(tmp_path) == whole
    assert not (tmp_path / "canary").exists()


def test_if_every_checkpoint_is_damaged_the_training_begins_anew_and_says_so(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(checkpoint_steps=1), after_step=stop_at(4))
    for name in ("last.ckpt", "previous.ckpt"):
        (tmp_path / name).write_bytes(b"PK")
    lines = []
    tiny_fit(tmp_path, tiny_recipe(), lines.append)
    assert "no checkpoint can be used: the training begins anew" in lines
    assert digests(tmp_path) == whole


def test_every_flipped_bit_of_the_best_model_is_noticed_or_harmless(tmp_path):
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    path = tmp_path / "best_model.pth"
    content, noticed = path.read_bytes(), 0
    weights = tensors.load_tensors(path)
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            found = tensors.load_tensors(path)
        except RunError:
            noticed += 1
        else:
            assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert noticed > 0.3 * len(range(0, len(content), 7))


def test_a_best_model_that_was_damaged_is_written_again(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=stop_at(7))
    (tmp_path / "best_model.pth").write_bytes(b"rubbish")
    (tmp_path / "best_model.json").unlink()
    tiny_fit(tmp_path, tiny_recipe())
    assert digests(tmp_path) == whole


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=stop_at(4))
    other = Tiny(torch.nn.Flatten(), torch.nn.Linear(768, 2))
    with pytest.raises(RunError, match="saved by another model: start anew with resume = False"):
        tiny_fit(tmp_path, tiny_recipe(), model=other)


def test_resuming_on_another_machine_or_with_less_memory_is_logged(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=stop_at(4))
    state = tensors.load_tensors(tmp_path / "last.ckpt")
    state["machine"] = state["machine"].replace("photos in memory", "photos from disk")
    tensors.save_tensors(tmp_path / "last.ckpt", state)
    lines = []
    assert len(tiny_fit(tmp_path, tiny_recipe(), lines.append).history) == 3
    begun, now = next(line for line in lines if "it was begun on" in line).split("and goes on with")
    assert "photos from disk" in begun
    assert "cpu (float32" in now
    assert "photos in memory" in now


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of file sizes as on Linux")
def test_a_quota_stops_the_training_with_path_and_need_and_leaves_the_last_good_files(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(epochs=6), after_step=stop_at(7))
    before = digests(tmp_path)

    def over_quota():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with pytest.raises(RunError) as refused:
            tiny_fit(tmp_path, tiny_recipe(epochs=6, checkpoint_steps=1))
        return refused.value

    code, said = forked(over_quota)
    assert code == 0
    assert str(tmp_path) in said
    assert "bytes needed" in said
    assert digests(tmp_path) == before
    tiny_fit(tmp_path, tiny_recipe(epochs=6))
    tiny_fit(tmp_path / "whole", tiny_recipe(epochs=6))
    assert digests(tmp_path) == digests(tmp_path / "whole")


def test_a_full_disk_is_named_and_what_was_saved_before_remains(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk], capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        with pytest.raises(KeyboardInterrupt):
            tiny_fit(disk / "run", tiny_recipe(epochs=6), after_step=stop_at(7))
        before = digests(disk / "run")
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
        (disk / "ballast").write_bytes(b"0" * (free - 4096))
        with pytest.raises(RunError, match=r"No space left on device; [\d,]+ bytes needed.*intact"):
            tiny_fit(disk / "run", tiny_recipe(epochs=6, checkpoint_steps=1))
        assert digests(disk / "run") == before
        (disk / "ballast").unlink()
        assert len(tiny_fit(disk / "run", tiny_recipe(epochs=6)).history) == 6
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_read_only_folder_is_named(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path / "run", tiny_recipe(), after_step=stop_at(4))
    before = digests(tmp_path / "run")
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", tmp_path / "run", tmp_path / "run"], capture_output=True)
    if mounted.returncode:
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere, and mounting is not allowed here")
        (tmp_path / "run").chmod(0o500)
    try:
        with pytest.raises(RunError, match="cannot be written"):
            tiny_fit(tmp_path / "run", tiny_recipe())
    finally:
        if mounted.returncode:
            (tmp_path / "run").chmod(0o700)
        else:
            subprocess.run(["umount", tmp_path / "run"], check=True)
    assert digests(tmp_path / "run") == before


@pytest.mark.parametrize("step", [0, 2, 4, 7])
@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.8},
        {"mixup": 0.4, "cutmix": 1.0, "optimizer": "adamw"},
        {"ema_decay": 0.8, "schedule": "onecycle", "label_smoothing": 0.1},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_every_kind_of_training_resumes_bit_identically(tmp_path, changes, step):
    recipe = tiny_recipe(**changes)
    tiny_fit(tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path / "stopped", recipe, after_step=stop_at(step, signal.SIGINT))
    tiny_fit(tmp_path / "stopped", recipe)
    assert digests(tmp_path / "stopped") == digests(tmp_path / "whole")


TWICE = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(2)
from tests.tiny import tiny_fit, tiny_recipe
for name in ("a", "b"):
    tiny_fit(Path(sys.argv[1]) / name, tiny_recipe())
"""


def test_two_runs_in_each_of_two_processes_are_bit_identical(tmp_path):
    other, threads = (
        start_python(TWICE, tmp_path / "other", env=os.environ | {"PYTHONHASHSEED": "1"}),
        torch.get_num_threads(),
    )
    torch.set_num_threads(2)
    for name in ("a", "b"):
        tiny_fit(tmp_path / "this" / name, tiny_recipe())
    torch.set_num_threads(threads)
    assert other.wait(300) == 0, other.stderr.read()
    first, *others = (digests(tmp_path / process / name) for process in ("this", "other") for name in ("a", "b"))
    assert all(other == first for other in others)


def test_a_checkpoint_holds_plain_values_only(tmp_path):
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del state["model"], state["best"], state["optimizer"]
    assert json.loads(json.dumps(state)) == state


def lay_out(folder, rows, fingerprint):
    folder.mkdir(exist_ok=True)
    (folder / "split.csv").write_text("name,class,subset\n" + "".join(f"{name},a,{side}\n" for name, side in rows))
    (folder / "environment.json").write_text(json.dumps({"data_fingerprint": fingerprint}))


MODEL = ("best_model.pth", "history.csv")
ROWS = [("a/0.jpg", "train"), ("a/1.jpg", "train"), ("a/2.jpg", "val")]


@pytest.mark.parametrize(
    ("rows", "fingerprint", "said"),
    [
        ([*ROWS, ("a/9.jpg", "val")], "other", "1 added, such as a/9.jpg"),
        (ROWS[1:], "other", "1 removed, such as a/0.jpg"),
        (ROWS, "other", "their contents changed"),
        ([ROWS[0], ("a/1.jpg", "val"), ROWS[2]], "same", "1 on the other side of the split, such as a/1.jpg"),
        ([("a/8.jpg", "train"), *ROWS[1:]], "other", "1 added, such as a/8.jpg; 1 removed, such as a/0.jpg"),
    ],
)
def test_a_training_does_not_go_on_with_other_photos(tmp_path, whole, rows, fingerprint, said):
    lay_out(tmp_path, ROWS, "same")
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=stop_at(4))
    lay_out(tmp_path, rows, fingerprint)
    with pytest.raises(RunError, match=r"are not those that it was begun with: .*resume = False") as info:
        tiny_fit(tmp_path, tiny_recipe())
    assert said in str(info.value)
    lay_out(tmp_path, ROWS, "same")  # put back
    tiny_fit(tmp_path, tiny_recipe())
    assert {name: digests(tmp_path)[name] for name in MODEL} == {name: whole[name] for name in MODEL}


def test_the_best_model_is_on_disk_before_the_checkpoint_that_knows_of_it(tmp_path, monkeypatch):
    """A kill between the two would else leave a finished run's checkpoint with an older best model."""
    written, save = [], tensors.save_tensors
    monkeypatch.setattr(tensors, "save_tensors", lambda path, *rest: (written.append(path.name), save(path, *rest)))
    tiny_fit(tmp_path, tiny_recipe(epochs=1, checkpoint_steps=100))
    assert written == ["best_model.pth", "last.ckpt"]


def test_the_linear_probe_is_not_repeated_when_a_run_resumes(tmp_path, monkeypatch):
    """It would undo what was trained since."""
    calls = []

    def probe(model, *_):
        calls.append(1)
        with torch.no_grad():
            find_head(model)[1].weight.fill_(0.01)
        return 1.0

    monkeypatch.setattr(setup, "fit_head", probe)
    recipe = tiny_recipe(linear_probe_first=True)
    tiny_fit(tmp_path / "whole", recipe)
    for step in (0, 4):  # in the first epoch, and in a later one
        with pytest.raises(KeyboardInterrupt):
            tiny_fit(tmp_path / str(step), recipe, after_step=stop_at(step))
        tiny_fit(tmp_path / str(step), recipe)
        assert digests(tmp_path / str(step)) == digests(tmp_path / "whole")
    assert len(calls) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")
def test_a_terminated_training_saves_the_step_and_ends_by_the_signal(tmp_path):
    code, _ = forked(lambda: tiny_fit(tmp_path, tiny_recipe(), after_step=stop_at(4, signal.SIGTERM)))
    assert code == -signal.SIGTERM
    saved = tensors.load_tensors(tmp_path / "last.ckpt")
    assert (len(saved["history"]), saved["meter"][0]) == (1, 2)  # an epoch of three steps, and two more
