"""The tables: only what the paper gives in the published column, an interval beside each validation accuracy."""

from helpers.evaluation.statistics import wilson_interval
from helpers.recipe import Recipe
from helpers.report import build
from tests.report.made_up import finished_run, real


def table_of(content, label):
    """The rows of a table, by their first cell."""
    blocks = [block for section in content["sections"] for block in section["blocks"]]
    (table,) = [block for block in blocks if block.get("label") == label]
    return {row[0]: row[1:] for row in table["rows"]}


def test_dropout_and_batch_size_of_the_paper_are_assumed(good_content):
    recipe = table_of(good_content, "tab-recipe")
    assert recipe["dropout"] == ["0.5", "0.5 (assumed)"]
    assert recipe["batch size"] == ["32", "32 (assumed)"]
    assert [name for name, (_, published) in recipe.items() if "assumed" in published] == ["dropout", "batch size"]


def test_every_setting_that_differs_is_a_row_of_its_own(tmp_path):
    best = Recipe.from_preset("best", dataset="photos/flower_photos", weights="imagenet")
    rows = table_of(build.compose(finished_run(tmp_path / "best", best))[1], "tab-recipe")
    assert rows["freeze fraction *"] == ["0.6", "–"]
    assert rows["rotation *"] == ["none", "30"]
    assert rows["eval image size *"] == ["256", "–"]
    assert rows["image size"] == ["224", "224"]
    assert rows["weights"] == ["imagenet", "imagenet"]
    assert rows["clip norm *"] == ["5", "–"]
    assert rows["test flip *"] == ["yes", "–"]
    assert rows["crop *"] == ["random resized", "center"]
    assert not {"seed", "precision", "work dir", "dataset"} & {name.removesuffix(" *") for name in rows}


def test_each_validation_accuracy_has_its_interval(good_content):
    rows = table_of(good_content, "tab-published")
    assert rows["best epoch: val. accuracy"] == ["90.00% (82.6–94.5%)", "96.49% (94.6–97.7%)"]
    low, high = wilson_interval(532, 570)
    assert rows["first epoch: val. accuracy"][1] == f"93.33% ({100 * low:.1f}–{high:.1%})"
    assert all("–" in ours for name, (ours, _) in rows.items() if "val. accuracy" in name)
    assert rows["mean of last five epochs"][1] == "not given"
    assert rows["best epoch"] == ["3", "17"]


def test_scores_have_intervals_and_long_names_leave_room_for_one(good_content, tmp_path):
    low, high = (100 * end for end in wilson_interval(18, 20))
    share = f"90.0 ({low:.1f}–{high:.1f})"
    assert table_of(good_content, "tab-scores")["rose"] == ["20", share, share, "90.0"]
    folder = finished_run(tmp_path / "long", real(), ("black-eyed susan flower", "rose"))
    assert table_of(build.compose(folder)[1], "tab-scores")["rose"] == ["20", "90.0", share, "90.0"]


def test_photos_by_class_add_up(good_content):
    rows = table_of(good_content, "tab-photos")
    assert rows["rose"] == ["80", "20", "100"]
    assert rows["total"] == ["400", "100", "500"]
