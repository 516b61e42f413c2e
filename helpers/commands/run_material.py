"""What the figures of a run are drawn from, read or computed when a figure first asks for it."""

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
    """A run's parts. What cannot be had raises a ``UserError`` that says why, each time it is asked for."""

    def __init__(self, run: FinishedRun, root: Path, data: str | None = None, say: Callable[[str], None] = print):
        """
        Args:
            root: of the project; relative paths of the recipe are seen from there.
            data: where the photos are now, if not where the recipe says.
            say: is told what a reader of the figures should know.
        """
        self.run, self.root, self.data, self.say = run, root, data, say

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
        """Of the photos as they are now, if they are here; the user is told if they are not those of the run."""
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
            self.say(f"the photos in {audit.photos.root} {other}")
        return audit

    @cached_property
    def split(self) -> Split:
        return read_split(self.run.folder / "split.csv", self.audit.photos)

    @cached_property
    def model(self) -> nn.Module:
        return with_tta(load_best_model(self.run.folder, pick_device("auto")), self.recipe)

    @cached_property
    def predictions(self) -> StoredPredictions:
        """The run's predictions; if they are lost, the saved model is asked again."""
        if self.run.predictions is not None:
            return self.run.predictions
        try:
            predictions = predict(self.model, self.feed(self.split.val), torch.float32)
        except UserError as error:
            raise RunError(f"predictions.csv cannot be read, and not be made again either: {error}") from error
        self.say("predictions.csv cannot be read: best_model.pth was asked again")
        names = tuple(self.audit.photos.names[i] for i in self.split.val)
        return StoredPredictions(
            names, self.audit.photos.classes, predictions.logits.double().softmax(1), predictions.labels
        )

    @cached_property
    def rows(self) -> list[int]:
        """Where the predicted photos are in the audit."""
        position = {name: i for i, name in enumerate(self.audit.photos.names)}
        if lost := [name for name in self.predictions.names if name not in position]:
            raise PhotosError(
                f"{len(lost)} of the {len(self.predictions.names)} predicted photos are not in "
                f"{self.audit.photos.root}, such as {lost[0]} (--data says where the photos are now)"
            )
        return [position[name] for name in self.predictions.names]

    def feed(self, rows: Sequence[int]) -> StreamingLoader:
        """These photos of the audit as validation sees them, from disk: memory stays where it is."""
        transform, device = val_transform(self.recipe), pick_device("auto")
        return StreamingLoader(self.audit.photos, tuple(rows), transform, self.recipe, device, shuffle=False)

    def photo(self, name: str) -> Image.Image:
        return load_photo(self.audit.photos.root / name)

    def photos(self, found: Sequence[ClassifiedPhoto]) -> list[Image.Image]:
        """The photos of these answers. All that were predicted must be there."""
        _ = self.rows
        return [self.photo(answer.name) for answer in found]
