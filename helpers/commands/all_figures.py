"""The figures of a run, each drawn from its folder alone, by the names under which the notebook saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

from helpers.commands.run_data import RunData
from helpers.common.errors import UserError
from helpers.common.files import save_figure
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
from helpers.training import learning_rates

OWN_PHOTOS = 24  # photos of a folder, as many as the notebook shows


def class_samples(data: RunData) -> Figure:
    photos = data.audit.photos
    chosen = photos.first_of_each(8)
    return photo_plots.class_samples(
        {name: [load_photo(photos.path(i)) for i in rows] for name, rows in chosen.items()}
    )


def augmentation(data: RunData) -> Figure:
    return photo_plots.augmentation_grid(_example(data), data.recipe)


def black_border(data: RunData) -> Figure:
    return photo_plots.black_border(_example(data), data.recipe)


def transforms(data: RunData) -> Figure:
    photos = data.audit.photos
    first = {name: load_photo(photos.path(rows[0])) for name, rows in photos.first_of_each(1).items()}
    return photo_plots.what_the_network_sees(first, data.recipe)


def duplicates(data: RunData) -> Figure:
    photos = data.audit.photos
    found = rank_pairs(near_duplicates(data.audit), data.audit, data.split)[:8]
    pictures = [(load_photo(photos.path(pair.first)), load_photo(photos.path(pair.second))) for pair in found]
    return photo_plots.pairs(pictures, [in_words(pair, data.audit, data.split) for pair in found])


def learning_rate(data: RunData) -> Figure:
    return training.learning_rate_curve(learning_rates(data.recipe))


def curves(data: RunData) -> Figure:
    return training.training_curves(data.history)


def confusion(data: RunData) -> Figure:
    return evaluation.confusion(confusion_matrix(data.predictions.as_predictions()), data.predictions.classes)


def class_scores(data: RunData) -> Figure:
    return evaluation.class_scores(class_intervals(data.predictions.as_predictions(), data.predictions.classes))


def reliability(data: RunData) -> Figure:
    return evaluation.reliability(calibrate(data.predictions))


def mistakes(data: RunData) -> Figure:
    found = confident_mistakes(data.predictions, 12)
    return answer_plots.answer_gallery(found, data.photos(found))


def uncertain(data: RunData) -> Figure:
    found = least_certain(data.predictions, 12)
    return answer_plots.answer_gallery(found, data.photos(found))


def saliency(data: RunData) -> Figure:
    found, classes = mistakes_and_correct(data.predictions, 6), data.predictions.classes
    explained = explain(data.model, found, data.photos(found), classes, data.recipe)
    return answer_plots.saliency(explained)


def embedding(data: RunData) -> Figure:
    predictions = data.predictions
    chosen = evenly_spaced(len(predictions.names))
    features = extract_features(data.model, data.loader([data.rows[i] for i in chosen]), torch.float32)
    maps = pca(features), tsne(features)
    return evaluation.embedding(*maps, classified_photos(predictions, chosen), data.photo, predictions.classes)


def suspects(data: RunData) -> Figure:
    found = suspected_labels(data.predictions)[:12]
    _ = data.rows  # raises if photos are missing
    if not found:
        return style.notice("no label is suspected")
    return answer_plots.suspected([data.photo(each.name) for each in found], found)


def your_photo(data: RunData) -> Figure:
    given = data.recipe.photo
    named = data.root / Path(given).expanduser() if given else data.audit.photos.path(data.split.val[0])
    own, predictor = expand_paths([named]), open_predictor(data.run.folder)
    for problem in own.problems:
        data.log(problem)
    return photo_figure(list(predictor.predict(own.photos[:OWN_PHOTOS])), predictor.classes)


def _example(data: RunData) -> Image.Image:
    """The photo on which the notebook demonstrates its transforms."""
    return load_photo(data.audit.photos.path(data.split.train[0]))


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


def draw_all(data: RunData, folder: Path, log: Callable[[str], None] = print) -> list[str]:
    """Draw into the folder every figure that can be drawn; log each, and why others are missing.

    Returns:
        The names of the missing figures.
    """
    missing: dict[str, list[str]] = {}  # by reason
    for name, draw in FIGURES.items():
        try:
            save_figure(folder / f"{name}.png", draw(data))
            log(f"drawn: {folder / name}.png")
        except UserError as error:
            missing.setdefault(str(error), []).append(name)
    for reason, names in missing.items():
        log(f"not drawn: {', '.join(names)}\n    {reason}")
    return [name for name in FIGURES if any(name in names for names in missing.values())]
