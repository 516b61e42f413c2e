"""What the report's sentences ask of a run: its numbers, the network's name and size, photos per class."""

import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath

from helpers.common.errors import RunError
from helpers.common.text import spelled
from helpers.comparison.results import Row
from helpers.data.split import SUBSETS, read_split_rows
from helpers.evaluation.published import are_the_flowers, name_and_paper
from helpers.evaluation.statistics import with_interval
from helpers.models import count_parameters, describe_head, original_head
from helpers.models.build import build_model
from helpers.report.markup import literal
from helpers.runs.finished import FinishedRun
from helpers.runs.folders import project_root


class Facts:
    """A finished run, and the rows of a comparison if there is one. Strings are literal (see ``markup``).

    Raises:
        PhotosError, RunError: ``split.csv`` is missing, damaged, or of another run than the results.
        WeightsError: torchvision does not know the backbone.
    """

    def __init__(
        self, run: FinishedRun, comparison: tuple[Row, ...] = (), directions: dict[str, Row | None] | None = None
    ) -> None:
        self.run, self.recipe, self.comparison = run, run.recipe, comparison
        self.directions = directions or {}  # of further work: the row that measured it, if any
        # Results of older runs do not repeat the label smoothing.
        self.results = literal({"label_smoothing": run.recipe.label_smoothing} | run.results)
        self.environment = literal(run.environment)
        self.changes: dict[str, str] = literal(run.changes)  # what the notebook's cells changed by hand, by part
        r, model = self.results, build_model(run.recipe, len(run.results["classes"]), weights="none")
        self.demo: bool = r["demo"]
        self.flowers = are_the_flowers(r["classes"])  # the assignment's five
        self.backbone, self.paper = name_and_paper(r["backbone"])
        self.parameters, self.trained_parameters = count_parameters(model)
        self.heads = original_head(run.recipe.backbone), self.changes.get("head", describe_head(model))  # in words
        self.pretrained = r["weights"] != "none"
        # The weights' file; empty if torchvision brought them. ImageNet's are torchvision's, or named so.
        self.weights_file = "" if r["weights"] in ("none", "imagenet") else file_name(r["weights"])
        torchvisions = rf"{re.escape(r['backbone'])}-[0-9a-f]{{8}}\.pth|.*imagenet.*"
        self.imagenet = r["weights"] == "imagenet" or bool(re.fullmatch(torchvisions, self.weights_file.lower()))
        self.split = self._split()  # photos per class for training (``train``), validation (``val``) and the ``test``
        self.origin = _origin(run.environment["data_fingerprint"])
        self.train_photos = self.split["train"].total()
        self.last_epochs = f"last {spelled(min(5, r['epochs']))} epochs"  # what ``last_five_mean`` averages over
        self.best = with_interval(r["best_val_accuracy"], r["val_photos"], "95 % interval ")
        self.mean = with_interval(r["last_five_mean"], r["val_photos"])

    def _split(self) -> dict[str, Counter[str]]:
        path = self.run.folder / "split.csv"
        rows = literal(read_split_rows(path))
        sides = {side: Counter(row["class"] for row in rows if row["subset"] == side) for side in SUBSETS}
        train, val = sides["train"].total(), sides["val"].total()
        if (val, train) != (self.results["val_photos"], self.results["train_photos"]):
            results = f"{self.results['train_photos']} and {self.results['val_photos']}"
            raise RunError(
                f"{path} has {train} training and {val} validation photos, results.json {results}: run again"
            )
        return sides


def _origin(fingerprint: str) -> str:
    """Return a sentence on the photos that the project's own results were measured on; empty for any other photos."""
    path = project_root(Path(__file__).parent) / "report" / "results" / "dataset.json"
    dataset = json.loads(path.read_text(encoding="utf-8"))
    return dataset["origin"] if dataset["data_fingerprint"] == fingerprint else ""


def file_name(path: str) -> str:
    """Return the last part of a path of any system."""
    return PurePosixPath(path.replace("\\", "/")).name or path
