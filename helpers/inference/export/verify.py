"""Is an exported file the same network? Its answers on real photos against PyTorch's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from helpers.common.errors import PhotosError, RunError
from helpers.data.augmentation import val_transform
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.sources.garden import SPECIES, draw_photo
from helpers.data.sources.locate import locate_existing
from helpers.inference.export.formats import InferenceFn
from helpers.runs.finished import FinishedRun

MOST = 64  # photos


TOLERANCE = 1e-3  # of a probability; different orders of summation differ by about 1e-6


GARDEN_SEED = 371  # of drawings that no demo run was trained on, which has seed 0


@dataclass(frozen=True)
class Photos:
    """What the files are asked about."""

    images: torch.Tensor  # float32 (n, 3, S, S), prepared as for validation
    source: str  # what they are, in words
    stored: torch.Tensor | None  # float64 (n, classes): probabilities in the run's predictions.csv


def sample_photos(run: FinishedRun, root: Path, data: str | None = None, most: int = MOST) -> Photos:
    """Up to ``most`` of the run's validation photos, evenly from all classes; drawn ones if they are not here.

    Args:
        data: where the photos are, if not where the recipe says. Nothing is downloaded.

    Raises:
        PhotosError: ``data`` was given, and the run's validation photos are not there.
    """
    try:
        return _own(run, locate_existing(run.recipe, root, data), most)
    except PhotosError as error:
        if data is not None:
            raise
        reason = str(error)
    transform = val_transform(run.recipe)
    drawn = [draw_photo(SPECIES[i % len(SPECIES)], GARDEN_SEED, i) for i in range(most)]
    source = f"{most} drawn photos, for the run's own could not be had: {reason}"
    return Photos(torch.stack([transform(photo) for photo in drawn]), source, None)


def _own(run: FinishedRun, folder: Path, most: int) -> Photos:
    if run.predictions is None:
        raise PhotosError(f"{run.folder / 'predictions.csv'}, which names them, cannot be read")
    base, names = find_photos(folder).root, run.predictions.names
    here = [i for i, name in enumerate(names) if (base / name).is_file()]
    if not here:
        raise PhotosError(
            f"none of the run's {len(names)} validation photos is in {folder}: name their folder (--data)"
        )
    chosen = [here[i * len(here) // min(most, len(here))] for i in range(min(most, len(here)))]
    transform = val_transform(run.recipe)
    images = torch.stack([transform(load_photo(base / names[i])) for i in chosen])
    kind = "drawn " if run.results["demo"] else ""
    source = f"{len(chosen)} of the run's {len(names)} {kind}validation photos"
    return Photos(images, source, run.predictions.probabilities[chosen])


def compare(name: str, exported: InferenceFn, model: InferenceFn, photos: Photos) -> dict[str, Any]:
    """The largest differences between two models on the photos, asked one alone and 32 at a time.

    Raises:
        RunError: a call differs, or a probability by more than the tolerance.
    """
    theirs, ours = (_in_batches(answer, photos.images) for answer in (exported, model))
    logits = float((theirs - ours).abs().max())
    probabilities = float((theirs.softmax(1) - ours.softmax(1)).abs().max())
    other = int((theirs.argmax(1) != ours.argmax(1)).sum())
    if other or not probabilities <= TOLERANCE:  # "not" so that NaN is refused too
        raise RunError(
            f"{name} is not the run's model: {other} of {len(photos.images)} calls differ, probabilities by up to "
            f"{probabilities:.2g}. It was not kept; torch and onnxruntime may not fit each other"
        )
    return {"logits_max_difference": logits, "probabilities_max_difference": probabilities, "same_calls": True}


def against_the_run(model: InferenceFn, photos: Photos) -> dict[str, Any] | None:
    """What separates the model in float32 from ``predictions.csv``, which was computed in the run's precision."""
    if photos.stored is None:
        return None
    ours = _in_batches(model, photos.images).softmax(1)
    return {
        "photos": len(ours),
        "same_calls": int((ours.argmax(1) == photos.stored.argmax(1)).sum()),
        "probabilities_max_difference": float((ours - photos.stored).abs().max()),
    }


def _in_batches(answer: InferenceFn, images: torch.Tensor) -> torch.Tensor:
    """Logits, float64 ``(n, classes)``: the first photo alone, so that a fixed batch size would be noticed."""
    return torch.cat([answer(part) for part in (images[:1], *images[1:].split(32))]).double()
