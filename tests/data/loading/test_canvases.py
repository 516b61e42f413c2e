"""Decoded photos: the same from the cache as from the files, for any choice of photos."""

import numpy as np
import pytest
import torch

from helpers.data import decode
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.canvases import decoded_photos, train_arrays, val_pictures
from helpers.recipe import Recipe

RECIPE = Recipe(image_size=24, crop_size=48, val_resize=28)


def train_photos(audit, photos, recipe, cache=None):
    return decoded_photos(audit, [(train_arrays(recipe), photos)], cache)[0]


@pytest.fixture
def audit(grow):
    return audit_photos(find_photos(grow({"rose": 5, "tulip": 4})))


def test_cached_photos_are_the_decoded_ones(audit, tmp_path):
    rows = (7, 2, 3)
    plain = train_photos(audit, rows, RECIPE)
    for _ in range(2):  # made, and read
        cached = train_photos(audit, rows, RECIPE, tmp_path / "cache")
        assert all(torch.equal(plain[name], cached[name]) for name in ("canvases", "half_sizes"))
        again = val_pictures(audit, rows, RECIPE, tmp_path / "cache")
        assert torch.equal(val_pictures(audit, rows, RECIPE), again)
    assert plain["canvases"].shape == (3, 3, 36, 36)
    assert plain["canvases"].dtype == torch.uint8


def test_another_split_finds_its_photos_in_the_same_cache(audit, tmp_path, monkeypatch):
    val_pictures(audit, range(4), RECIPE, tmp_path)
    expected = val_pictures(audit, range(4, 9), RECIPE)
    monkeypatch.setattr(decode, "_load", None)  # nothing is decoded any more
    assert torch.equal(val_pictures(audit, range(4, 9), RECIPE, tmp_path), expected)


@pytest.mark.parametrize("changes", [{"image_size": 20}, {"val_resize": 30}, {"crop_size": 40}, {"rotation": 10.0}])
def test_other_geometry_is_another_entry(audit, tmp_path, changes):
    other = Recipe(**{"image_size": 24, "crop_size": 48, "val_resize": 28, **changes})
    for recipe in (RECIPE, other):
        canvases = train_photos(audit, (0, 8), recipe, tmp_path)["canvases"]
        assert torch.equal(canvases, train_photos(audit, (0, 8), recipe)["canvases"])
        pictures = val_pictures(audit, (0, 8), recipe, tmp_path)
        assert torch.equal(pictures, val_pictures(audit, (0, 8), recipe))


def test_other_photos_under_the_same_names_are_another_entry(audit, tmp_path):
    before = val_pictures(audit, range(9), RECIPE, tmp_path / "cache")
    first, last = audit.photos.path(0), audit.photos.path(8)
    first.write_bytes(last.read_bytes())
    after = val_pictures(audit_photos(find_photos(audit.photos.root)), range(9), RECIPE, tmp_path)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1:], after[1:])


def test_a_damaged_cache_is_named_and_made_again(audit, tmp_path, capsys):
    before = val_pictures(audit, range(9), RECIPE, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    pictures = np.lib.format.open_memmap(entry / "pictures.npy", mode="r+")
    pictures[3] = 0
    pictures.flush()
    assert torch.equal(val_pictures(audit, range(9), RECIPE, tmp_path / "cache"), before)
    assert f"{entry} cannot be used (pictures.npy is damaged): it is made again" in capsys.readouterr().out


def test_where_nothing_can_be_kept_photos_are_decoded(audit, tmp_path, capsys):
    (tmp_path / "cache").write_text("in the way")
    pictures = val_pictures(audit, range(9), RECIPE, tmp_path / "cache")
    assert torch.equal(pictures, val_pictures(audit, range(9), RECIPE))
    assert "not cached" in capsys.readouterr().out
