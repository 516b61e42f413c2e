"""Recipes compared by cross-validation: which rows are taken, what is said, and that they are of the same photos."""

import json
import shutil
from pathlib import Path

import pytest

from helpers.common.errors import ParameterError
from helpers.recipe import Recipe
from helpers.report import build
from helpers.report.comparison import committed_comparison, read_comparison
from helpers.runs.finished import read_run
from tests.report.conftest import ROWS
from tests.report.made_up import BLANKS, finished_run, said_by, text_of
from tests.report.test_tables import table_of

ROOT = Path(__file__).parents[2]
BY_NAME = {row["recipe"]: row for row in ROWS}


def test_a_comparison_is_told_and_still_fits_in_four_pages(good, good_text, rows_file, tmp_path, monkeypatch):
    content = build.compose(good, rows_file())[1]
    text = text_of(content)
    gain = "the recipe “best” gains 3.50 points over the published one (95 % interval 2.50 to 4.50)"
    assert f"{gain}; as it is the best of 14, the gain is probably overestimated" in text_of(content["abstract"])
    assert text.count(gain) == text.count("probably overestimated") == 1
    assert "The published recipe (published) reaches 90.00% (88.0 to 92.0%)" in text
    # best, and "published + 6" to "published + 11" with 1.2 points and more, each ± 1
    assert "Of 14 others, seven are better, none worse and seven undecided." in text
    assert "Of 15 recipes, the presets and the clearest differences." in text
    monkeypatch.setattr(build, "draw_figures", lambda facts: BLANKS)
    assert build.build(good, tmp_path / "with.pdf", comparison=rows_file()).main_pages <= build.LIMIT
    assert "In cross-validation" not in good_text


def test_the_table_has_room_for_the_presets_and_the_clearest(good, rows_file):
    rows = table_of(build.compose(good, rows_file())[1], "tab-comparison")
    assert len(rows) == 10
    assert next(iter(rows)) == "best"
    assert {"published", "fast", "published + 11", "published + 6"} <= set(rows)
    assert rows["fast"][:2] == ["89.80 (87.8 to 91.8)", "−0.20 (−1.20 to +0.80)"]
    assert rows["published"][1] == "–"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["published", "fast"], "no other recipe (of one) is measurably better than the published one"),
        (
            ["published", "fast", "published + 1"],
            "no other recipe (of two) is measurably better than the published one",
        ),
        (["published", "fast", "published + 1"], "Of two others, none is better, none worse and two undecided."),
        (
            ["published", "best", "published + 9"],
            "Of two others, two are better, none worse and none undecided. A verdict requires the interval",
        ),
    ],
)
def test_what_is_said_depends_on_the_intervals(good, rows_file, names, sentence):
    text = said_by(good, comparison=rows_file([BY_NAME[name] for name in names]))
    assert sentence in text
    assert ("overestimated" in text) == ("best" in names)


def test_where_single_photos_are_known_the_folds_have_to_agree(good, rows_file):
    """The bootstrap over photos sees a gain; it is the gain of a single fold."""
    gain = {"difference_mean": 0.06, "difference_low": 0.02, "difference_high": 0.11}
    seed, fast = ({"photos": 100, "accuracy_mean": mean} for mean in (0.7, 0.76))
    path = rows_file([BY_NAME["published"] | seed, BY_NAME["fast"] | fast | gain])
    assert "the recipe “fast” gains 6.00 points" in said_by(good, comparison=path)
    lines = [f"{i}.jpg,rose,{i},{i % 5},{i >= 30:d},{i >= 30 or i % 5 == 0:d}" for i in range(100)]
    path.with_name("photos.csv").write_text("\n".join(["name,class,scene,fold,published,fast", *lines]))
    text = said_by(good, comparison=path)
    assert "no other recipe (of one) is measurably better than the published one" in text


def test_a_gain_has_both_intervals_and_further_work_what_was_measured(good, rows_file):
    best = {"difference_mean": 0.2, "difference_low": 0.13, "difference_high": 0.28}
    change = BY_NAME["published + 1"] | {"recipe": "published + MixUp"}
    both = {"photos": 100, "accuracy_mean": 0.7}, {"photos": 100, "accuracy_mean": 0.9}
    path = rows_file([BY_NAME["published"] | both[0], BY_NAME["best"] | best | both[1], change])
    lines = [f"{i}.jpg,rose,{i},{i % 5},{i >= 30:d},{i >= 10:d}" for i in range(100)]
    path.with_name("photos.csv").write_text("\n".join(["name,class,scene,fold,published,best", *lines]))
    content = build.compose(good, path)[1]
    text = text_of(content)
    # Each fold gains 4 of its 20 photos: without spread, Student's interval is a point.
    assert "(95 % interval 13.00 to 28.00 by bootstrap over scenes, 20.00 to 20.00 by t over folds)" in text
    assert table_of(content, "tab-further") == {"MixUp": ["+0.20 (−0.80 to +1.20)", "undecided"]}
    assert "Not measured: AutoAugment, TrivialAugment, CutMix, label smoothing," in text
    assert "first stages frozen, ResNet-50 and DenseNet-121." in text


def test_only_a_decided_gain_is_named(good, rows_file):
    wide = ROWS[1] | {"recipe": "wide", "difference_mean": 0.06, "difference_low": -0.01, "difference_high": 0.13}
    abstract = text_of(build.compose(good, rows_file([ROWS[0], wide, ROWS[2]]))[1]["abstract"])
    assert "the recipe “best” gains 3.50 points" in abstract
    assert "wide" not in abstract


def read(rows, run, rows_file):
    return read_comparison(rows_file(rows), run)


def test_of_several_comparisons_the_runs_backbone_then_best_then_cost_then_photos_decide(good, rows_file):
    run = read_run(good)

    def changed(**changes):
        return [row | {"cost": str(changes)} | changes for row in ROWS]

    other = changed(backbone="vgg16", photos=9999)
    taken = read([*other, *ROWS], run, rows_file)
    assert {row["backbone"] for row in taken} == {"resnet18"}
    assert len(taken) == len(ROWS)
    assert read(other, run, rows_file)[0]["backbone"] == "vgg16"
    curve = [row | {"train_photos": 40} for row in ROWS]
    assert {row["train_photos"] for row in read([*curve, *ROWS], run, rows_file)} == {400}
    small = changed(image_size=112, photos=9999)
    assert read([*small, *ROWS], run, rows_file)[0]["image_size"] == 224
    assert read([*changed(epochs=30), *ROWS], run, rows_file)[0]["epochs"] == 30
    without_best = [row for row in changed(epochs=30) if row["recipe"] != "best"]
    assert read([*without_best, *ROWS], run, rows_file)[0]["epochs"] == 25
    assert read([*changed(photos=501), *ROWS], run, rows_file)[0]["photos"] == 501


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "nothing with the published recipe"),
        ([{"recipe": "a"}], "damaged"),
        ([3], "damaged"),
        ([ROWS[0], ROWS[1] | {"difference_low": None}], "damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(good, rows_file, rows, message):
    with pytest.raises(ParameterError, match=rf"comparison\.json .*{message}"):
        read(rows, read_run(good), rows_file)


def test_a_demo_is_not_compared(tmp_path, rows_file):
    folder = finished_run(tmp_path / "demo", Recipe.from_preset("demo"))
    with pytest.raises(ParameterError, match="is of real photos, the run of drawn ones"):
        build.compose(folder, rows_file())


@pytest.fixture
def project(tmp_path, good):
    """A project whose committed seed run and comparison are of the photos of ``good``."""
    results = tmp_path / "project" / "report" / "results"
    shutil.copytree(good, results / "published-resnet18")
    (results / "comparison.json").write_text(json.dumps(ROWS))
    return tmp_path / "project"


def test_the_projects_comparison_is_quoted_for_the_same_photos_only(copied, project):
    path = project / "report" / "results" / "comparison.json"
    assert committed_comparison(read_run(copied), project) == path
    environment = json.loads((copied / "environment.json").read_text())
    (copied / "environment.json").write_text(json.dumps(environment | {"data_fingerprint": "0" * 16}))
    assert committed_comparison(read_run(copied), project) is None


@pytest.mark.parametrize("other", [{"photos": 301}, {"weights_sha256": "another file's"}])
def test_the_projects_comparison_of_other_photos_or_weights_is_not_quoted(copied, project, other):
    rows = [row | other for row in ROWS]
    (project / "report" / "results" / "comparison.json").write_text(json.dumps(rows))
    assert committed_comparison(read_run(copied), project) is None


def test_the_committed_runs_quote_the_comparison_if_it_is_of_their_weights():
    results = ROOT / "report" / "results"
    compared = {row["weights_sha256"] for row in json.loads((results / "comparison.json").read_text())}
    for name in ("published", "fast", "best"):
        run = read_run(results / f"{name}-mobilenet_v2")
        expected = results / "comparison.json" if run.environment.get("weights_sha256") in compared else None
        assert committed_comparison(run, ROOT) == expected
    assert committed_comparison(read_run(results / "demo-mobilenet_v2"), ROOT) is None


def test_another_network_than_the_runs_is_named(good, rows_file):
    text = said_by(good, comparison=rows_file([row | {"backbone": "vgg16"} for row in ROWS]))
    assert "In cross-validation with VGG-16, the recipe “best” gains" in text
