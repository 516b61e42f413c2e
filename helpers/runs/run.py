"""Open a run, and save everything that it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from helpers.common import distributed, files
from helpers.common.device import describe, pick_device, pick_precision, prepare
from helpers.evaluation.predictions import Predictions, save_predictions
from helpers.models.build import check_backbone, check_image_size
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.environment import environment, save_environment
from helpers.runs.folders import OTHER_FOLDER, plan_run, project_root
from helpers.runs.history import Epoch, History
from helpers.runs.recipe_file import save_recipe
from helpers.runs.results import save_results
from helpers.runs.saving import save_best_model


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
