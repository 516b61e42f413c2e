"""A finished run's model, asked about photos that it has never seen: as it was asked about its validation photos.

The same transform, the same views, the same arithmetic. Photos come in batches, the next one decoded by threads
while the network looks at this one, so that any number of them takes the memory of two batches.
"""

from __future__ import annotations

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
from helpers.evaluation import features
from helpers.inference import out_of_distribution
from helpers.models.averaging import with_tta
from helpers.models.head import find_head
from helpers.recipe import Recipe
from helpers.runs.finished import FinishedRun, read_run
from helpers.runs.saving import load_best_model, read_model_facts

LONGEST = 100  # times as long as wide: scaled to the network's size, a strip of pixels would fill the memory


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photo, or why it says nothing."""

    path: Path
    picture: np.ndarray | None  # uint8 (3, S, S): what the network saw
    probabilities: torch.Tensor | None  # float32 (classes,), sum 1
    unlike: bool  # it looks like none of the classes
    reason: str = ""  # why the file could not be read

    @property
    def ranked(self) -> list[int]:
        """The classes, the likeliest first."""
        return self.probabilities.argsort(descending=True, stable=True).tolist()


@dataclass(frozen=True)
class Predictor:
    """A run's model on a device, ready to be asked."""

    run: FinishedRun
    recipe: Recipe
    classes: tuple[str, ...]
    model: nn.Module
    device: torch.device
    precision: torch.dtype
    rule: out_of_distribution.Rule | None  # when a photo looks like none of the classes; None: nothing can be said
    notes: tuple[str, ...]  # what of the run could not be read, or is not as it was

    def answers(self, paths: Iterable[Path], batch_size: int | None = None) -> Iterator[Prediction]:
        """An answer for every photo, in order; a file that is none gets its reason, and the others go on."""
        for files in _decoded_ahead(paths, self.recipe, batch_size or val_batch_size(self.device)):
            yield from self._of_batch(files)

    def _of_batch(self, files: Sequence[tuple[Path, np.ndarray | str]]) -> Iterator[Prediction]:
        pictures = [picture for _, picture in files if not isinstance(picture, str)]
        seen = self._look(pictures) if pictures else None
        probabilities = iter(seen.logits.softmax(1) if seen else ())
        flags = iter(self.rule.flags(seen).tolist() if seen and self.rule else [False] * len(pictures))
        for path, picture in files:
            if isinstance(picture, str):
                yield Prediction(path, None, None, False, picture)
            else:
                yield Prediction(path, picture, next(probabilities), next(flags))

    def _look(self, pictures: Sequence[np.ndarray]) -> features.Activations:
        stacked = torch.from_numpy(np.stack(pictures)).to(self.device)
        images = batch_augmentation.normalize(stacked).contiguous(memory_format=torch.channels_last)
        return features.look(self.model, images, self.precision)


def open_predictor(folder: Path, device: str = "auto") -> Predictor:
    """The best model of the finished run in ``folder``, from that folder alone.

    Raises:
        RunError: the run is not finished, of another version in what counts, or damaged.
        ParameterError: the device is not to be had.
    """
    place = pick_device(device)
    run = read_run(folder)
    recipe, classes = _checked(run)
    model = with_tta(load_best_model(folder, place), recipe).eval()
    # A run that asked for bf16 is used in fp32 where there is none. Measured on 322 photos: one call differs, and
    # probabilities by up to 0.10; in the same precision by 5e-7, the digits of predictions.csv.
    precision = pick_precision("auto" if recipe.precision == "bf16" else recipe.precision, place)
    rule, why = _rule(run, model)
    return Predictor(run, recipe, classes, model, place, precision, rule, (*run.notes, *why))


def _checked(run: FinishedRun) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe and the classes, if all files of the run agree about them."""
    facts = read_model_facts(run.folder)
    if run.recipe is None:
        raise RunError(f"{run.folder}: without its recipe nobody knows how to show it a photo. {'; '.join(run.notes)}")
    if list(facts.classes) != run.results["classes"]:
        raise RunError(f"{run.folder}: best_model.json and results.json are of different runs: their classes differ")
    if changed := facts.differs_from(run.recipe):
        raise RunError(f"{run.folder}: best_model.json and recipe.json are of different runs: {changed[0]} differs")
    if (facts.mean, facts.std) != (IMAGENET_MEAN, IMAGENET_STD):
        raise RunError(f"{run.folder} is of another version: its photos were normalized in another way")
    return run.recipe, facts.classes


def _rule(run: FinishedRun, model: nn.Module) -> tuple[out_of_distribution.Rule | None, list[str]]:
    """The best rule that the run's files allow, and what is to be said about that."""
    layer = find_head(getattr(model, "model", model))[1]
    width = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    why = []
    if (run.folder / out_of_distribution.FILE).exists():
        try:
            return out_of_distribution.load(run.folder, width), []
        except RunError as error:
            why = [str(error)]
    if run.predictions is None:
        return None, [*why, "nothing can be said about photos that look like none of the classes"]
    return out_of_distribution.unsure(run.predictions.probabilities), why


def _decoded_ahead(paths: Iterable[Path], recipe: Recipe, size: int) -> Iterator[list[tuple[Path, np.ndarray | str]]]:
    """Batches of photos as the network sees them, or the reason in place of a photo; the next is under way."""
    rest, pending = iter(paths), deque[list[tuple[Path, Future]]]()
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the interpreter's lock
        try:
            while True:
                while len(pending) < 2 and (batch := list(islice(rest, size))):
                    pending.append([(path, pool.submit(_picture, path, recipe)) for path in batch])
                if not pending:
                    return
                yield [(path, work.result()) for path, work in pending.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # who stops early need not wait for the rest


def _picture(path: Path, recipe: Recipe) -> np.ndarray | str:
    """What the network will see of the photo, uint8 ``(3, S, S)``, or why there is nothing to see."""
    try:
        photo = load_photo(path)
        if max(photo.size) > LONGEST * min(photo.size):
            raise PhotosError(f"{path}: {photo.width} × {photo.height} px is a line, no photo")
        return canvases.val_picture(photo, recipe)
    except PhotosError as error:
        return str(error)
