"""Apply a finished run's model to new photos, exactly as it was applied to its validation photos.

Transform, test-time augmentation and precision are the run's own. Photos are processed in batches; threads decode the
next batch while the network works on this one, so memory holds two batches, however many photos there are.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers.common.device import pick_device, pick_precision
from helpers.common.errors import PhotosError, RunError
from helpers.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from helpers.data.decode import load_photo
from helpers.data.loading import batch_augmentation, canvases
from helpers.data.loading.loaders import val_batch_size
from helpers.evaluation.features import Activations, activations
from helpers.inference import out_of_distribution
from helpers.inference.out_of_distribution import ViM
from helpers.models.averaging import with_tta, without_tta
from helpers.models.head import find_head
from helpers.recipe import Recipe
from helpers.runs.finished import FinishedRun, read_run
from helpers.runs.saving import ModelFacts, load_best_model, read_model_facts


@dataclass(frozen=True)
class Prediction:
    """The model's prediction for one photo, or the reason why there is none."""

    path: Path
    picture: np.ndarray | None = None  # uint8 (3, S, S): the network's input before normalization
    probabilities: torch.Tensor | None = None  # float32 (classes,), sum 1
    is_ood: bool = False  # the photo resembles none of the classes
    error: str = ""  # why the file could not be read, without its path

    @property
    def ranked(self) -> list[int]:
        """The classes, the most probable first."""
        return self.probabilities.argsort(descending=True, stable=True).tolist()


@dataclass(frozen=True)
class Predictor:
    """A run's model on a device, with what is needed to apply it."""

    run: FinishedRun
    recipe: Recipe
    classes: tuple[str, ...]
    model: nn.Module
    device: torch.device
    precision: torch.dtype
    detector: ViM | None  # None: known.pth is missing or damaged
    notes: tuple[str, ...]  # which of the run's files could not be read or were changed

    def predict(self, paths: Iterable[Path], batch_size: int | None = None) -> Iterator[Prediction]:
        """Classify every photo, in order. For a file that cannot be read, the prediction holds the error."""
        for batch in _decode_ahead(paths, self.recipe, batch_size or val_batch_size(self.device)):
            results = iter(self._classify([picture for _, picture in batch if not isinstance(picture, str)]))
            for path, picture in batch:
                if isinstance(picture, str):
                    yield Prediction(path, error=picture)
                else:
                    yield Prediction(path, picture, *next(results))

    def _classify(self, pictures: Sequence[np.ndarray]) -> list[tuple[torch.Tensor, bool]]:
        """Return the probabilities of each picture, and whether it is out of distribution."""
        if not pictures:
            return []
        stacked = torch.from_numpy(np.stack(pictures)).to(self.device)
        images = batch_augmentation.normalize(stacked).contiguous(memory_format=torch.channels_last)
        found = Activations(*(part.cpu() for part in activations(self.model, images, self.precision)))
        flags = self.detector.is_ood(found).tolist() if self.detector else [False] * len(pictures)
        return list(zip(found.logits.softmax(1), flags, strict=True))


def open_predictor(folder: Path, device: str = "auto") -> Predictor:
    """Load the best model of the finished run in ``folder``, from that folder alone.

    Raises:
        RunError: the run is unfinished, damaged, or of an incompatible version.
        ParameterError: the device is not available.
    """
    place = pick_device(device)
    run = read_run(folder)
    recipe, facts = check_run(run)
    model = with_tta(load_best_model(folder, place), recipe).eval()
    # A bf16 run is used in fp32 where there is no bf16. Measured on 322 photos: one prediction changes, and
    # probabilities by up to 0.10; in the same precision by 5e-7, the digits of predictions.csv.
    precision = pick_precision("auto" if recipe.precision == "bf16" else recipe.precision, place)
    layer = find_head(without_tta(model))[1]
    try:
        detector, notes = out_of_distribution.load(folder, layer.weight.shape[1]), run.notes
    except RunError as error:
        detector = None
        notes = (*run.notes, f"{error}; photos that resemble none of the classes cannot be flagged")
    return Predictor(run, recipe, facts.classes, model, place, precision, detector, notes)


def check_run(run: FinishedRun) -> tuple[Recipe, ModelFacts]:
    """Check that a run's files belong together; return its recipe and the facts of its model.

    Raises RunError: the recipe is missing, or two files contradict each other.
    """
    facts, recipe = read_model_facts(run.folder), run.recipe
    if recipe is None:
        raise RunError(f"{run.folder}: without a recipe, preprocessing is unknown. {'; '.join(run.notes)}")
    if list(facts.classes) != run.results["classes"]:
        raise RunError(f"{run.folder}: the classes in best_model.json and results.json differ: name another run")
    if different := facts.differs_from(recipe):
        raise RunError(f"{run.folder}: {different[0]} in best_model.json and recipe.json differs: name another run")
    if (facts.mean, facts.std) != (IMAGENET_MEAN, IMAGENET_STD):
        raise RunError(f"{run.folder} is of another version: its photos were normalized differently")
    return recipe, facts


Decoded = tuple[Path, np.ndarray | str]  # uint8 (3, S, S), or why the file could not be read


def _decode_ahead(paths: Iterable[Path], recipe: Recipe, size: int) -> Iterator[list[Decoded]]:
    """Yield batches of decoded photos while the next batch is being decoded."""
    rest, pending = iter(paths), deque[list[tuple[Path, Future]]]()
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the interpreter's lock
        try:
            while True:
                while len(pending) < 2 and (batch := list(islice(rest, size))):
                    pending.append([(path, pool.submit(_decode, path, recipe)) for path in batch])
                if not pending:
                    return
                yield [(path, work.result()) for path, work in pending.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # a caller that stops early need not wait


def _decode(path: Path, recipe: Recipe) -> np.ndarray | str:
    try:
        return canvases.val_picture(load_photo(path), recipe)
    except PhotosError as error:
        return str(error).removeprefix(str(path)).removeprefix(":").strip()
