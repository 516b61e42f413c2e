"""A finished run becomes a hand-in; what cannot be handed in is refused by name, and nothing is written."""

import json
import shutil
import zipfile

import pytest
import torch
from torchvision import models

from helpers.common import tensors
from helpers.common.errors import UserError
from helpers.common.files import read_json, write_json
from helpers.evaluation.predictions import read_predictions
from helpers.recipe import Recipe
from helpers.runs.changes import save_changes
from helpers.runs.results import analysis_numbers, read_run_results, save_results
from teaching import submit as module
from teaching.__main__ import main
from teaching.checks.sandbox import Report, check
from teaching.checks.sections import SECTIONS
from teaching.submit import SubmissionError, script_of, submit
from tests.conftest import colourful
from tests.finished_run import finished_run, two_flowers

FLOWERS = ("daisy", "dandelion", "rose", "sunflower", "tulip")


def five_flowers(folder):
    for label, name in enumerate(FLOWERS):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            colourful((60, 60), 100 * label + i).save(folder / name / f"{i}.jpg")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = finished_run(tmp_path_factory.mktemp("run"), "mobilenet_v2", five_flowers)[0]
    facts = {"device_name": "A Processor", "precision": "float32", "seed": 0, "deterministic": True, "device": "cpu"}
    facts |= {"python": "3.11.7", "packages": {"torch": "2.14.1", "torchvision": "0.29.2"}}
    facts |= {"git_commit": "0123456789abcdef", "data_fingerprint": "fedcba9876543210"}
    write_json(folder / "environment.json", read_json(folder / "environment.json") | facts)
    save_results(folder, read_run_results(folder) | analysis_numbers(read_predictions(folder)))
    return folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_bundle_holds_script_weights_report_and_readme(run, capsys):
    assert main(["submit", str(run), "--student", "2023001", "--name", "Li <b>Wei"]) == 0
    assert "60 points by the checks" in capsys.readouterr().out
    folder = run / "Ex2"
    files = ["README.md", "main.py", "report.pdf", "work_dir/best_model.pth"]
    assert [name for name in names(folder) if name != "work_dir"] == files
    with zipfile.ZipFile(run / "Ex2-2023001.zip") as archive:
        assert sorted(archive.namelist()) == [f"Ex2/{name}" for name in files]
        assert all(archive.read(f"Ex2/{name}") == (folder / name).read_bytes() for name in files)
    script = (folder / "main.py").read_text("utf-8")
    assert 'BACKBONE = "mobilenet_v2"' in script
    assert "IMAGE_SIZE, VAL_RESIZE = 32, 36" in script
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    model = models.mobilenet_v2(num_classes=5)
    model.load_state_dict(torch.load(folder / "work_dir" / "best_model.pth", weights_only=True))
    assert "2023001" in (folder / "README.md").read_text("utf-8")
    before = names(run)
    assert main(["submit", str(run), "--student", "2023001", "--name", "A"]) == 1
    assert "exists already: remove it" in capsys.readouterr().err
    assert names(run) == before


def damage(path):
    path.write_bytes(path.read_bytes()[:1000])


def not_finite(path):
    state = tensors.load_tensors(path)
    next(iter(state.values())).view(-1)[0] = float("nan")
    tensors.save_tensors(path, state)


def wrong_accuracy(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"best_val_accuracy": 0.99}))


FAULTS = {
    "an unfinished run": (lambda run: (run / "results.json").unlink(), "not finished"),
    "damaged weights": (lambda run: damage(run / "best_model.pth"), "best_model.pth"),
    "no weights": (lambda run: (run / "best_model.pth").unlink(), "best_model.pth"),
    "results that were edited": (lambda run: wrong_accuracy(run / "results.json"), "results.json"),
    "a change in a cell": (lambda run: save_changes(run, {"loss": "FocalLoss()"}), "trained with loss changed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_with_a_fault_is_refused_by_name_and_nothing_is_written(run, fault):
    spoil, message = FAULTS[fault]
    spoil(run)
    before = names(run)
    with pytest.raises(UserError, match=message):
        submit(run, "1", "A")
    assert names(run) == before


def test_other_classes_are_refused(tmp_path):
    run = finished_run(tmp_path, "mobilenet_v2", two_flowers)[0]
    with pytest.raises(SubmissionError, match="tells rose, tulip apart"):
        submit(run, "1", "A")
    assert not (run / "Ex2").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda patch: patch.setattr(module, "LIMIT", 0), "pages of text; the assignment allows"),
        (lambda patch: patch.setattr(module, "LARGEST", 1 << 20), r"best_model\.pth is larger than 100 MB"),
    ],
)
def test_a_long_report_and_large_weights_are_refused_and_nothing_is_left(run, monkeypatch, spoil, message):
    right = {section.number: {"passed": True, "seen": ""} for section in SECTIONS}
    monkeypatch.setattr(module, "check", lambda name, content: Report(name, right))
    spoil(monkeypatch)
    before = names(run)
    with pytest.raises(SubmissionError, match=message):
        submit(run, "1", "A")
    assert names(run) == before


def test_a_script_that_fails_its_checks_is_not_written(run, monkeypatch):
    monkeypatch.setattr(module, "script_of", lambda recipe, run: "print('nothing')\n")
    before = names(run)
    with pytest.raises(SubmissionError, match=r"fails its own checks in section 1"):
        submit(run, "1", "A")
    assert names(run) == before


@pytest.mark.parametrize(("student", "name"), [("", "A"), ("1", " "), ("../1", "A"), ("1 2", "A")])
def test_number_and_name_are_needed(run, student, name):
    with pytest.raises(SubmissionError, match="student number and name are needed"):
        submit(run, student, name)


def test_settings_that_the_script_does_not_have_are_named(tmp_path):
    with pytest.raises(SubmissionError, match="mixup"):
        script_of(Recipe.from_preset("published", mixup=0.2), tmp_path)
    with pytest.raises(SubmissionError, match="schedule"):
        script_of(Recipe.from_preset("published", schedule="onecycle"), tmp_path)


def test_weights_that_are_not_finite_are_refused(run):
    not_finite(run / "best_model.pth")
    with pytest.raises(UserError, match=r"best_model\.pth"):
        submit(run, "1", "A")


def test_a_cosine_schedule_with_warmup_is_written_and_passes_the_checks(tmp_path):
    script = script_of(Recipe.from_preset("published", schedule="cosine", warmup_epochs=2), tmp_path)
    assert "CosineAnnealingLR(optimizer, T_max=EPOCHS - 2)" in script
    assert "LR_STEP" not in script
    report = check("main.py", script.encode(), sections=[5], passed=[1, 2, 3, 4, 6])
    assert report.sections[5]["passed"], report.sections[5]["seen"]
