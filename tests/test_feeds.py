"""Resident and streaming feeds: every photo once, the same meaning, repeatable."""

import pytest
import torch
from torchvision.transforms import v2

from helpers.audit import audit_photos
from helpers.augment import train_transform, val_transform
from helpers.decode import load_photo
from helpers.errors import ParameterError
from helpers.feeds import open_feeds
from helpers.photos import find_photos
from helpers.recipe import Recipe
from helpers.split import split_photos

CPU = torch.device("cpu")


def recipe(**changes):
    small = {"image_size": 24, "crop_size": 48, "val_resize": 28, "batch_size": 4, "workers": 0}
    return Recipe.from_preset("seed", **{**small, **changes})


@pytest.fixture
def data(grow):
    audit = audit_photos(find_photos(grow({"rose": 7, "tulip": 8})))
    return audit.photos, split_photos(audit, 0.8, 0)


def feeds(data, train=None, val=None, **changes):
    return open_feeds(*data, recipe(**changes), CPU, train, val)


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_every_photo_once_per_epoch_with_a_ragged_last_batch(data, pipeline):
    photos, split = data
    train = feeds(data, pipeline=pipeline).train
    batches = list(train.epoch(0))
    assert [len(labels) for _, labels in batches] == [4, 4, 4]
    assert len(batches) == len(train)
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == sorted(
        photos.labels[i] for i in split.train
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
    photos, split = data
    expected = torch.stack([val_transform(recipe())(load_photo(photos.path(i))) for i in split.val])
    assert torch.equal(torch.cat([images for images, _ in feeds(data).val.epoch()]), expected)


def test_auto_is_resident_if_it_fits_and_streams_if_not(data):
    assert feeds(data).kind == "resident"
    tight = feeds(data, memory_limit_gb=1e-6)
    assert (tight.kind, tight.why) == ("stream", "0.00 GB decoded")


def test_transforms_of_your_own_are_streamed(data):
    own = v2.Compose([v2.Grayscale(3), *train_transform(recipe()).transforms])
    grey = feeds(data, train=own, hue=0.0, saturation=0.0)
    assert (grey.kind, grey.why) == ("stream", "the transforms are your own")
    literal = feeds(data, train=train_transform(recipe()), val=val_transform(recipe()))
    assert literal.kind == "resident"


def test_resident_refuses_transforms_of_your_own(data):
    with pytest.raises(ParameterError, match="use pipeline = stream"):
        feeds(data, train=v2.Compose([v2.Grayscale(3)]), pipeline="resident")
