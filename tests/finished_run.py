"""A finished run with random weights, as the notebook leaves one."""

import torch

from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders, own_transforms
from helpers.data.split import split_photos, write_split
from helpers.evaluation.predictions import predict
from helpers.inference import fit_ood_detector
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe
from helpers.runs.changes import save_changes
from helpers.runs.environment import save_environment
from helpers.runs.history import Epoch, History
from helpers.runs.recipe_file import save_recipe
from helpers.runs.results import summarize
from helpers.runs.run import Run
from helpers.runs.saving import load_best_model
from tests.conftest import colourful
from tests.tiny import CPU, random_model


def two_flowers(folder):
    """Twenty photos of each of two classes, wide and tall."""
    for label, name in enumerate(("rose", "tulip")):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            colourful((90, 60) if i % 2 else (50, 80), 100 * label + i).save(folder / name / f"{i:03}.jpg")
    return folder


def finished_run(root, backbone="squeezenet1_1", photos=None, val_transform=None, **changes):
    """A run with random weights, with all the files that the notebook leaves.

    Args:
        photos: makes a folder of photos.
        val_transform: makes a transform for the validation photos from the recipe.

    Returns:
        The run's folder, its photos' folder, and its out-of-distribution detector.
    """
    photos = (photos or two_flowers)(root / "photos")
    changes = {"weights": "none", "image_size": 32, "val_resize": 36} | changes
    recipe = Recipe.from_preset("demo", dataset=str(photos), backbone=backbone, **changes)
    audit = audit_photos(find_photos(photos))
    split = split_photos(audit, recipe.train_fraction, 0)
    run = Run(root / "runs" / "a", recipe, root, CPU, torch.float32)
    run.folder.mkdir(parents=True)
    save_recipe(run.folder, recipe)
    save_environment(run.folder, {"precision": "float32", "data_fingerprint": audit.fingerprint})
    write_split(run.folder / "split.csv", audit.photos, split)
    best = Epoch(0, 0.1, 0.7, 0.5, 0.7, 0.5)
    model = random_model(backbone, len(audit.photos.classes), recipe.dropout, seed=3)
    run.save_best(model.state_dict(), best, audit.photos.classes)
    run.save_history(History([best]))
    feeds = make_loaders(audit, split, recipe, CPU, val=val_transform and val_transform(recipe))
    save_changes(run.folder, own_transforms(recipe, *feeds.transforms))
    tested = with_tta(load_best_model(run.folder), recipe)
    predictions = predict(tested, feeds.val, torch.float32)
    run.save_predictions(predictions, [audit.photos.names[i] for i in split.val], audit.photos.classes)
    detector = fit_ood_detector(tested, audit, split, feeds, run)
    run.save_results(summarize(run, audit, split, History([best]), predictions, [1.0]))
    return run.folder, photos, detector
