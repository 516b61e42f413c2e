"""What the figures of a run are drawn from, read or computed on first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from helpers.common.device import pick_device
from helpers.common.errors import PhotosError, RunError, UserError
from helpers.data.audit import Audit, audit_photos
from helpers.data.augmentation import val_transform
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.loading.streaming import StreamingLoader
from helpers.data.sources.locate import locate_existing
from helpers.data.split import Split, read_split
from helpers.evaluation.mistakes import ClassifiedPhoto
from helpers.evaluation.predictions import StoredPredictions, predict
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe
from helpers.runs.finished import FinishedRun
from helpers.runs.history import History
from helpers.runs.saving import load_best_model


class RunData:
    """A run's parts. One that is missing or damaged raises a ``UserError`` that says why, at each use.

    Args:
        root: of the project; relative paths of the recipe start there.
        data: where the photos are now, if not where the recipe says.
        log: receives what a reader of the figures should know.
    """

    def __init__(self, run: FinishedRun, root: Path, data: str | None = None, log: Callable[[str], None] = print):
        self.run, self.root, self.data, self.log = run, root, data, log

    @cached_property
    def recipe(self) -> Recipe:
        if self.run.recipe is None:
            raise RunError("recipe.json cannot be read")
        return self.run.recipe

    @cached_property
    def history(self) -> History:
        if not self.run.history:
            raise RunError("history.csv cannot be read, or holds no epoch yet")
        return self.run.history

    @cached_property
    def audit(self) -> Audit:
        """The photos as they are now; logs if they are not those of the run."""
        recipe = self.run.recipe or Recipe()
        if self.data is None and self.run.recipe is None:
            raise RunError("recipe.json cannot be read: --data says where the photos are")
        try:
            audit = audit_photos(find_photos(locate_existing(recipe, self.root, self.data)))
        except PhotosError as error:
            raise PhotosError(f"{error} (--data says where the photos are now)") from error
        then = self.run.environment.get("data_fingerprint")
        if then != audit.fingerprint:
            other = "are not those of the run" if then else "may be others than the run's: environment.json is lost"
            self.log(f"the photos in {audit.photos.root} {other}")
        return audit

    @cached_property
    def split(self) -> Split:
        return read_split(self.run.folder / "split.csv", self.audit.photos)

    @cached_property
    def model(self) -> nn.Module:
        return with_tta(load_best_model(self.run.folder, pick_device("auto")), self.recipe)

    @cached_property
    def predictions(self) -> StoredPredictions:
        """The run's predictions; if the file is lost or damaged, the saved model predicts again."""
        if self.run.predictions is not None:
            return self.run.predictions
        try:
            predictions = predict(self.model, self.loader(self.split.val), torch.float32)
        except UserError as error:
            raise RunError(f"predictions.csv cannot be read, and the model cannot predict again: {error}") from error
        self.log("predictions.csv cannot be read: best_model.pth predicted again")
        names = tuple(self.audit.photos.names[i] for i in self.split.val)
        return StoredPredictions(
            names, self.audit.photos.classes, predictions.logits.double().softmax(1), predictions.labels
        )

    @cached_property
    def rows(self) -> list[int]:
        """Positions of the predicted photos in the audit."""
        position = {name: i for i, name in enumerate(self.audit.photos.names)}
        if lost := [name for name in self.predictions.names if name not in position]:
            raise PhotosError(
                f"{len(lost)} of the {len(self.predictions.names)} predicted photos are not in "
                f"{self.audit.photos.root}, such as {lost[0]} (--data says where the photos are now)"
            )
        return [position[name] for name in self.predictions.names]

    def loader(self, rows: Sequence[int]) -> StreamingLoader:
        """Load these photos of the audit as in validation, from disk, so that memory stays bounded."""
        transform, device = val_transform(self.recipe), pick_device("auto")
        return StreamingLoader(self.audit.photos, tuple(rows), transform, self.recipe, device, shuffle=False)

    def photo(self, name: str) -> Image.Image:
        return load_photo(self.audit.photos.root / name)

    def photos(self, found: Sequence[ClassifiedPhoto]) -> list[Image.Image]:
        """Load the photos of these predictions."""
        _ = self.rows  # raises if any predicted photo is missing
        return [self.photo(each.name) for each in found]
