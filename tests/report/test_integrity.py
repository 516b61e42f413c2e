"""A run whose files were changed is refused, and if forced, every page says so."""

import json

import pytest

from helpers.common.errors import RunError, UserError
from helpers.report import build
from helpers.report.integrity import CHANGED
from helpers.runs.results import add_checksums
from tests.report.made_up import edit_results, typeset


def test_an_edited_number_is_refused_and_if_forced_every_page_says_so(copied):
    edit_results(copied, training_seconds=3.0)
    with pytest.raises(RunError, match=r"results\.json was changed after the run wrote it.*--force makes"):
        build.compose(copied)
    content = build.compose(copied, force=True)[1]
    assert typeset(content, "<notice>") == [CHANGED] * typeset(content, "<last>")[0]


def test_results_without_checksums_are_refused(copied):
    results = json.loads((copied / "results.json").read_text())
    del results["checksums"]
    (copied / "results.json").write_text(json.dumps(results))
    with pytest.raises(RunError, match="checksum"):
        build.compose(copied)
    assert build.compose(copied, force=True)[1]["notice"] == CHANGED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_val_accuracy", 0.99),
        ("last_five_mean", 0.99),
        ("last_val_loss", 0.01),
        ("epochs", 7),
        ("best_val_correct", 97),
        ("confusion", [[20 * (i == j) for j in range(5)] for i in range(5)]),
    ],
)
def test_new_checksums_do_not_hide_an_edited_number(copied, name, value):
    results = json.loads((copied / "results.json").read_text()) | {name: value}
    (copied / "results.json").write_text(json.dumps(add_checksums(copied, results)))
    named = "confusion" if name == "best_val_correct" else name
    with pytest.raises(RunError, match=f"results.json: '{named}' does not follow from history.csv and predictions.csv"):
        build.compose(copied)
    assert build.compose(copied, force=True)[1]["notice"] == CHANGED


@pytest.mark.parametrize("name", ["recipe.json", "history.csv", "predictions.csv", "environment.json", "split.csv"])
def test_missing_files_are_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        build.compose(copied)


def test_a_split_of_another_run_is_named(copied):
    (copied / "split.csv").write_text("name,class,subset\na.jpg,daisy,val\n")
    with pytest.raises(RunError, match=r"split\.csv has 0 training and 1 validation photos"):
        build.compose(copied)


def test_a_damaged_environment_is_named(copied):
    (copied / "environment.json").write_text('{"python": 3}')
    with pytest.raises(RunError, match="is damaged"):
        build.compose(copied)
