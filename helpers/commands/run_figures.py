"""The figures of a run, each drawn from its folder alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from helpers.common.device import pick_device, pick_precision
from helpers.common.errors import PhotosError, RunError, UserError
from helpers.common.files import inside, save_figure
from helpers.data.audit import Audit, audit_photos
from helpers.data.augmentation import train_transform, val_transform
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.loading.streaming import StreamingLoader
from helpers.data.near_duplicates import in_words, near_duplicates, rank_pairs
from helpers.data.sources.locate import locate_existing
from helpers.data.split import Split, read_split
from helpers.evaluation import mistakes
from helpers.evaluation.calibration import calibrate
from helpers.evaluation.embedding import evenly_spaced, pca, tsne
from helpers.evaluation.features import extract_features
from helpers.evaluation.label_errors import suspected_labels
from helpers.evaluation.metrics import class_intervals, confusion_matrix
from helpers.evaluation.predictions import StoredPredictions
from helpers.evaluation.saliency import explain
from helpers.inference import fit_ood_detector
from helpers.inference.out_of_distribution import FILE as KNOWN
from helpers.inference.out_of_distribution import MAX_TRAIN_PHOTOS
from helpers.models.averaging import with_tta
from helpers.plots import evaluation, style, training
from helpers.plots import photos as photo_plots
from helpers.plots import predictions as prediction_plots
from helpers.recipe import Recipe
from helpers.runs.finished import FinishedRun, damage_named, read_partial_run
from helpers.runs.folders import project_root
from helpers.runs.history import History
from helpers.runs.run import Run
from helpers.runs.saving import load_best_model
from helpers.runs.table import find_run


class RunData:
    """A run's parts, read or computed on first use. A missing or damaged part raises a ``UserError`` at each use.

    Args:
        root: of the project; relative paths of the recipe start there.
        data: where the photos are now, if not where the recipe says.
        log: receives what a reader of the figures should know.
    """

    def __init__(self, run: FinishedRun, root: Path, data: str | None = None, log: Callable[[str], None] = print):
        self.run, self.root, self.data, self.log = run, root, data, log

    def _part(self, name: str) -> Any:
        if not (value := getattr(self.run, name)):
            raise RunError(next((note for note in self.run.notes if name in note), f"the run has no {name} yet"))
        return value

    @property
    def recipe(self) -> Recipe:
        return self._part("recipe")

    def recipe_of(self, *parts: str) -> Recipe:
        """Return the recipe. Raises RunError: a cell of the notebook changed one of these parts of it."""
        if changed := [part for part in parts if part in self.run.changes]:
            raise RunError(
                f"the {changed[0].replace('_', ' ')} was changed by hand: only the notebook itself draws this"
            )
        return self.recipe

    @property
    def history(self) -> History:
        return self._part("history")

    @property
    def predictions(self) -> StoredPredictions:
        return self._part("predictions")

    @cached_property
    def audit(self) -> Audit:
        """The photos as they are now; logs if they are not those of the run."""
        try:
            audit = audit_photos(find_photos(locate_existing(self.recipe, self.root, self.data)))
        except PhotosError as error:
            raise PhotosError(f"{error} (--data says where the photos are now)") from error
        if self.run.environment.get("data_fingerprint") != audit.fingerprint:
            self.log(f"the photos in {audit.photos.root} are not those of the run")
        return audit

    @cached_property
    def split(self) -> Split:
        return read_split(self.run.folder / "split.csv", self.audit.photos)

    @cached_property
    def model(self) -> nn.Module:
        return with_tta(load_best_model(self.run.folder, pick_device("auto")), self.recipe)

    @cached_property
    def rows(self) -> list[int]:
        """Positions of the predicted photos in the audit."""
        position, names = {name: i for i, name in enumerate(self.audit.photos.names)}, self.predictions.names
        if lost := [name for name in names if name not in position]:
            raise PhotosError(
                f"{len(lost)} of the {len(names)} predicted photos are not in {self.audit.photos.root}, such as "
                f"{lost[0]} (--data says where the photos are now)"
            )
        return [position[name] for name in names]

    def loader(self, rows: Sequence[int]) -> StreamingLoader:
        """Load these photos of the audit as in validation, from disk, so that memory stays bounded."""
        transform, device = val_transform(self.recipe), pick_device("auto")
        return StreamingLoader(self.audit.photos, tuple(rows), transform, self.recipe, device, shuffle=False)

    def photo(self, name: str) -> Image.Image:
        _ = self.rows  # raises if any predicted photo is missing
        return load_photo(self.audit.photos.root / name)

    def gallery(self, found: Sequence[mistakes.ClassifiedPhoto]) -> Figure:
        return prediction_plots.prediction_gallery(found, [self.photo(each.name) for each in found])

    def first_of_each_class(self, count: int) -> dict[str, list[Image.Image]]:
        photos = self.audit.photos
        return {name: [load_photo(photos.path(i)) for i in rows] for name, rows in photos.first_of_each(count).items()}

    def show(self, name: str, description: str) -> None:
        """Draw a figure, save it in the run's folder, and show it in a notebook.

        Args:
            description: for readers who cannot see the figure.
        """
        from helpers.common.notebook import show_figure

        figure = FIGURES[name](self)
        save_figure(inside(self.run.folder, "figures") / f"{name}.png", figure)
        show_figure(figure, description)

    def fit_detector(self) -> None:
        """Make what recognizes unusual photos (``known.pth``), unless the run has it already."""
        if (self.run.folder / KNOWN).exists():
            return
        device, recipe = pick_device("auto"), replace(self.recipe, pipeline="stream")  # each photo is needed once
        train, val = (len(each) for each in (self.split.train, self.split.val))
        print(
            f"to flag unfamiliar photos, once: {min(train, MAX_TRAIN_PHOTOS) + val} of the run's photos pass through "
            "the network (less than a minute)",
            flush=True,
        )
        run = Run(self.run.folder, recipe, self.root, device, pick_precision(recipe.precision, device))
        fit_ood_detector(self.model, self.audit, self.split, make_loaders(self.audit, self.split, recipe, device), run)

    @property
    def example(self) -> Image.Image:
        """The photo on which the notebook demonstrates its transforms."""
        return load_photo(self.audit.photos.path(self.split.train[0]))


def open_run_data(run: str | None = None, data: str | None = None) -> RunData:
    """Open a run for its figures, and print what a reader should know.

    Args:
        run: folder of a finished run, or its name in ``work_dir``; None: the newest.
        data: where the run's photos are now, if they were moved.

    Raises:
        RunError: there is no such run.
    """
    folder = find_run(run)
    with damage_named(folder):
        contents = read_partial_run(folder)
    found = RunData(contents, project_root(), data, log=lambda text: print(f"note: {text}"))
    for note in found.run.notes:
        found.log(note)
    return found


def duplicates(run: RunData) -> Figure:
    """Draw the pairs of photos that look most alike."""
    photos = run.audit.photos
    found = rank_pairs(near_duplicates(run.audit), run.audit, run.split)[:8]
    pictures = [(load_photo(photos.path(pair.first)), load_photo(photos.path(pair.second))) for pair in found]
    return photo_plots.pairs(pictures, [in_words(pair, run.audit, run.split) for pair in found])


def saliency(run: RunData) -> Figure:
    """Draw which parts of a photo drive some predictions, right and wrong ones."""
    found, classes = mistakes.mistakes_and_correct(run.predictions, 6), run.predictions.classes
    photos = [run.photo(each.name) for each in found]
    return prediction_plots.saliency(explain(run.model, found, photos, classes, run.recipe))


def embedding(run: RunData) -> Figure:
    """Draw the validation photos as points, by their features."""
    predictions = run.predictions
    chosen = evenly_spaced(len(predictions.names))
    features = extract_features(run.model, run.loader([run.rows[i] for i in chosen]), torch.float32)
    shown = mistakes.classified_photos(predictions, chosen)
    return evaluation.embedding(pca(features), tsne(features), shown, run.photo, predictions.classes)


def suspects(run: RunData) -> Figure:
    """Draw the photos whose label may be wrong."""
    found, _ = suspected_labels(run.predictions)[:12], run.rows
    if not found:
        return style.notice("no label is suspected")
    return prediction_plots.suspected([run.photo(each.name) for each in found], found)


def curves(run: RunData) -> Figure:
    """Draw the run's training curves, under the names that the notebook gives them."""
    augmented = run.run.recipe and run.run.recipe.augmentation and "train_transform" not in run.run.changes
    return training.training_curves(run.history, *["training (augmented)"] * bool(augmented))


# By the names under which the notebook saves them.
FIGURES: dict[str, Callable[[RunData], Figure]] = {
    "class_samples": lambda run: photo_plots.class_samples(run.first_of_each_class(8)),
    "augmentation": lambda run: photo_plots.augmentation_grid(
        run.example, train_transform(run.recipe_of("train_transform"))
    ),
    "black_border": lambda run: photo_plots.black_border(
        run.example, run.recipe_of("train_transform", "val_transform")
    ),
    "transforms": lambda run: photo_plots.what_the_network_sees(
        {name: photos[0] for name, photos in run.first_of_each_class(1).items()},
        run.recipe_of("train_transform", "val_transform"),
    ),
    "duplicates": duplicates,
    "learning_rate": lambda run: training.learning_rate_curve(run.history.column("learning_rate")),
    "curves": curves,
    "confusion": lambda run: evaluation.confusion(
        confusion_matrix(run.predictions.as_predictions()), run.predictions.classes
    ),
    "class_scores": lambda run: evaluation.class_scores(
        class_intervals(run.predictions.as_predictions(), run.predictions.classes)
    ),
    "mistakes": lambda run: run.gallery(mistakes.confident_mistakes(run.predictions, 12)),
    "uncertain": lambda run: run.gallery(mistakes.least_certain(run.predictions, 12)),
    "saliency": saliency,
    "reliability": lambda run: evaluation.reliability(calibrate(run.predictions)),
    "embedding": embedding,
    "suspects": suspects,
}


def draw_all(run: RunData, folder: Path, log: Callable[[str], None] = print) -> list[str]:
    """Draw into the folder every figure that can be drawn; log each, and why others are missing.

    Returns:
        The names of the missing figures.
    """
    missing: dict[str, str] = {}  # names and reasons
    for name, draw in FIGURES.items():
        try:
            with damage_named(run.run.folder):
                figure = draw(run)
            save_figure(folder / f"{name}.png", figure)
            log(f"drawn: {folder / name}.png")
        except UserError as error:
            missing[name] = str(error)
    for reason in dict.fromkeys(missing.values()):
        log(f"not drawn: {', '.join(name for name in missing if missing[name] == reason)}\n    {reason}")
    return list(missing)
