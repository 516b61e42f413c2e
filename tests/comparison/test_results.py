"""Results read back: rows of other conditions are never mixed, and damage is named."""

import inspect
import json

import numpy as np
import pytest

from helpers.common.errors import ParameterError
from helpers.comparison import results
from helpers.comparison.results import Comparison, Results, merge_rows, read_photos, read_rows
from helpers.data import split
from tests.comparison.made_up import ENDS, PUBLISHED, ROWS, SEARCH, row, rows_of, some_photos
from tests.conftest import ROOT


def test_rows_join_those_of_other_costs_and_replace_their_own(tmp_path):
    path = tmp_path / "rows.json"
    merge_rows(path, [PUBLISHED, PUBLISHED | {"cost": "y"}])
    merge_rows(path, [PUBLISHED | {"accuracy_mean": 0.6}])
    assert read_rows(path) == [PUBLISHED | {"cost": "y"}, PUBLISHED | {"accuracy_mean": 0.6}]


def test_rows_of_other_folds_are_refused_by_name(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([PUBLISHED | {"fold_rule": "drawn by lot"}]))
    with pytest.raises(ParameterError, match=r"rows\.json holds rows of other folds \('drawn by lot', now"):
        merge_rows(path, [PUBLISHED])
    assert len(read_rows(path)) == 1


def test_rows_of_other_conditions_are_not_mixed():
    other = [row("published", 0.8, 0.0, cost="224 px, 25 epochs"), row("fast", backbone="squeezenet1_1")]
    older = [each | {"fold_rule": "drawn by lot"} for each in ROWS[:3]]
    short = row("fast", 0.7, -0.2, train_photos=80)
    found = results.groups([*other, *older, *ROWS, short])
    assert [len(each) for each in found.values()] == [4, 3, 1, 1]
    assert short not in next(iter(found.values()))
    assert list(results.compared([*other, *ROWS, short]).values()) == [ROWS]
    assert results.compared([row("fast"), row("best")]) == {}


def test_learning_curves_are_recipes_trained_on_several_numbers_of_photos():
    short = row("fast", 0.7, -0.2, train_photos=80)
    assert Results([*ROWS, short]).learning_curves == [ROWS[1], short]
    assert Results(ROWS).learning_curves == []


def test_photos_belong_to_the_rows_whose_numbers_they_give():
    photos = some_photos()
    mine = [each | {"cost": "x", "image_size": 300} for each in rows_of(photos, "published", "best")]
    assert Results(ROWS, [photos]).main == Comparison(results.conditions_of(PUBLISHED), ROWS, ())
    found = Results([*ROWS, *mine], [[], photos]).main
    assert (found.rows, found.photos) == (mine, photos)
    assert found.with_photos == {"published": mine[0], "best": mine[1]}


def test_the_main_comparison_is_the_costliest_with_best_and_the_largest_has_most_rows():
    few = [row("published", 0.8, 0.0, cost="small", image_size=32), row("best", 0.9, 0.1, cost="small", image_size=32)]
    many = [*few, row("published + MixUp", 0.8, 0.0, cost="small", image_size=32)]
    costly = [each | {"cost": "full", "image_size": 224} for each in few]
    without = [each | {"cost": "more", "image_size": 500} for each in (few[0], many[2])]
    found = Results([*many, *costly, *without])
    assert found.main.rows == costly
    assert found.largest.rows == many
    thrice = [each | {"seeds": 3} for each in costly]
    assert Results([*few, *costly, *thrice]).main.rows == thrice
    assert Results().main == Results().largest == Comparison()


def test_the_second_backbone_is_another_one_at_the_same_cost():
    second = [each | {"backbone": "squeezenet1_1"} for each in ROWS[:3]]
    elsewhere = [each | {"backbone": "resnet18", "cost": "224 px, 25 epochs"} for each in ROWS]
    assert Results([*ROWS, *second, *elsewhere]).second_backbone.rows == second
    assert Results([*ROWS, *elsewhere]).second_backbone == Comparison()
    assert Results().second_backbone == Comparison()


def test_photos_are_counted():
    photos = some_photos()
    photos[0]["best"] = np.nan  # not held out
    assert results.mistakes_by_class(photos, "best") == {"rose": (2.0, 49), "tulip": (2.0, 50)}


def test_photos_are_written_and_read(tmp_path):
    photos = some_photos()
    photos[0]["best"] = np.nan
    photos[1]["best"] = 1 / 3  # right in one of three trainings
    results.write_photos(tmp_path / "photos.csv", photos)
    found = read_photos(tmp_path / "photos.csv")
    assert found[1].pop("best") == pytest.approx(photos[1].pop("best"), abs=1e-10)  # or its row would not match
    assert found[1:] == photos[1:]
    assert np.isnan(found[0]["best"])
    (tmp_path / "photos.csv").write_text("name,class,scene,seed\na,rose,0,1\n")
    with pytest.raises(ParameterError, match=r"photos\.csv is missing, damaged or of another version \('fold'\)"):
        read_photos(tmp_path / "photos.csv")


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(ParameterError, match=r"comparison\.json is missing, .*: python -m helpers compare writes it"):
        read_rows(tmp_path / "comparison.json")
    assert results.read_results(tmp_path) == Results([], [], [], {})
    (tmp_path / "trials.json").write_text("[]")
    message = r"trials\.json is missing, damaged or of another version .* --trials 0 writes it again"
    with pytest.raises(ParameterError, match=message):
        results.read_results(tmp_path)


@pytest.mark.parametrize("value", [None, [], "<b>", 10**400, float("nan"), float("inf")], ids=repr)
def test_values_of_another_kind_are_named(tmp_path, value):
    """A folder of results may be somebody else's."""
    texts, row = {name for name, kind in results.ROW.items() if isinstance("", kind)}, ROWS[1]
    for name in row:
        if (name in texts and isinstance(value, str)) or (value is None and name in ("weights_sha256", *ENDS[:1])):
            continue
        (tmp_path / "comparison.json").write_text(json.dumps([PUBLISHED, row | {name: value}]))
        with pytest.raises(ParameterError, match=rf"comparison\.json is missing, damaged .*\({name} = "):
            read_rows(tmp_path / "comparison.json")
    trial = SEARCH["trials"][1] | {"accuracy": value}
    for wrong in ({"trials": value or {}}, {"trials": [trial]}, {"importances": {"lr": value}}):
        (tmp_path / "trials.json").write_text(json.dumps(SEARCH | wrong))
        with pytest.raises(ParameterError, match=r"trials\.json is missing, damaged .* = "):
            results.read_trials(tmp_path / "trials.json")


def test_committed_results_have_todays_folds():
    found = results.read_results(ROOT / "report" / "results")
    assert {row["fold_rule"] for row in found.rows} | {found.search["fold_rule"]} == {results.FOLD_RULE}
    for comparison in (found.main, found.largest, found.second_backbone):
        assert list(comparison.with_photos.values()) == comparison.rows
        held_out = {row["fold"] for row in comparison.photos if not np.isnan(row["published"])}
        assert len(held_out) == comparison.conditions.folds


def test_the_rule_of_the_folds_is_named_as_the_code_makes_them():
    assert f"{results.FOLD_RULE}(" in inspect.getsource(split.stratified_folds)
