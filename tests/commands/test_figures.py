"""A run's figures, drawn again from its folder: all of them, or all that its state allows, with the reasons."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from helpers.commands import main, run_figures
from helpers.commands.run_figures import RunData
from helpers.common.errors import PhotosError
from helpers.data.audit import audit_photos
from helpers.data.augmentation import val_transform
from helpers.data.image_folder import find_photos
from helpers.data.loading.streaming import StreamingLoader
from helpers.data.sources import locate
from helpers.data.split import split_photos, write_split
from helpers.evaluation.predictions import StoredPredictions, predict, read_predictions
from helpers.recipe import Recipe
from helpers.runs.changes import save_changes
from helpers.runs.finished import read_partial_run
from helpers.runs.history import Epoch, History
from helpers.runs.results import analysis_numbers, summarize
from tests.conftest import colourful
from tests.tiny import CPU, a_run, random_model

ALL = dict(run_figures.FIGURES)
OF_PHOTOS = {"class_samples", "augmentation", "black_border", "transforms", "duplicates"}
OF_PREDICTIONS = {"confusion", "class_scores", "reliability"}
OF_MODEL = {"saliency", "embedding"}
OF_BOTH = {"mistakes", "uncertain", "suspects"}  # predictions and photos


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that is whole, of a network that has learned nothing."""
    root = tmp_path_factory.mktemp("project")
    photos = root / "photos"
    for number, name in enumerate(("rose", "tulip")):
        (photos / name).mkdir(parents=True)
        for i in range(8):
            colourful((60, 40), 100 * number + i).save(photos / name / f"{i}.jpg")
    shutil.copy(photos / "rose" / "0.jpg", photos / "rose" / "copy.jpg")
    recipe = Recipe.from_preset(
        "published", dataset=str(photos), image_size=32, crop_size=48, val_resize=36, workers=0, weights="none"
    )
    run, audit = a_run(root / "work_dir" / "a", recipe), audit_photos(find_photos(photos))
    split = split_photos(audit, 0.5, 0)
    model = random_model("resnet18", 2, 0.5, seed=3)
    feed = StreamingLoader(audit.photos, split.val, val_transform(recipe), recipe, CPU, shuffle=False)
    predictions = predict(model, feed, torch.float32)
    history = History([Epoch(0, 0.05, 0.7, 0.5, 0.6, predictions.accuracy)])
    (run.folder / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    (run.folder / "environment.json").write_text(json.dumps({"data_fingerprint": audit.fingerprint}))
    write_split(run.folder / "split.csv", audit.photos, split)
    run.save_history(history)
    run.save_best(model.state_dict(), history.best, audit.photos.classes)
    run.save_predictions(predictions, [audit.photos.names[i] for i in split.val], audit.photos.classes)
    numbers = analysis_numbers(read_predictions(run.folder))
    run.save_results(summarize(run, audit, split, history, predictions, [1.0]) | numbers)
    return run.folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(finished, tmp_path / "a")


def missing(folder, monkeypatch, data=None, among=tuple(run_figures.FIGURES)):
    """Names of the figures that cannot be drawn, and everything that was said."""
    monkeypatch.setattr(run_figures, "FIGURES", {name: ALL[name] for name in among})
    monkeypatch.setattr(run_figures, "save_figure", lambda path, figure: figure.axes[0])
    said = []
    material = RunData(
        read_partial_run(folder), Path(folder.anchor), data, said.append
    )  # the whole disk is the project
    said += material.run.notes
    return set(run_figures.draw_all(material, folder, said.append)), "\n".join(said)


def test_everything_is_drawn_from_the_folder_alone(folder, capsys):
    photos = json.loads((folder / "recipe.json").read_text())["dataset"]
    assert main(["figures", str(folder), "--data", photos]) == 0
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn == OF_PHOTOS | OF_PREDICTIONS | OF_MODEL | OF_BOTH | {"curves", "learning_rate"}
    output = capsys.readouterr().out
    assert "15 of 15 figures drawn" in output
    assert "note" not in output


def test_what_a_cell_changed_is_not_drawn_as_the_recipe_has_it(folder, monkeypatch):
    photos = json.loads((folder / "recipe.json").read_text())["dataset"]
    save_changes(folder, {"train_transform": "Compose()", "schedule": "Mine()"})
    rates, labels = [], []

    def figure(record, *values):
        record.extend(values)
        drawn = Figure()
        drawn.add_subplot()
        return drawn

    monkeypatch.setattr(run_figures.training, "learning_rate_curve", lambda drawn: figure(rates, *drawn))
    monkeypatch.setattr(run_figures.training, "training_curves", lambda history, *label: figure(labels, *label))
    among = ("augmentation", "black_border", "transforms", "learning_rate", "curves")
    lost, said = missing(folder, monkeypatch, photos, among)
    assert lost == {"augmentation", "black_border", "transforms"}
    assert "the train transform was changed by hand: only the notebook itself draws this" in said
    assert (rates, labels) == ([0.05], [])  # the history's; not "augmented", which nobody knows


def test_numbers_of_the_analysis_by_hand_in_plain_json():
    """Four photos; the second, a rose, is called a tulip as firmly as tulips are on average (0.76), and more."""
    probabilities = torch.tensor([[0.9, 0.1], [0.22, 0.78], [0.18, 0.82], [0.3, 0.7]], dtype=torch.float64)
    called = StoredPredictions(tuple("abcd"), ("rose", "tulip"), probabilities, torch.tensor([0, 0, 1, 1]))
    numbers = json.loads(json.dumps(analysis_numbers(called)))
    calibration = numbers["calibration"]
    assert calibration["ece"] == pytest.approx((0.1 + 0.78 + 0.18 + 0.3) / 4)  # each photo in a bin of its own
    assert calibration["mean_confidence"] == pytest.approx(0.8)
    assert calibration["loss"] == pytest.approx(0.54365, abs=1e-5)  # -(ln 0.9 + ln 0.22 + ln 0.82 + ln 0.7) / 4
    rose, tulip = numbers["class_intervals"]
    assert (rose["name"], tulip["name"]) == ("rose", "tulip")
    assert rose["precision"] == pytest.approx([0.2065, 1], abs=1e-4)  # Wilson's, 1 of 1
    assert rose["recall"] == pytest.approx([0.0945, 0.9055], abs=1e-4)  # 1 of 2
    assert tulip["precision"] == pytest.approx([0.2077, 0.9385], abs=1e-4)  # 2 of 3
    assert tulip["recall"] == pytest.approx([0.3424, 1], abs=1e-4)  # 2 of 2
    assert tulip["f1"] == pytest.approx([0.3439, 0.9683], abs=1e-4)  # 2 J / (1 + J) of Jaccard's 2 of 3
    assert numbers["suspected_labels"] == 1


def test_photos_are_never_downloaded_for_a_figure(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "download", lambda *_, **__: pytest.fail("229 MB would be downloaded"))
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe | {"dataset": "flower_photos"}))
    with pytest.raises(PhotosError, match=r"flower_photos is not downloaded yet.*\(--data says where"):
        _ = RunData(read_partial_run(folder), tmp_path).audit


def test_a_run_is_found_by_its_name_and_the_newest_without_one(folder, monkeypatch, capsys):
    monkeypatch.setenv("FLOWERS_WORK_DIR", str(folder.parent))
    monkeypatch.setattr(run_figures, "FIGURES", {"curves": ALL["curves"]})
    for named in (["a"], []):
        assert main(["figures", *named]) == 0
        assert f"drawn: {folder / 'figures' / 'curves'}.png" in capsys.readouterr().out


def test_photos_that_were_moved_are_asked_for_and_found(folder, tmp_path, monkeypatch):
    recipe = json.loads((folder / "recipe.json").read_text())
    photos, recipe["dataset"] = recipe["dataset"], str(tmp_path / "gone")
    (folder / "recipe.json").write_text(json.dumps(recipe))
    names, said = missing(folder, monkeypatch)
    assert names == OF_PHOTOS | OF_MODEL | OF_BOTH
    assert "gone does not exist" in said
    assert "--data says where" in said
    names, said = missing(folder, monkeypatch, photos, among=("class_samples", "mistakes", "saliency"))
    assert names == set()
    assert "not those" not in said


def test_other_photos_are_noticed(folder, grow, monkeypatch):
    names, said = missing(folder, monkeypatch, str(grow({"rose": 4, "tulip": 4})))
    assert "are not those of the run" in said
    assert OF_PREDICTIONS.isdisjoint(names)
    assert "predicted photos are not in" in said
    assert names >= OF_BOTH | {"saliency", "embedding"}


def test_damaged_weights_cost_the_figures_that_need_them(folder, monkeypatch):
    (folder / "best_model.pth").write_bytes(b"PK not any more")
    names, said = missing(folder, monkeypatch)
    assert names == OF_MODEL
    assert "best_model.pth" in said


def test_lost_predictions_cost_the_figures_that_need_them(folder, monkeypatch):
    (folder / "predictions.csv").write_text("name,class\nrose/0.jpg,rose")
    names, said = missing(folder, monkeypatch)
    assert names == OF_PREDICTIONS | OF_BOTH | {"saliency", "embedding"}
    assert "predictions.csv was changed after the run wrote it" in said


def test_a_run_that_is_not_finished_shows_its_curves_and_photos(folder, monkeypatch):
    for name in ("results.json", "predictions.csv", "best_model.pth", "best_model.json"):
        (folder / name).unlink()
    names, said = missing(folder, monkeypatch)
    assert names == OF_PREDICTIONS | OF_MODEL | OF_BOTH
    assert "a run that is not finished" in said


def test_before_the_first_epoch_there_are_no_curves(folder, monkeypatch):
    (folder / "history.csv").write_text(",".join(Epoch._fields) + "\n")
    names, said = missing(folder, monkeypatch, among=("curves", "learning_rate", "confusion"))
    assert names == {"curves", "learning_rate"}
    assert "history" in said


def test_a_run_of_another_version_is_drawn_and_named(folder, monkeypatch):
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe | {"petals": 5}))
    names, said = missing(folder, monkeypatch, among=("curves", "augmentation", "saliency"))
    assert names == set()
    assert "has settings that this version does not: petals" in said


def test_without_a_recipe_what_needs_none_is_drawn(folder, monkeypatch):
    (folder / "recipe.json").write_text("{")
    names, said = missing(folder, monkeypatch)
    assert "recipe.json is damaged" in said
    assert names == set(ALL) - OF_PREDICTIONS - {"curves", "learning_rate"}


def test_no_run_at_all_is_said_in_a_line(tmp_path, capsys):
    assert main(["figures", str(tmp_path)]) == 1
    assert "is not the folder of a run" in capsys.readouterr().err
    assert main(["figures", str(tmp_path / "nowhere")]) == 1
    assert "there is no run" in capsys.readouterr().err


def test_what_is_missing_is_counted_in_the_exit_code(folder, tmp_path, capsys):
    for name in ("best_model.pth", "split.csv", "recipe.json", "predictions.csv"):
        (folder / name).unlink()
    assert main(["figures", str(folder), "--output", str(tmp_path / "out")]) == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"curves.png", "learning_rate.png"}
    assert "2 of 15 figures drawn" in capsys.readouterr().out
