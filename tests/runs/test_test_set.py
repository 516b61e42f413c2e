"""The test set: evaluated by the best model, and counted."""

import json
from dataclasses import replace

import pytest

from helpers.common.errors import RunError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.split import split_photos
from helpers.evaluation.published import result_rows
from helpers.runs.results import add_checksums, read_run_results, verify_checksums
from helpers.runs.saving import load_best_model
from helpers.runs.test_set import describe_test, evaluate_test_set
from tests.tiny import a_run, tiny_recipe


@pytest.fixture
def evaluated(finished, folder):
    """What evaluates a test set of the finished run's photos, and their split."""
    audit = audit_photos(find_photos(finished[1]))
    split = split_photos(audit, 0.5, 0, test_fraction=0.25)
    recipe, model = tiny_recipe(image_size=32, val_resize=36), load_best_model(folder)

    def evaluate(folder=folder, split=split):
        return evaluate_test_set(a_run(folder, recipe), audit, split, model)

    return evaluate, split


def test_the_numbers_are_those_of_the_stored_predictions_and_every_look_is_counted(evaluated, folder):
    evaluate, split = evaluated
    numbers = evaluate()["test"]
    rows = (folder / "test_predictions.csv").read_text().splitlines()[1:]
    right = sum(row.split(",")[1] == row.split(",")[2] for row in rows)
    assert (numbers["photos"], numbers["correct"]) == (len(split.test), right) == (len(rows), right)
    assert numbers["interval_low"] < numbers["accuracy"] == right / len(rows) < numbers["interval_high"]
    assert (numbers["evaluations"], numbers["evaluations_of_all_runs"]) == (1, 1)
    assert "chosen on these photos" not in describe_test({"test": numbers})
    other = evaluate(folder.parent / "b")["test"]
    assert (other["evaluations"], other["evaluations_of_all_runs"]) == (1, 2)
    twice = evaluate()["test"]
    assert (twice["evaluations"], twice["evaluations_of_all_runs"]) == (2, 3)
    assert "2 times by this run, 3 times by all runs" in describe_test({"test": twice})
    assert "chosen on these photos too" in describe_test({"test": twice})


@pytest.mark.parametrize("content", ["[]", "{", '{"photos_sha256": 1, "evaluations": "many"}'])
def test_a_strangers_file_beside_it_counts_for_nothing(evaluated, folder, content):
    (folder.parent / "c").mkdir()
    (folder.parent / "c" / "test.json").write_text(content)
    assert evaluated[0]()["test"]["evaluations_of_all_runs"] == 1


def test_without_a_test_set_nothing_is_written(evaluated, folder):
    evaluate, split = evaluated
    assert evaluate(split=replace(split, test=())) == {}
    assert not (folder / "test.json").exists()
    assert "set test_fraction" in describe_test({})


def test_the_result_is_among_the_numbers_and_its_file_among_the_checksums(evaluated, folder):
    results = read_run_results(folder) | evaluated[0]()
    assert "test accuracy" in result_rows(results)
    results = add_checksums(folder, results)
    assert verify_checksums(folder, results) == []
    (folder / "test_predictions.csv").write_text("name,class,predicted\n")
    assert "test_predictions.csv was changed" in verify_checksums(folder, results)[0]


@pytest.mark.parametrize("test", [[], {"photos": 3}])
def test_a_damaged_result_is_named(folder, test):
    (folder / "results.json").write_text(json.dumps(read_run_results(folder) | {"test": test}))
    with pytest.raises(RunError, match="of the test set is no number"):
        read_run_results(folder)
