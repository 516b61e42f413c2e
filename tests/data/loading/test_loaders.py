"""Resident and streaming feeds: every photo once, the same meaning, repeatable."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from helpers.common import distributed
from helpers.common.errors import ParameterError
from helpers.data.audit import audit_photos
from helpers.data.augmentation import train_transform, val_transform
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.loading import loaders
from helpers.data.loading.loaders import decoded_bytes, epoch_order, make_loaders
from helpers.data.split import split_photos
from helpers.recipe import Recipe

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]


def recipe(**changes):
    small = {"image_size": 24, "crop_size": 48, "val_resize": 28, "batch_size": 4, "workers": 0}
    return Recipe(**small).with_settings(**changes)


@pytest.fixture
def data(grow):
    audit = audit_photos(find_photos(grow({"rose": 7, "tulip": 8})))
    return audit, split_photos(audit, 0.8, 0)


def feeds(data, train=None, val=None, **changes):
    return make_loaders(*data, recipe(**changes), CPU, train, val)


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_every_photo_once_per_epoch_with_a_ragged_last_batch(data, pipeline):
    audit, split = data
    train = feeds(data, pipeline=pipeline).train
    batches = list(train.epoch(0))
    assert [len(labels) for _, labels in batches] == [4, 4, 4]
    assert len(batches) == len(train)
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == sorted(
        audit.photos.labels[i] for i in split.train
    )
    assert all(images.shape[1:] == (3, 24, 24) and images.dtype == torch.float32 for images, _ in batches)


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_an_epoch_repeats_and_the_next_is_different(data, pipeline):
    train = feeds(data, pipeline=pipeline).train
    first, again, other = (torch.cat([images for images, _ in train.epoch(epoch)]) for epoch in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_streamed_photos_do_not_depend_on_the_number_of_workers(data):
    alone, shared = (
        torch.cat([images for images, _ in feeds(data, pipeline="stream", workers=n).train.epoch(1)]) for n in (0, 2)
    )
    assert torch.equal(alone, shared)


def test_both_kinds_have_the_same_order_and_the_same_validation_pictures(data):
    resident, stream = (feeds(data, pipeline=kind) for kind in ("resident", "stream"))
    orders = [torch.cat([labels for _, labels in f.train.epoch(2)]) for f in (resident, stream)]
    pictures = [torch.cat([images for images, _ in f.val.epoch()]) for f in (resident, stream)]
    assert torch.equal(*orders)
    assert torch.equal(*pictures)


def test_validation_is_the_literal_transform(data):
    audit, split = data
    expected = torch.stack([val_transform(recipe())(load_photo(audit.photos.path(i))) for i in split.val])
    assert torch.equal(torch.cat([images for images, _ in feeds(data).val.epoch()]), expected)


def test_auto_is_resident_if_it_fits_and_streams_if_not(data):
    assert feeds(data).kind == "resident"
    tight = feeds(data, memory_limit_gb=1e-6)
    assert (tight.kind, tight.why) == ("stream", "0.00 GB decoded, 0.00 GB allowed")


def test_auto_streams_if_the_machine_has_less_free_than_twice_the_photos(data, monkeypatch):
    needed = decoded_bytes(len(data[1].train), len(data[1].val), recipe())
    monkeypatch.setattr(loaders, "free_memory", lambda device: 2 * needed)
    assert feeds(data).kind == "resident"
    monkeypatch.setattr(loaders, "free_memory", lambda device: 2 * needed - 1)
    assert feeds(data).kind == "stream"


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_without_augmentation_training_sees_what_validation_sees(data, pipeline):
    audit, split = data
    train = feeds(data, augmentation=False, pipeline=pipeline).train
    images, again = (torch.cat([images for images, _ in train.epoch(epoch)]) for epoch in (0, 0))
    order = epoch_order(len(split.train), 0, 0).tolist()
    literal = [val_transform(recipe())(load_photo(audit.photos.path(split.train[i]))) for i in order]
    assert torch.equal(images, torch.stack(literal))
    assert torch.equal(images, again)


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_processes_share_every_batch_and_see_what_one_would_see(data, pipeline, monkeypatch):
    whole = list(feeds(data, pipeline=pipeline, batch_size=11).train.epoch(1))  # 12 photos: the last batch has one
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    parts = []
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(list(feeds(data, pipeline=pipeline, batch_size=11).train.epoch(1)))
    for batch, (images, labels) in enumerate(whole):
        for rank in range(3):
            assert torch.equal(parts[rank][batch][0], images[rank::3])
            assert torch.equal(parts[rank][batch][1], labels[rank::3])
    assert [len(parts[rank][1][1]) for rank in range(3)] == [1, 0, 0]


def test_more_processes_than_photos_in_a_batch_are_refused(data, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 5)
    with pytest.raises(ParameterError, match="5 processes share each batch of 4 photos: start at most 4"):
        feeds(data)


def test_transforms_of_your_own_are_streamed(data):
    own = v2.Compose([v2.Grayscale(3), *train_transform(recipe()).transforms])
    grey = feeds(data, train=own, hue=0.0, saturation=0.0)
    assert (grey.kind, grey.why) == ("stream", "the transforms are your own")
    literal = feeds(data, train=train_transform(recipe()), val=val_transform(recipe()))
    assert literal.kind == "resident"


def test_resident_refuses_transforms_of_your_own(data):
    with pytest.raises(ParameterError, match="use pipeline = stream"):
        feeds(data, train=v2.Compose([v2.Grayscale(3)]), pipeline="resident")


def readers(train):
    """The processes that read photos for this feed."""
    return [psutil.Process(each.pid) for each in train.loader._iterator._workers]


def kill(children):
    """Kill them all, and wait until the system has sent word of it."""
    for child in children:
        child.kill()
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        time.sleep(0.01)


def stop_then_kill(children):
    """Kill them while this process waits in the middle of taking over a batch from one of them."""
    for child in children:
        child.suspend()
    threading.Timer(0.3, kill, [children]).start()


@pytest.mark.parametrize("how", [kill, stop_then_kill])
def test_if_a_process_that_reads_photos_is_killed_the_batches_are_the_same(data, capsys, how):
    expected = [images for images, _ in feeds(data, pipeline="stream", batch_size=1, workers=0).train.epoch(2)]
    train = feeds(data, pipeline="stream", batch_size=1, workers=2).train
    batches = train.epoch(2)
    found = [next(batches)[0]]
    how(readers(train))  # as in the middle of a training step: no error may come up here
    found += [images for images, _ in batches]
    assert len(found) == 12
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert capsys.readouterr().out.count("a process that reads photos failed") == 1
    assert len(list(train.epoch(3))) == 12


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_process_that_dies_while_it_hands_over_a_batch_counts_as_killed(data, capsys, error):
    """For a moment the way to it is closed, but the loader takes it to be alive."""
    train = feeds(data, pipeline="stream", workers=2).train
    expected = [labels for _, labels in train.epoch(2)]

    class Dying:
        def __init__(self, loader):
            self.loader = loader

        def __iter__(self):
            yield next(iter(self.loader))
            raise error

    train.loader = Dying(train.loader)
    assert all(torch.equal(a, b) for a, (_, b) in zip(expected, train.epoch(2), strict=True))
    assert "a process that reads photos failed" in capsys.readouterr().out


def test_a_process_that_is_killed_between_two_epochs_costs_nothing_but_time(data, capsys):
    train = feeds(data, pipeline="stream", batch_size=1, workers=2).train
    assert len(list(train.epoch(2))) == 12
    kill(readers(train)[:1])
    assert len(list(train.epoch(3))) == 12
    assert "a process that reads photos failed" in capsys.readouterr().out


class Missing(v2.Transform):
    def forward(self, photo):
        raise FileNotFoundError("the colour profile is missing")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_your_own_transform_is_not_taken_for_a_dead_process(data, capsys, workers):
    train = feeds(data, train=Missing(), pipeline="stream", workers=workers).train
    with pytest.raises(FileNotFoundError, match="the colour profile is missing"):
        list(train.epoch(0))
    assert "a process that reads photos failed" not in capsys.readouterr().out


SMALL = """
import sys, torch
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import split_photos
from helpers.recipe import Recipe
audit = audit_photos(find_photos(sys.argv[1]))
recipe = Recipe(image_size=224, batch_size=8, workers=2, pipeline="stream")
feeds = make_loaders(audit, split_photos(audit, 0.8, 0), recipe, torch.device("cpu"))
print(sum(len(labels) for epoch in range(2) for _, labels in feeds.train.epoch(epoch)))
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small /dev/shm")
def test_with_a_tiny_dev_shm_this_process_reads_the_photos(grow):
    """As in a container, which has 64 MB of it by default."""
    root = grow({"rose": 15, "tulip": 15})
    mount = 'mount -t tmpfs -o size=256k none /dev/shm && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-W", "ignore", "-c", SMALL, str(root)]
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("\n48\n"), done.stderr
    assert "/dev/shm too small): this one reads them now" in done.stdout
    assert done.stdout.count("\n") == 2


def test_each_photo_is_decoded_once_and_with_a_warm_cache_never(grow, tmp_path, monkeypatch):
    """The audit's pass makes the perceptual hashes, the training canvases and the validation pictures too."""
    root, cache = grow({"rose": 6, "tulip": 6}), tmp_path / "cache"
    opened, original = [], Image.open
    monkeypatch.setattr(
        Image, "open", lambda path, *args, **more: (opened.append(path), original(path, *args, **more))[1]
    )
    recipe = Recipe(image_size=32, val_resize=36, crop_size=64, batch_size=4)
    for expected in (12, 0):
        opened.clear()
        audit = audit_photos(find_photos(root), recipe, cache)
        make_loaders(audit, split_photos(audit, 0.5, 0), recipe, torch.device("cpu"), cache=cache)
        assert len(audit.perceptual_hashes) == 12
        assert len(opened) == expected


def test_a_transform_that_only_prints_like_the_recipes_is_the_users(grow):
    recipe = Recipe(image_size=32, val_resize=36, crop_size=64, batch_size=4)
    audit = audit_photos(find_photos(grow({"rose": 4, "tulip": 4})))
    split = split_photos(audit, 0.5, 0)
    own = v2.Compose(train_transform(recipe).transforms)
    assert repr(own).split("(", 1)[1] == repr(train_transform(recipe)).split("(", 1)[1]
    assert make_loaders(audit, split, recipe, torch.device("cpu"), own).kind == "stream"
    assert make_loaders(audit, split, recipe, torch.device("cpu"), train_transform(recipe)).kind == "resident"
