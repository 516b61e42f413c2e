"""Open a run: choose its folder, or continue an interrupted one, and save everything that a run leaves."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from helpers.common import distributed, files
from helpers.common.device import describe, pick_device, pick_precision, prepare
from helpers.common.errors import RunError
from helpers.evaluation.predictions import Predictions, save_predictions
from helpers.models.build import check_backbone, check_image_size
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.environment import environment, save_environment
from helpers.runs.history import Epoch, History
from helpers.runs.recipe_file import has_recipe, has_same_settings, save_recipe
from helpers.runs.results import has_results, save_results
from helpers.runs.saving import save_best_model

OTHER_FOLDER = "choose another folder with work_dir = …"


def project_root(start: Path | None = None) -> Path:
    """Find the project's folder, which holds ``helpers/recipe.py``: ``start`` (default: here) or the nearest above it.

    Raises RunError: there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "helpers" / "recipe.py").is_file():
            return folder
    raise RunError(f"{start} is not inside the project: start the notebook from the project's folder")


def plan_run(recipe: Recipe, root: Path | None = None) -> Path:
    """Choose the folder for a run: an unfinished run of the same recipe, or the next free name.

    A finished run is never written to again; ``demo-2`` follows ``demo``.
    """
    work_dir = work_folder(recipe, root)
    base = recipe.run or default_name(recipe)
    for number in range(1, 10_000):
        folder = work_dir / (base if number == 1 else f"{base}-{number}")
        if _is_free(folder) or (recipe.resume and _continues(folder, recipe)):
            return folder
    raise RunError(f"{work_dir / base}: 9,999 runs have this name already; choose another with run = …")


def work_folder(recipe: Recipe, root: Path | None = None) -> Path:
    """Return the folder of all runs; tests set the environment variable to keep theirs apart from the user's."""
    return (root or project_root()) / (os.environ.get("FLOWERS_WORK_DIR") or recipe.work_dir)


def default_name(recipe: Recipe) -> str:
    """Make up a folder name, such as ``flower_photos-resnet18-published``."""
    dataset = re.sub(r"\.(zip|tar|tgz|tar\.gz)$", "", recipe.dataset.rstrip("/\\"))
    parts = [re.split(r"[/\\]", dataset)[-1], recipe.backbone, recipe.preset]
    name = "-".join(dict.fromkeys(parts))  # dataset demo and preset demo are one word
    return re.sub(r"[^\w.-]+", "_", name).strip(".").encode()[:200].decode(errors="ignore") or "run"


@dataclass
class Run:
    """An open run: its folder, its recipe, and the machine it runs on."""

    folder: Path
    recipe: Recipe
    root: Path
    device: torch.device
    precision: torch.dtype

    def __str__(self) -> str:
        precision = str(self.precision).removeprefix("torch.")
        return f"{self.relative(self.folder)} on {describe(self.device)}, {precision}"

    @property
    def cache(self) -> Path:
        """Folder of decoded photos, shared by all runs."""
        return self.root / self.recipe.work_dir / "cache"

    def locate(self, path: str) -> str:
        """Resolve a path of the recipe against the project's root."""
        return path if path in ("none", "imagenet") else str(self.root / Path(path).expanduser())

    def relative(self, path: Path) -> str:
        """Shorten a path for printing: relative to the project's root, with forward slashes."""
        return Path(path).relative_to(self.root).as_posix() if Path(path).is_relative_to(self.root) else str(path)

    def save_history(self, history: History) -> None:
        """Write ``history.csv``."""
        history.save(self.folder)

    def save_best(self, weights: dict[str, torch.Tensor], best: Epoch, *description: Any) -> None:
        """Write ``best_model.pth`` and ``best_model.json``; the rest are classes and head, as for the function."""
        save_best_model(self.folder, weights, self.recipe, best, *description)

    def save_predictions(self, predictions: Predictions, names: Sequence[str], classes: tuple[str, ...]) -> None:
        """Write ``predictions.csv``."""
        save_predictions(self.folder, predictions, names, classes)

    def save_figure(self, figure, name: str) -> None:
        """Write ``figures/<name>.png``."""
        files.save_figure(self.folder / "figures" / f"{name}.png", figure)

    def save_environment(self, fingerprint: str) -> None:
        """Write ``environment.json``, with the audit's fingerprint of the photos."""
        save_environment(self.folder, environment(self, fingerprint))

    def save_results(self, results: dict[str, Any]) -> None:
        """Write ``results.json``: the run is finished then, and open to other processes."""
        save_results(self.folder, results)
        (self.folder / "previous.ckpt").unlink(missing_ok=True)
        locks.release(self.folder)


def open_run(recipe: Recipe, root: Path | None = None, folder: Path | None = None, device: str | None = None) -> Run:
    """Check the machine against the recipe, seed everything, and open the run's folder.

    Args:
        folder: to open; by default the one that ``plan_run`` chooses.
        device: instead of the recipe's, for one of several processes.

    Raises:
        ParameterError: this machine does not have the device or the precision.
        WeightsError: the backbone is unknown.
        RunError: the folder cannot be made or written, or another process writes to it.
    """
    root = root or project_root()
    check_backbone(recipe.backbone)
    check_image_size(recipe)
    place = pick_device(device or recipe.device)
    precision = pick_precision(recipe.precision, place)
    prepare(recipe.seed, recipe.deterministic)
    folder = folder or plan_run(recipe, root)
    files.make_folder(folder, OTHER_FOLDER)
    if distributed.is_main():
        locks.hold(folder, patience=2)  # a process that was killed a moment ago may still be ending
        for rest in folder.glob(".*.tmp"):  # of a file that a killed process had begun to write
            rest.unlink(missing_ok=True)
        save_recipe(folder, recipe)
    return Run(folder, recipe, root, place, precision)


def _is_free(folder: Path) -> bool:
    """Tell whether there is nothing in the folder yet that a run could overwrite."""
    if not folder.is_dir():
        return not folder.exists()
    return all(entry.name.startswith(".") for entry in folder.iterdir())


def _continues(folder: Path, recipe: Recipe) -> bool:
    """Tell whether the folder holds an unfinished run of the same recipe.

    A run with results is finished, unless the command that executed its notebook did not come to its end.
    """
    if not has_recipe(folder) or (has_results(folder) and not locks.left_behind(folder, "notebook")):
        return False
    try:
        return has_same_settings(folder, recipe)
    except RunError as error:
        print(f"{error}; this folder is left alone", file=sys.stderr)
        return False
