"""Recipes compared on the same folds: rows are what they say, their numbers those of the folds."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.common.errors import DivergedError, ParameterError
from helpers.comparison import folds, plots
from helpers.comparison.cross_validation import compare, cross_validate, label_judge, photo_rows, rows_text
from helpers.comparison.folds import Protocol
from helpers.comparison.results import mistakes_by_class, read_photos, read_rows
from helpers.recipe import Recipe
from helpers.runs import locks
from tests.comparison.conftest import RECIPES, small
from tests.conftest import ROOT


def test_every_photo_is_evaluated_once_per_seed_by_a_model_that_has_not_seen_it(copied, protocol):
    said = []
    two_seeds = Protocol(protocol.audit, ROOT, 2, seeds=(0, 1))
    found = cross_validate(RECIPES["other"], two_seeds, copied / "other", log=said.append)
    assert set(np.unique(found.correct)) <= {0, 0.5, 1}
    assert found.accuracy.low <= found.accuracy.mean <= found.accuracy.high
    assert len(said) == 4


def test_the_numbers_are_those_of_the_folds(trained, protocol):
    seed, other = trained.rows[:2]
    assert [row for row in read_rows(trained.folder / "comparison.json") if row["folds"] == 2] == trained.rows
    assert seed["difference_mean"] == seed["difference_low"] == seed["difference_high"] == 0
    assert other["difference_mean"] == pytest.approx(other["accuracy_mean"] - seed["accuracy_mean"])
    assert other["settings"] == {"lr": 0.05}
    assert (seed["photos"], seed["folds"], seed["cost"]) == (len(protocol.audit.photos), 2, "32 px, 2 epochs")
    assert seed["accuracy_mean"] == trained.results["published"].correct.mean()
    photos = read_photos(trained.folder / "photos.csv")
    assert photos == photo_rows(trained.results)
    assert [row["published"] for row in photos] == trained.results["published"].correct.tolist()
    assert [row["fold"] for row in photos] == protocol.fold.tolist()
    mistakes = mistakes_by_class(photos, "other")
    assert sum(total for _, total in mistakes.values()) == len(protocol.audit.photos)
    assert sum(wrong for wrong, _ in mistakes.values()) == pytest.approx((1 - trained.results["other"].correct).sum())
    labels = plots.differences(trained.rows).axes[0].get_yticklabels()
    assert {label.get_text().split()[0] for label in labels} == {"other", "flip", "pupil"}


def test_another_recipe_can_be_the_base(copied, protocol, no_training):
    table = {name: RECIPES[name] for name in ("other", "published")}
    rows, _ = compare(table, protocol, copied, base="other")
    gain = rows[1]["accuracy_mean"] - rows[0]["accuracy_mean"]
    assert [row["difference_mean"] for row in rows] == [0, pytest.approx(gain)]
    assert "to other" in rows_text(rows, "other").splitlines()[0]


def test_a_learning_curve_has_rows_for_each_share(copied, protocol):
    half, whole = (Protocol(protocol.audit, ROOT, 2, only=(0,), share=share) for share in (0.5, 1.0))
    rows = [compare({"other": RECIPES["other"]}, each, copied)[0][0] for each in (half, whole)]
    assert rows[0]["train_photos"] < rows[1]["train_photos"]
    assert rows[0]["photos"] == rows[1]["photos"]
    assert rows[0]["difference_mean"] is None
    assert "other" in rows_text(rows)
    assert read_rows(copied / "comparison.json")[-2:] == rows


def test_when_all_is_finished_no_model_is_needed(copied, protocol, no_training, trained):
    shutil.rmtree(copied / "published" / "fold-0-seed-0" / "kept")
    without_pupil = dict(list(RECIPES.items())[:3])  # it names the folder of its teacher
    assert compare(without_pupil, protocol, copied)[0] == trained.rows[:3]


def test_a_teacher_has_to_be_compared_too(protocol, tmp_path):
    with pytest.raises(ParameterError, match="taught by 'published', which is not compared"):
        compare({"pupil": RECIPES["pupil"]}, protocol, tmp_path)


def test_a_recipe_that_diverges_gets_no_row_and_the_others_do(copied, protocol, capsys, monkeypatch):
    wild = small(lr=1e30)
    table = {"published": RECIPES["published"], "wild": wild, "other": RECIPES["other"]}
    table |= {"wild flip": replace(wild, test_flip=True), "taught": small(teacher="wild")}
    once = Protocol(protocol.audit, ROOT, 2, only=(0,))
    for _ in range(2):
        rows, results = compare(table, once, copied)
        assert [row["recipe"] for row in rows] == list(results) == ["published", "other"]
        said = capsys.readouterr().err
        assert "wild gets no row: the training loss is not finite: lower lr" in said
        assert "wild flip gets no row: the training loss is not finite" in said
        assert "taught gets no row: its teacher 'wild' diverged" in said
        assert not [path for path in locks._held if path.is_relative_to(copied)]  # another process may continue
        monkeypatch.setattr(folds, "fit", None)  # what diverged is not tried again
    with pytest.raises(DivergedError, match="wild, with which the others are compared, diverged"):
        compare(table, once, copied, base="wild")


def test_label_errors_are_found_by_the_most_accurate_recipe_trained_on_plain_labels():
    accuracies = {"published": (0.9, {}), "fast": (0.95, {}), "smoothed": (0.97, {"label_smoothing": 0.1})}
    accuracies |= {name: (0.98, {name: 0.2}) for name in ("mixup", "cutmix")} | {"taught": (0.99, {"teacher": "fast"})}
    results = {
        name: SimpleNamespace(recipe=Recipe(**settings), accuracy=SimpleNamespace(mean=accuracy))
        for name, (accuracy, settings) in accuracies.items()
    }
    assert label_judge(results) == "fast"
    assert label_judge({"smoothed": results["smoothed"], "mixup": results["mixup"]}) == "mixup"
