"""Bundle a finished run as a hand-in: the script with the run's settings, its best model, its report, zipped."""

import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torchvision import models

from helpers.common import tensors
from helpers.common.errors import RunError, UserError
from helpers.common.text import printable
from helpers.evaluation.published import are_the_flowers
from helpers.recipe import DEFAULTS, Recipe
from helpers.report.build import LIMIT, build
from helpers.report.integrity import check_integrity
from helpers.runs.changes import read_changes
from helpers.runs.finished import FinishedRun, read_run
from helpers.runs.saving import WEIGHTS, ModelFacts, read_model_facts
from teaching.checks.sandbox import check
from teaching.checks.sections import SECTIONS
from teaching.release import SOLUTION

LARGEST = 100_000_000  # bytes
# Settings of a run → the script's; the script writes the same values under these names.
WRITTEN = {
    name: name.upper() for name in DEFAULTS if re.search(rf"\b{name.upper()}\b.* = ", SOLUTION.read_text("utf-8"))
}
FREE = {*Recipe.names("name", "place", "data", "machine"), "precision", "deterministic", "weights"}
STEP = "scheduler = lr_scheduler.StepLR(optimizer, step_size=LR_STEP, gamma=LR_GAMMA)"
COSINE = "scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS - {warmup})"
WARMUP = """
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=1 / ({warmup} + 1), total_iters={warmup})
    scheduler = lr_scheduler.SequentialLR(optimizer, [warmup, scheduler], milestones=[{warmup}])"""


class SubmissionError(UserError):
    """A run cannot be handed in. The message says why, and what to do about it."""


class Bundle(NamedTuple):
    """A hand-in on disk."""

    folder: Path
    archive: Path
    points: int
    pages: int


def submit(run: Path, student: str, name: str, output: Path | None = None) -> Bundle:
    """Write ``Ex2/`` with script, weights, report and README, and the zip file of it, after checking all of them.

    Args:
        output: the folder to make; default: ``Ex2`` in the run's folder.

    Raises:
        UserError: the run cannot be handed in, or the folder exists. Nothing is written then.
    """
    if not re.fullmatch(r"[\w-]+", student) or not name.strip():
        raise SubmissionError("""student number and name are needed: ARGS='--student 2023000001 --name "A. Student"'""")
    output = output or run / "Ex2"
    archive = output.with_name(f"{output.name}-{student}.zip")
    for path in (output, archive):
        if path.exists():
            raise SubmissionError(f"{path} exists already: remove it, or name another folder with --output")
    finished, facts = read_run(run), read_model_facts(run)
    check_integrity(finished, force=False)
    _check_same_task(finished, facts)
    state = plain_state(run, facts)
    script = script_of(finished.recipe, run)
    report = check("main.py", script.encode())
    failed = [section.number for section in SECTIONS if section.number not in report.passed]
    wrong = [f"section {number} ({report.sections[number]['seen']})" for number in failed]
    if wrong:
        raise SubmissionError(f"the script of {run} fails its own checks in {', '.join(wrong)}: hand in another run")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
        folder = Path(temporary) / "Ex2"
        (folder / "work_dir").mkdir(parents=True)
        (folder / "main.py").write_text(script, encoding="utf-8")
        tensors.save_tensors(folder / "work_dir" / "best_model.pth", state)
        pages = build(run, folder / "report.pdf", author=f"{name} ({student})").main_pages
        (folder / "README.md").write_text(readme(finished, facts, student, name), encoding="utf-8")
        _check_files(folder, pages)
        packed = _pack(folder, Path(temporary) / archive.name)
        shutil.move(folder, output)
        shutil.move(packed, archive)
    return Bundle(output, archive, report.points, pages)


def _check_same_task(run: FinishedRun, facts: ModelFacts) -> None:
    if not are_the_flowers(facts.classes):
        raise SubmissionError(
            f"{run.folder} tells {', '.join(facts.classes)} apart, but the assignment asks for its five flowers: "
            "hand in a run on the course's photos"
        )
    if changes := read_changes(run.folder):
        raise SubmissionError(
            f"{run.folder} was trained with {', '.join(changes)} changed in a cell, which the script would not do: "
            "write the change into the script's block by hand"
        )
    if wrong := facts.differs_from(run.recipe):
        raise SubmissionError(f"{run.folder}: model and recipe differ in {', '.join(wrong)}: copy the run again")


def script_of(recipe: Recipe, run: Path) -> str:
    """Return the assignment's script with a run's settings written in.

    Raises:
        SubmissionError: the run has a setting that the script does not have.
    """
    plain = {**DEFAULTS, "schedule": recipe.schedule, "warmup_epochs": recipe.warmup_epochs}
    foreign = [name for name, value in vars(recipe).items() if name not in {*WRITTEN, *FREE} and value != plain[name]]
    if recipe.schedule == "onecycle":
        foreign.append("schedule")
    if foreign:
        raise SubmissionError(
            f"{run} was trained with settings that the assignment's script does not have ({', '.join(foreign)}): "
            "hand in a run of the preset published or demo"
        )
    weights = {"imagenet": "DEFAULT", "none": None}.get(recipe.weights, Path(recipe.weights).name)
    values = {constant: getattr(recipe, name) for name, constant in WRITTEN.items()} | {"WEIGHTS": weights}
    text = _assigned(SOLUTION.read_text("utf-8"), values)
    if recipe.schedule == "cosine":
        warmup = min(recipe.warmup_epochs, recipe.epochs - 1)
        text = text.replace(STEP, (COSINE + (WARMUP if warmup else "")).format(warmup=warmup))
        text = re.sub(r"LR_STEP, LR_GAMMA = .*\n", "", text)
    return text


def _assigned(text: str, values: dict[str, Any]) -> str:
    """Return the text with values written into the lines that assign to these names; the comments stay."""

    def line(match: re.Match) -> str:
        names = match[1].split(", ")
        if not values.keys() >= set(names):
            return match[0]
        new = ", ".join(repr(values[name]).replace("'", '"') for name in names)
        return f"{match[1]} = {new}{match[3] or ''}"

    return re.sub(r"(?m)^([A-Z][A-Z_, ]*) = (.*?)(  #.*)?$", line, text)


def plain_state(run: Path, facts: ModelFacts) -> dict[str, torch.Tensor]:
    """Return the best model's weights under torchvision's own names, with which the script's network loads them.

    Raises:
        SubmissionError: they do not fit, or hold numbers that are not finite.
        RunError: the file is damaged.
    """
    state = tensors.load_tensors(run / WEIGHTS)
    plain = models.get_model(facts.backbone, weights=None, num_classes=len(facts.classes))
    if not isinstance(state, dict) or not all(isinstance(each, torch.Tensor) for each in state.values()):
        raise RunError(f"{run / WEIGHTS} holds no state dict: run again")
    renamed = {_plain_name(name, plain): each for name, each in state.items()}
    try:
        plain.load_state_dict(renamed)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise SubmissionError(f"{run / WEIGHTS} does not fit torchvision's {facts.backbone} ({reason})") from error
    if not all(bool(torch.isfinite(each).all()) for each in renamed.values()):
        raise SubmissionError(f"{run / WEIGHTS} holds numbers that are not finite: train again")
    return {name: each.contiguous() for name, each in renamed.items()}


def _plain_name(name: str, plain: nn.Module) -> str:
    """Leave out the place in the head that our last layer has: ``fc.1.weight`` → ``fc.weight``."""
    layer, _, leaf = name.rpartition(".")
    return name if name in plain.state_dict() else f"{layer.rpartition('.')[0]}.{leaf}"


def readme(run: FinishedRun, facts: ModelFacts, student: str, name: str) -> str:
    """Return the hand-in's README."""
    results = run.results
    return f"""# Assignment 1: {printable(name)} ({student})

- `main.py`: the script, with the settings of the run `{results["run"]}`. `python main.py` trains on `flower_dataset/`.
- `work_dir/best_model.pth`: the weights of epoch {facts.epoch}, as a plain state dict in torchvision's names:
  `models.get_model("{facts.backbone}", num_classes={len(facts.classes)}).load_state_dict(torch.load(path))`.
  Classes, in the order of the outputs: {", ".join(facts.classes)}.
- `report.pdf`: the report.

Best validation accuracy: {results["best_val_accuracy"]:.6f} ({results["best_val_correct"]} of
{results["val_photos"]} photos), trained on {results["train_photos"]} photos. The run was made with
the project's own training loop, which does what `main.py` does; random numbers differ, so `main.py` reaches a slightly
different accuracy.
"""


def _check_files(folder: Path, pages: int) -> None:
    if pages > LIMIT:
        raise SubmissionError(f"the report has {pages} pages of text; the assignment allows {LIMIT}: shorten it")
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > LARGEST:
            raise SubmissionError(f"{path.name} is larger than 100 MB: hand in a run with a smaller network")


def _pack(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, Path("Ex2") / path.relative_to(folder))
    return archive
