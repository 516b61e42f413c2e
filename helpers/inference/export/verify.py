"""Verify exported files: their outputs on photos must match PyTorch's."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from helpers.common.errors import PhotosError, RunError
from helpers.data.augmentation import val_transform
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.sources.garden_flowers import SPECIES
from helpers.data.sources.garden_photo import draw_photo
from helpers.data.sources.locate import locate_existing
from helpers.inference.export.formats import InferenceFn
from helpers.runs.finished import FinishedRun

MAX_PHOTOS = 64  # photos
TOLERANCE = 1e-3  # of a probability; a different order of summation changes about 1e-6
GARDEN_SEED = 371  # draws photos that no demo run was trained on: those have seed 0


class SamplePhotos(NamedTuple):
    """The photos that the files are verified on."""

    images: torch.Tensor  # float32 (n, 3, S, S), prepared as for validation
    source: str  # a description
    stored: torch.Tensor | None  # float64 (n, classes): probabilities in the run's predictions.csv


def sample_photos(run: FinishedRun, root: Path, data: str | None = None, most: int = MAX_PHOTOS) -> SamplePhotos:
    """Load up to ``most`` of the run's validation photos, evenly spaced; drawn ones if they are not available.

    Args:
        data: where the photos are, if not where the recipe says. Nothing is downloaded.

    Raises PhotosError: ``data`` was given, and the run's validation photos are not there.
    """
    try:
        return _validation_photos(run, locate_existing(run.recipe, root, data), most)
    except PhotosError as error:
        if data is not None:
            raise
        reason = str(error)
    transform = val_transform(run.recipe)
    drawn = [transform(draw_photo(SPECIES[i % len(SPECIES)], GARDEN_SEED, i)) for i in range(most)]
    return SamplePhotos(torch.stack(drawn), f"{most} drawn photos; the run's own are not available: {reason}", None)


def _validation_photos(run: FinishedRun, folder: Path, most: int) -> SamplePhotos:
    if run.predictions is None:
        raise PhotosError(f"{run.folder / 'predictions.csv'}, which names them, cannot be read")
    photos, names = find_photos(folder), run.predictions.names
    base, known = photos.root, set(photos.names)
    here = [i for i, name in enumerate(names) if name in known]  # the file may name anything
    if not here:
        raise PhotosError(f"none of the run's {len(names)} validation photos is in {folder}: --data names their folder")
    count = min(most, len(here))
    chosen = [here[i * len(here) // count] for i in range(count)]
    transform = val_transform(run.recipe)
    images = torch.stack([transform(load_photo(base / names[i])) for i in chosen])
    source = f"{len(chosen)} of the run's {len(names)} {'drawn ' * run.results['demo']}validation photos"
    return SamplePhotos(images, source, run.predictions.probabilities[chosen])


def compare_models(name: str, exported: InferenceFn, model: InferenceFn, photos: SamplePhotos) -> dict[str, Any]:
    """Compare two models on the photos; return the largest differences of logits and probabilities.

    Raises RunError: a prediction differs, or a probability by more than the tolerance.
    """
    theirs, ours = (_logits(each, photos.images) for each in (exported, model))
    logits = (theirs - ours).abs().max().item()
    probabilities = (theirs.softmax(1) - ours.softmax(1)).abs().max().item()
    changed = (theirs.argmax(1) != ours.argmax(1)).sum().item()
    if changed or not probabilities <= TOLERANCE:  # "not" also refuses NaN
        raise RunError(
            f"{name} does not match the run's model: {changed} of {len(photos.images)} predictions differ, "
            f"probabilities by up to {probabilities:.2g}. The file was discarded; check that the versions of torch and "
            "onnxruntime are compatible"
        )
    return {"logits_max_difference": logits, "probabilities_max_difference": probabilities, "same_predictions": True}


def compare_with_run(model: InferenceFn, photos: SamplePhotos) -> dict[str, Any] | None:
    """Compare the model in float32 with ``predictions.csv``, which was computed in the run's own precision."""
    if photos.stored is None:
        return None
    ours = _logits(model, photos.images).softmax(1)
    return {
        "photos": len(ours),
        "same_predictions": int((ours.argmax(1) == photos.stored.argmax(1)).sum()),
        "probabilities_max_difference": float((ours - photos.stored).abs().max()),
    }


def _logits(model: InferenceFn, images: torch.Tensor) -> torch.Tensor:
    """Return logits, float64 ``(n, classes)``; the first photo goes alone, so that a fixed batch size is noticed."""
    return torch.cat([model(part) for part in (images[:1], *images[1:].split(32))]).double()
