"""Splits: exact sizes, the same shares, duplicates on one side, repeatable."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.common.errors import ParameterError, PhotosError
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import PhotoSet, find_photos
from helpers.data.near_duplicates import group_scenes
from helpers.data.split import Split, open_split, read_split, split_photos, stratified_folds, write_split
from helpers.recipe import Recipe
from tests.conftest import colourful

PUBLISHED = {"daisy": 588, "dandelion": 556, "rose": 583, "sunflower": 536, "tulip": 585}


def paper_audit(duplicates=(), across=(), alike=()):
    """An audit of as many photos as the course's data set has, without the photos; groups are identical, or alike."""
    labels = tuple(label for label, count in enumerate(PUBLISHED.values()) for _ in range(count))
    n = len(labels)
    photos = PhotoSet(Path("x"), tuple(PUBLISHED), tuple(f"{i}.jpg" for i in range(n)), labels, (None,) * n)
    first = {i: group[0] for group in (*duplicates, *across) for i in group}
    hashes = tuple(str(first.get(i, i)) for i in range(n))
    looks = np.random.default_rng(0).random((n, 64)) < 0.5
    for group in (*duplicates, *across, *alike):
        looks[list(group)] = looks[group[0]]
    for group in alike:
        looks[list(group[1:]), :5] ^= True
    return Audit(photos, tuple(range(n)), (), np.ones((n, 2), np.int64), hashes, looks, "")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_published_sizes(seed):
    split = split_photos(paper_audit(), 0.8, seed)
    assert (len(split.train), len(split.val)) == (2278, 570)
    assert sorted(split.train + split.val) == list(range(2848))


def test_every_class_in_the_same_proportion():
    audit = paper_audit()
    train = audit.photos.subset(split_photos(audit, 0.8, 0).train).counts()
    assert train == {"daisy": 470, "dandelion": 445, "rose": 466, "sunflower": 429, "tulip": 468}


def test_the_seed_decides_and_repeats():
    first, same, other = (split_photos(paper_audit(), 0.8, seed) for seed in (0, 0, 1))
    assert first == same
    assert first != other


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_never_straddle(seed):
    within, across = [(0, 1), (10, 11, 12)], [(1200, 2400), (1201, 2401), (1202, 2402)]
    split = split_photos(paper_audit(within, across), 0.8, seed)
    assert (len(split.train), len(split.val)) == (2278, 570)
    for group in within + across:
        assert set(group) <= set(split.train)


@pytest.mark.parametrize("seed", range(5))
def test_scenes_never_straddle(seed):
    scenes = [(0, 1), (10, 11, 12), (5, 1500), (30, 31, 32, 33)]
    split = split_photos(paper_audit(alike=scenes), 0.8, seed)
    assert (len(split.train), len(split.val), split.notes) == (2278, 570, ())
    for group in scenes:
        assert set(group) <= set(split.train)


def test_scenes_of_four_fill_a_split_but_for_a_few():
    """437 daisies of 546 (and so on): no multiple of 4, so other classes make up for some."""
    scenes = [tuple(range(i, i + 4)) for i in range(0, 2848, 4)]
    split = split_photos(paper_audit(alike=scenes), 0.801, 0)
    assert int(0.801 * 2848) - 3 <= len(split.train) <= int(0.801 * 2848)
    assert all(len({i in set(split.train) for i in group}) == 1 for group in scenes)
    assert split.notes == ()


def test_a_scene_that_leaves_no_split_is_divided_and_that_is_said():
    audit = paper_audit(duplicates=[(0, 2)], alike=[range(588)])
    split = split_photos(audit, 0.8, 0)
    assert audit.photos.subset(split.train).counts()["daisy"] == 470
    assert len(split.train) == 2278
    assert {0, 2} <= set(split.train)
    assert split.notes == ("near-duplicates may be on both sides: kept together, they leave no split of this size",)


def test_real_scenes_are_on_one_side(real_folder):
    audit = audit_photos(find_photos(real_folder))
    split, scenes = split_photos(audit, 0.8, 0), group_scenes(audit)
    assert (len(split.train), split.notes) == (1285, ())
    assert not set(scenes[list(split.train)]) & set(scenes[list(split.val)])
    counts = np.array(list(audit.photos.counts().values()))
    train = np.array(list(audit.photos.subset(split.train).counts().values()))
    assert np.abs(train - 0.8 * counts).max() < 1


def test_a_resumed_run_keeps_its_split(tmp_path, grow):
    root, path = grow({"rose": 6, "tulip": 4}), tmp_path / "split.csv"
    audit, recipe = audit_photos(find_photos(root)), Recipe()
    split = open_split(path, audit, recipe)
    assert split == split_photos(audit, recipe.train_fraction, recipe.seed) == read_split(path, audit.photos)
    other = Split(split.val, split.train)  # as an earlier version might have drawn it
    write_split(path, audit.photos, other)
    written = path.read_bytes()
    colourful((60, 40), 99).save(root / "rose" / "added.jpg")
    more = audit_photos(find_photos(root))
    kept = open_split(path, more, recipe)
    assert more.photos.subset(kept.train).names == audit.photos.subset(other.train).names
    assert kept.notes == (f"the split is that of {path}; photos that it does not name: 1",)
    assert path.read_bytes() == written


def test_more_duplicates_than_training_photos_still_stay_together():
    pairs = [(i, i + 1) for i in range(0, 588, 2)]
    split = split_photos(paper_audit(pairs), 0.8, 0)
    train = set(split.train)
    assert all((a in train) == (b in train) for a, b in pairs)
    assert len(split.train) == 2278


def test_split_csv_gives_the_split_back(tmp_path, grow):
    photos = find_photos(grow({"rose": 6, "tulip, red": 4}))
    split = split_photos(audit_photos(photos), 0.8, 0)
    write_split(tmp_path / "split.csv", photos, split)
    assert (tmp_path / "split.csv").read_text().startswith("name,class,subset\nrose/000.jpg,rose,")
    assert read_split(tmp_path / "split.csv", photos) == split


def test_a_photo_that_is_gone_is_named(tmp_path, grow):
    root = grow({"rose": 5, "tulip": 5})
    photos = find_photos(root)
    write_split(tmp_path / "split.csv", photos, split_photos(audit_photos(photos), 0.8, 0))
    (root / "rose/003.jpg").unlink()
    with pytest.raises(PhotosError, match=r"names 'rose/003\.jpg'"):
        read_split(tmp_path / "split.csv", find_photos(root))


def test_a_given_split_is_used_and_its_leaks_are_closed(grow):
    root = grow({"train/rose": 4, "train/tulip": 4, "val/rose": 2, "val/tulip": 2})
    shutil.copy(root / "val/rose/000.jpg", root / "train/rose/leak.jpg")
    audit = audit_photos(find_photos(root))
    split = split_photos(audit, 0.5, 0)
    assert {audit.photos.names[i] for i in split.val} == {
        f"val/{c}/00{i}.jpg" for c in ("rose", "tulip") for i in (0, 1)
    }
    assert len(split.train) == 8
    assert split.notes == ("train/rose/leak.jpg is in val/ too: left out of training",)


def test_a_class_on_one_side_only_is_refused(grow):
    with pytest.raises(PhotosError, match="class 'rose' has no photo on the val side: it has one only; add"):
        split_photos(audit_photos(find_photos(grow({"rose": 1, "tulip": 9}))), 0.8, 0)


def test_a_class_of_pairs_only_does_not_cost_the_total():
    """470 daisies to train on are 235 pairs; of 471 one is missing, and another class gives it."""
    split = split_photos(paper_audit([(i, i + 1) for i in range(0, 588, 2)]), 0.801, 0)
    assert len(split.train) == int(0.801 * 2848) == 2281


@pytest.mark.parametrize(("counts", "fraction"), [({"rose": 2, "tulip": 20}, 0.8), ({"rose": 3, "tulip": 40}, 0.1)])
def test_small_classes_have_a_photo_on_each_side(grow, counts, fraction):
    audit = audit_photos(find_photos(grow(counts)))
    split = split_photos(audit, fraction, 0)
    assert len(split.train) == int(fraction * sum(counts.values()))
    for side in (split.train, split.val):
        assert min(audit.photos.subset(side).counts().values()) >= 1


@pytest.mark.parametrize("fraction", [0.1, 0.99])
def test_too_few_photos_for_all_classes_are_refused(grow, fraction):
    with pytest.raises(PhotosError, match=r"cannot hold one of each of the 3 classes.*train_fraction"):
        split_photos(audit_photos(find_photos(grow({"lily": 4, "rose": 4, "tulip": 4}))), fraction, 0)


def test_a_class_of_one_photo_many_times_is_refused(grow):
    root = grow({"rose": 1, "tulip": 9})
    for i in range(4):
        shutil.copy(root / "rose/000.jpg", root / f"rose/copy{i}.jpg")
    with pytest.raises(PhotosError, match="class 'rose' has no photo on the"):
        split_photos(audit_photos(find_photos(root)), 0.8, 0)


def test_a_given_split_comes_back_from_its_csv(tmp_path, grow):
    root = grow({"train/rose": 3, "train/tulip": 3, "val/rose": 2, "val/tulip": 2})
    shutil.copy(root / "val/tulip/000.jpg", root / "train/rose/leak.jpg")
    audit = audit_photos(find_photos(root))
    split = split_photos(audit, 0.8, 0)
    write_split(tmp_path / "split.csv", audit.photos, split)
    assert read_split(tmp_path / "split.csv", audit.photos) == split
    assert "leak" not in (tmp_path / "split.csv").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read as a split"),
        ("a,b\n1,2\n", "is no split: its first line must be name,class,subset"),
        ("name,class,subset\nrose/000.jpg,tulip,train\n", "'rose/000.jpg' as 'tulip', 'train' does not fit"),
        ("name,class,subset\nrose/000.jpg,rose,held\n", "'rose/000.jpg' as 'rose', 'held' does not fit"),
        ("name,class,subset\nrose/000.jpg,rose,val\nrose/000.jpg,rose,train\n", "names 'rose/000.jpg', twice"),
    ],
)
def test_a_file_that_is_no_split_is_named(tmp_path, grow, text, message):
    if text is not None:
        (tmp_path / "split.csv").write_text(text)
    with pytest.raises(PhotosError, match=r"split\.csv") as error:
        read_split(tmp_path / "split.csv", find_photos(grow({"rose": 1, "tulip": 1})))
    assert message in str(error.value)


@pytest.fixture
def with_copy(grow):
    root = grow({"rose": 12, "tulip": 9, "daisy": 6})
    colourful((60, 40), 1).save(root / "tulip" / "copy.jpg")  # what rose/001.jpg shows
    return audit_photos(find_photos(root))


@pytest.mark.parametrize("number", [2, 3, 5])
def test_folds_have_every_class_in_equal_shares_and_scenes_whole(with_copy, number):
    scenes = group_scenes(with_copy)
    fold = stratified_folds(with_copy.photos, scenes, number)
    labels = np.array(with_copy.photos.labels)
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=number)
        assert counts.max() - counts.min() <= 2
    assert np.ptp(np.bincount(fold, minlength=number)) <= 3
    assert all(len(set(fold[scenes == scene])) == 1 for scene in set(scenes))
    assert np.array_equal(fold, stratified_folds(with_copy.photos, scenes, number))
    assert not np.array_equal(fold, stratified_folds(with_copy.photos, scenes, number, seed=1))


def test_real_folds_are_even(real_folder):
    audit = audit_photos(find_photos(real_folder))
    fold = stratified_folds(audit.photos, group_scenes(audit), 5)
    labels = np.array(audit.photos.labels)
    for label in range(5):
        assert np.ptp(np.bincount(fold[labels == label])) <= 2


def test_more_folds_than_photos_are_refused(with_copy):
    with pytest.raises(ParameterError, match="folds = 8: class 'daisy' has 6 different photos"):
        stratified_folds(with_copy.photos, group_scenes(with_copy), 8)


def test_a_drawn_test_set_has_its_share_and_is_the_same_for_every_seed():
    audit = paper_audit(duplicates=[(0, 1), (10, 11, 12)], alike=[(20, 21)])
    first, other = (split_photos(audit, 0.8, seed, test_fraction=0.1) for seed in (0, 1))
    assert (len(first.test), len(first.train), len(first.val)) == (284, 2051, 513)
    assert sorted(first.test + first.train + first.val) == list(range(2848))
    assert first.test == other.test
    assert first.train != other.train
    counts = audit.photos.subset(first.test).counts()
    assert all(abs(count - 0.1 * PUBLISHED[name]) < 2 for name, count in counts.items())
    for group in ((0, 1), (10, 11, 12), (20, 21)):
        assert len({i in first.test for i in group}) == 1


def with_copies(grow, *parts):
    """Parts of three photos per class, in which copies of held-out photos lie in the parts before them."""
    root = grow({f"{part}/{name}": 3 for part in parts for name in ("rose", "tulip")})
    for number, part in enumerate(parts):
        for before in parts[:number]:
            shutil.copy(root / part / "rose" / "000.jpg", root / before / "rose" / f"{part}.jpg")
    return audit_photos(find_photos(root))


def test_copies_of_held_out_photos_are_left_out_of_what_is_learned_and_chosen_from(grow):
    audit = with_copies(grow, "train", "val", "test")
    split = split_photos(audit, 0.8, 0)
    names = {side: [audit.photos.names[i] for i in getattr(split, side)] for side in ("train", "val", "test")}
    assert all(len(each) == 6 and all(name.startswith(side) for name in each) for side, each in names.items())
    assert not [name for each in names.values() for name in each if name.endswith(("test.jpg", "val.jpg"))]
    assert split.notes == (
        "train/rose/test.jpg is in test/ too: left out of training",
        "val/rose/test.jpg is in test/ too: left out of validation",
        "train/rose/val.jpg is in val/ too: left out of training",
    )


def test_beside_a_test_folder_alone_validation_is_drawn_from_the_rest(grow, tmp_path):
    audit = with_copies(grow, "train", "test")
    split = split_photos(audit, 0.5, 0)
    assert {audit.photos.names[i].split("/")[0] for i in (*split.train, *split.val)} == {"train"}
    assert (len(split.train), len(split.val), len(split.test)) == (3, 3, 6)
    write_split(tmp_path / "split.csv", audit.photos, split)
    assert read_split(tmp_path / "split.csv", audit.photos) == split
    assert open_split(tmp_path / "split.csv", audit, Recipe(train_fraction=0.5)).notes == split.notes


def test_a_test_fraction_beside_a_split_of_the_photos_own_is_refused(grow):
    with pytest.raises(ParameterError, match=r"test_fraction = 0.1: .* Put test photos into test/"):
        split_photos(with_copies(grow, "train", "test"), 0.8, 0, test_fraction=0.1)


@pytest.mark.parametrize("fraction", [0.02, 0.9])
def test_a_test_set_that_cannot_hold_every_class_is_refused_by_its_own_setting(grow, fraction):
    audit = audit_photos(find_photos(grow(dict.fromkeys(("daisy", "rose", "tulip"), 8))))
    with pytest.raises(PhotosError, match=r"test photos? and \d+ others cannot hold .*change test_fraction"):
        split_photos(audit, 0.8, 0, test_fraction=fraction)


def test_where_scenes_leave_no_test_set_only_identical_photos_are_kept_together():
    audit = paper_audit(alike=[tuple(range(588))])  # a whole class
    split = split_photos(audit, 0.8, 0, test_fraction=0.1)
    assert len(split.test) == 284
    assert split.notes[0].startswith("near-duplicates may be on both sides of the test set")
