"""Draw every figure of a run again, from its folder alone: ``python -m helpers figures work_dir/<run>``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

from helpers.commands.run_material import RunData
from helpers.common.errors import UserError
from helpers.data.decode import load_photo
from helpers.data.near_duplicates import in_words, near_duplicates, rank_pairs
from helpers.evaluation.calibration import calibrate
from helpers.evaluation.embedding import evenly_spaced, pca, tsne
from helpers.evaluation.features import extract_features
from helpers.evaluation.label_errors import suspected_labels
from helpers.evaluation.metrics import class_intervals, confusion_matrix
from helpers.evaluation.mistakes import classified_photos, confident_mistakes, least_certain, mistakes_and_correct
from helpers.evaluation.saliency import explain
from helpers.inference import expand_paths, open_predictor, photo_figure
from helpers.plots import answers as answer_plots
from helpers.plots import evaluation, style, training
from helpers.plots import photos as photo_plots
from helpers.runs.finished import read_partial_run
from helpers.runs.run import project_root, write_figure
from helpers.runs.table import find_run
from helpers.training.optimization import learning_rates

OWN_PHOTOS = 24  # photos of a folder, as many as the notebook shows


def class_samples(material: RunData) -> Figure:
    photos = material.audit.photos
    chosen = photos.first_of_each(8)
    return photo_plots.class_samples(
        {name: [load_photo(photos.path(i)) for i in rows] for name, rows in chosen.items()}
    )


def augmentation(material: RunData) -> Figure:
    return photo_plots.augmentation_grid(_example(material), material.recipe)


def black_border(material: RunData) -> Figure:
    return photo_plots.black_border(_example(material), material.recipe)


def transforms(material: RunData) -> Figure:
    photos = material.audit.photos
    first = {name: load_photo(photos.path(rows[0])) for name, rows in photos.first_of_each(1).items()}
    return photo_plots.what_the_network_sees(first, material.recipe)


def duplicates(material: RunData) -> Figure:
    photos = material.audit.photos
    found = rank_pairs(near_duplicates(material.audit), material.audit, material.split)[:8]
    pictures = [(load_photo(photos.path(pair.first)), load_photo(photos.path(pair.second))) for pair in found]
    return photo_plots.pairs(pictures, [in_words(pair, material.audit, material.split) for pair in found])


def learning_rate(material: RunData) -> Figure:
    return training.learning_rate_curve(learning_rates(material.recipe))


def curves(material: RunData) -> Figure:
    return training.training_curves(material.history)


def confusion(material: RunData) -> Figure:
    return evaluation.confusion(confusion_matrix(material.predictions.as_predictions()), material.predictions.classes)


def class_scores(material: RunData) -> Figure:
    return evaluation.class_scores(class_intervals(material.predictions.as_predictions(), material.predictions.classes))


def reliability(material: RunData) -> Figure:
    return evaluation.reliability(calibrate(material.predictions))


def mistakes(material: RunData) -> Figure:
    found = confident_mistakes(material.predictions, 12)
    return answer_plots.answer_gallery(found, material.photos(found))


def uncertain(material: RunData) -> Figure:
    found = least_certain(material.predictions, 12)
    return answer_plots.answer_gallery(found, material.photos(found))


def saliency(material: RunData) -> Figure:
    found, classes = mistakes_and_correct(material.predictions, 6), material.predictions.classes
    explained = explain(material.model, found, material.photos(found), classes, material.recipe)
    return answer_plots.saliency(explained)


def embedding(material: RunData) -> Figure:
    predictions = material.predictions
    chosen = evenly_spaced(len(predictions.names))
    features = extract_features(material.model, material.feed([material.rows[i] for i in chosen]), torch.float32)
    maps = pca(features), tsne(features)
    return evaluation.embedding(*maps, classified_photos(predictions, chosen), material.photo, predictions.classes)


def suspects(material: RunData) -> Figure:
    found = suspected_labels(material.predictions)[:12]
    _ = material.rows  # raises if photos are missing
    if not found:
        return style.notice("no label is suspected")
    return answer_plots.suspected([material.photo(each.name) for each in found], found)


def your_photo(material: RunData) -> Figure:
    given = material.recipe.photo
    named = material.root / Path(given).expanduser() if given else material.audit.photos.path(material.split.val[0])
    own, predictor = expand_paths([named]), open_predictor(material.run.folder)
    for problem in own.problems:
        material.say(problem)
    return photo_figure(list(predictor.predict(own.photos[:OWN_PHOTOS])), predictor.classes)


def _example(material: RunData) -> Image.Image:
    """The photo on which the notebook demonstrates its transforms."""
    return load_photo(material.audit.photos.path(material.split.train[0]))


# By the names under which the notebook saves them.
FIGURES: dict[str, Callable[[RunData], Figure]] = {
    each.__name__: each
    for each in (
        class_samples,
        augmentation,
        black_border,
        transforms,
        duplicates,
        learning_rate,
        curves,
        confusion,
        class_scores,
        mistakes,
        uncertain,
        saliency,
        reliability,
        embedding,
        suspects,
        your_photo,
    )
}


def draw_all(material: RunData, folder: Path, say: Callable[[str], None] = print) -> list[str]:
    """Draw into the folder every figure that can be drawn; ``say`` reports each, and why others are missing.

    Returns:
        The names of the missing figures.
    """
    missing: dict[str, list[str]] = {}  # by reason
    for name, draw in FIGURES.items():
        try:
            write_figure(folder, draw(material), name)
            say(f"drawn: {folder / name}.png")
        except UserError as error:
            missing.setdefault(str(error), []).append(name)
    for reason, names in missing.items():
        say(f"not drawn: {', '.join(names)}\n    {reason}")
    return [name for name in FIGURES if any(name in names for names in missing.values())]


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 if every figure was drawn."""
    parser = argparse.ArgumentParser(prog="python -m helpers figures", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="folder of a run, or its name in work_dir; default: the newest finished")
    parser.add_argument("--data", help="where the photos are now, if they were moved: a folder or an archive")
    parser.add_argument("--output", help="folder for the figures (default: figures in the run's folder)")
    options = parser.parse_args(arguments)
    try:
        folder = find_run(options.run)
        run = read_partial_run(folder)
        for note in run.notes:
            print(f"note: {note}")
        material = RunData(run, project_root(), options.data, say=lambda text: print(f"note: {text}"))
        missing = draw_all(material, Path(options.output) if options.output else folder / "figures")
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{len(FIGURES) - len(missing)} of {len(FIGURES)} figures drawn")
    return 1 if missing else 0
