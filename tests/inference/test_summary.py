"""Predictions as a table, a summary and a CSV file."""

import os

import numpy as np
import torch

from helpers.inference import open_predictor, summary
from helpers.inference.predictor import Prediction
from helpers.inference.summary import PredictionSummary, label_of, sunflower_warning, trained_names


def prediction(path, probabilities, is_ood=False):
    return Prediction(path, np.zeros((3, 8, 8), np.uint8), torch.tensor(probabilities), is_ood)


def test_predictions_are_counted_by_hand(tmp_path):
    counts = PredictionSummary(("rose", "tulip"), frozenset({"rose/1.jpg"}))
    for path, probabilities, is_ood in (
        ("roses/1.jpg", [0.9, 0.1], False),
        ("Rose/2.jpg", [0.2, 0.8], True),
        ("tulip/3.jpg", [0.2, 0.8], False),
        ("other/4.jpg", [0.7, 0.3], False),
    ):
        counts.add(prediction(tmp_path / path, probabilities, is_ood))
    counts.add(Prediction(tmp_path / "x", error="not a photo"))
    assert str(counts).splitlines() == [
        "4 photos: 2 rose, 2 tulip",
        "1 file could not be read",
        "1 (25.0%) flagged: like none of the classes?",
        "accuracy by folder names: 1 of 2, 50.00% (95 % interval 9.5% to 90.5%)",
        "  rose           0 of 1, 1 predicted tulip",
        "  tulip          1 of 1",
        "accuracy by folder names, on training photos (by name): 1 of 1, 100.00% (95 % interval 20.7% to 100.0%)",
        "  rose           1 of 1",
    ]


def test_training_photos_are_recognized_by_split_csv(finished, tmp_path):
    assert len(trained_names(finished[0])) == 32
    assert trained_names(tmp_path) == frozenset()


def test_predicted_sunflowers_come_with_a_warning_about_yellow_dandelions(tmp_path):
    counts = PredictionSummary(("dandelion", "sunflowers"))
    assert sunflower_warning(counts) == ""
    counts.add(prediction(tmp_path / "a.jpg", [0.1, 0.9]))
    assert "every dandelion is a white seed head" in sunflower_warning(counts)
    assert sunflower_warning(PredictionSummary(("rose", "sunflower"))) == ""


def test_caveats_are_two_lines_and_a_demo_run_s_says_so(finished):
    predictor = open_predictor(finished[0], "cpu")
    counts = PredictionSummary(predictor.classes)
    run, caveat = summary.caveats(counts, predictor)
    assert run.startswith("run a: squeezenet1_1 for rose, tulip; accuracy ")
    assert caveat.startswith("Flagged photos are more unusual than 95 % of the 8 validation photos (ViM).")
    predictor.run.results["demo"] = True
    assert "trained on drawings" in summary.caveats(counts, predictor)[1]
    predictor.run.results["demo"] = False


def test_a_folder_is_matched_by_spelling_first_then_by_case_and_plural(tmp_path):
    assert label_of(tmp_path / "iris" / "a.jpg", ("iri", "iris")) == 1
    assert label_of(tmp_path / "IRIS" / "a.jpg", ("rose", "iris")) == 1
    assert label_of(tmp_path / "rose" / "a.jpg", ("daisy", "roses")) == 1
    assert label_of(tmp_path / "sunroses" / "a.jpg", ("rose",)) is None


def test_the_csv_format_has_a_column_per_class(tmp_path):
    classes, path = ("rose", "tulip"), tmp_path / "all.csv"
    found = [prediction(tmp_path / "a.jpg", [0.25, 0.75], True), Prediction(tmp_path / "x.jpg", error="is empty")]
    summary.write_csv(path, [summary.csv_row(each, classes) for each in found], classes)
    assert path.read_text().splitlines() == [
        "name,class,like_none,problem,rose,tulip",
        f"{tmp_path / 'a.jpg'},tulip,yes,,0.25,0.75",
        f"{tmp_path / 'x.jpg'},,,is empty,,",
    ]


def test_names_that_are_not_unicode_are_written_as_they_are(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    summary.write_csv(tmp_path / "all.csv", [summary.csv_row(Prediction(tmp_path / name, error="x"), ())], ())
    assert b"caf\xe9.jpg" in (tmp_path / "all.csv").read_bytes()


def test_names_in_the_table_are_shortened_from_the_left(tmp_path):
    long = tmp_path / ("x" * 70 + ".jpg")
    head, line = summary.prediction_table([prediction(long, [0.25, 0.75], True)], ("rose", "tulip"), [long])
    assert line.startswith("…xxx")
    assert line.split()[1:] == ["tulip", "75.0%", "rose", "25.0%", *summary.UNUSUAL.split()]
    assert head.index("predicted") == line.index("tulip") == 58
    _, line = summary.prediction_table([prediction(long, [1.0, 0.0])], ("rose", "tulip"), [long], lambda path: "short")
    assert line.split() == ["short", "rose", "100.0%", "tulip", "0.0%"]
