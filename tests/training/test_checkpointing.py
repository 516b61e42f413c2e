"""Interrupted, killed, damaged: the run goes on to the same bits, or says why not."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from helpers.common import tensors
from helpers.common.errors import RunError
from helpers.runs import locks
from helpers.runs.run import open_run
from helpers.training import checkpointing, fit, make_optimizer, make_schedule
from tests.faults.kills import digests, kill_often
from tests.tiny import a_run, tiny_fit, tiny_loaders, tiny_model, tiny_recipe

ROOT = Path(__file__).parents[2]


def make_checkpointer(folder, recipe):
    model = tiny_model()
    optimizer = make_optimizer(model, recipe)
    schedule = make_schedule(optimizer, recipe)
    return checkpointing.Checkpointer(a_run(folder, recipe), model, optimizer, schedule, ("a", "b"))


def stop_at(step, number=signal.SIGINT):
    """Called after each step: gives the signal at the n-th."""
    taken = iter(range(10_000))

    def after_step(*_):
        if next(taken) == step:
            signal.raise_signal(number)

    return after_step


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    tiny_fit(folder, tiny_recipe())
    return digests(folder)


def test_killed_at_random_moments_it_ends_as_if_undisturbed(tmp_path, capfd):
    outcome = kill_often(20, tmp_path, seed=int(os.environ.get("PYTEST_SEED", "7")))
    print(outcome)
    assert outcome.different == []
    assert outcome.identical == 20
    assert outcome.lost == outcome.outside == 0
    assert outcome.most_repeated <= 2
    assert outcome.reads > 20


@pytest.mark.parametrize("step", range(9))
def test_ctrl_c_after_any_step_saves_that_step(tmp_path, whole, step):
    said = []
    with pytest.raises(KeyboardInterrupt, match="continues from here"):
        tiny_fit(tmp_path, tiny_recipe(), said.append, stop_at(step))
    assert any(line.startswith("interrupted, saved after") for line in said)
    taken, said = [], []
    tiny_fit(tmp_path, tiny_recipe(), said.append, lambda *_: taken.append(1))
    assert len(taken) == 9 - (step + 1)  # none is repeated
    assert said[0].startswith("continues after") or step == 8
    assert digests(tmp_path) == whole


def test_ctrl_c_twice_stops_at_once(tmp_path):
    def twice(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=twice)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_are_handled_as_before_once_training_is_over(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_checkpoint_steps_are_the_most_that_are_repeated(tmp_path, monkeypatch):
    saved = []
    save = checkpointing.Checkpointer.save
    monkeypatch.setattr(
        checkpointing.Checkpointer, "save", lambda self: (saved.append(self.unsaved is not None), save(self))
    )
    tiny_fit(tmp_path, tiny_recipe(epochs=2, checkpoint_steps=1))
    assert sum(saved) == 2 * 3 + 2  # after each step, and at each end of an epoch


def test_what_saving_costs_decides_how_often_it_is_done(tmp_path):
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
        said = []
        state = make_checkpointer(tmp_path, recipe).restore(said.append)
        if "previous.ckpt is used instead" in " ".join(said):
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
    said = []
    tiny_fit(tmp_path, tiny_recipe(), said.append)
    assert "no checkpoint can be used: the training begins anew" in said
    assert digests(tmp_path) == whole


def test_every_flipped_bit_of_the_best_model_is_noticed_or_means_nothing(tmp_path):
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
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 2))
    with pytest.raises(RunError, match="saved by another model: start anew with resume = False"):
        tiny_fit(tmp_path, tiny_recipe(), model=other)


def test_going_on_with_another_machine_is_said(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(), after_step=stop_at(4))
    state = tensors.load_tensors(tmp_path / "last.ckpt")
    state["machine"] = "cuda (bfloat16, 2 threads, torch 2.14.1)"
    tensors.save_tensors(tmp_path / "last.ckpt", state)
    said = []
    assert len(tiny_fit(tmp_path, tiny_recipe(), said.append).history) == 3
    assert any("it was begun on cuda (bfloat16" in line and "goes on with cpu (float32" in line for line in said)


def test_a_loss_that_is_no_number_names_epoch_step_and_photos_and_keeps_the_last_good_epoch(tmp_path, whole):
    recipe, names = tiny_recipe(), tuple(f"class/{i}.jpg" for i in range(21))
    loaders = replace(tiny_loaders(recipe), train_names=names)
    model = tiny_model()
    optimizer = make_optimizer(model, recipe)
    calls = []

    def poisoned(logits, labels):
        calls.append(labels)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        return loss * float("nan") if len(calls) == 6 else loss  # 3 steps and a validation per epoch: epoch 1, step 1

    with pytest.raises(RunError, match=r"It was nan in epoch 1, step 1, photos class/\d+\.jpg, .* and 4 more") as error:
        fit(
            model,
            loaders,
            poisoned,
            optimizer,
            make_schedule(optimizer, recipe),
            a_run(tmp_path, recipe),
            lambda _: None,
        )
    assert len(calls) == 6
    for name in str(error.value).split("photos ")[1].split(" and ")[0].split(", "):
        assert loaders.train.labels[names.index(name)] in calls[5]
    tiny_fit(tmp_path, recipe)
    assert digests(tmp_path) == whole


def child(code, *arguments, **options):
    """A Python process in the project's folder."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_a_run_folder_belongs_to_one_process_until_that_ends(tmp_path):
    hold = "import sys; from pathlib import Path; from helpers.runs import locks; locks.hold(Path(sys.argv[1])); "
    holder = child(hold + "print('held', flush=True); sys.stdin.read()", tmp_path, stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=rf"in use by another process \(number {holder.pid} on .*, since 20"):
        locks.hold(tmp_path)
    holder.kill()  # leaves the files, but not the lock
    holder.communicate()
    assert (tmp_path / ".run.lock").exists()
    locks.hold(tmp_path, patience=1)
    locks.hold(tmp_path)  # the same process may open its run again
    second = child(hold, tmp_path)
    assert "in use by another process" in second.communicate()[1]
    locks.release(tmp_path)


def test_a_second_training_in_the_same_folder_is_refused_and_changes_nothing(tmp_path):
    recipe = tiny_recipe(run="mine", backbone="resnet18")
    hold = (
        "import sys; from pathlib import Path; from helpers.runs import locks; "
        "locks.hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    (tmp_path / "work_dir" / "mine").mkdir(parents=True)
    holder = child(hold, tmp_path / "work_dir" / "mine", stdin=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(RunError, match="mine is in use by another process"):
        open_run(recipe, tmp_path)
    assert not (tmp_path / "work_dir" / "mine" / "recipe.json").exists()
    holder.communicate()


def test_what_a_killed_process_had_begun_to_write_is_removed(tmp_path):
    recipe = tiny_recipe(run="mine")
    folder = open_run(recipe, tmp_path).folder
    (folder / ".last.ckpt.123.tmp").write_bytes(b"half")
    assert not list(open_run(recipe, tmp_path).folder.glob(".*.tmp"))
    locks.release(folder)


FULL = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
from tests.tiny import tiny_fit, tiny_recipe
from helpers.common.errors import RunError
try:
    tiny_fit(Path(sys.argv[1]), tiny_recipe(epochs=6, checkpoint_steps=1))
except RunError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of file sizes as on Linux")
def test_a_quota_stops_the_training_with_path_and_need_and_leaves_the_last_good_files(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tiny_fit(tmp_path, tiny_recipe(epochs=6), after_step=stop_at(7))
    before = digests(tmp_path)
    process = child(FULL, tmp_path, 2000)
    said, errors = process.communicate(timeout=100)
    assert process.returncode == 3, errors
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


TWICE = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(2)
from tests.tiny import tiny_fit, tiny_recipe
for name in ("a", "b"):
    tiny_fit(Path(sys.argv[1]) / name, tiny_recipe())
"""


def test_two_runs_in_two_processes_are_four_times_the_same(tmp_path):
    processes = [child(TWICE, tmp_path / str(seed), env=os.environ | {"PYTHONHASHSEED": str(seed)}) for seed in (1, 2)]
    for process in processes:
        assert process.wait(300) == 0, process.stderr.read()
    first, *others = (digests(tmp_path / str(seed) / name) for seed in (1, 2) for name in ("a", "b"))
    assert all(other == first for other in others)


def test_a_checkpoint_holds_plain_values_only(tmp_path):
    tiny_fit(tmp_path, tiny_recipe(epochs=1))
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del state["model"], state["best"], state["optimizer"]
    assert json.loads(json.dumps(state)) == state
