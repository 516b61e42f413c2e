"""Compare recipes by cross-validation: ``python -m helpers compare --data photos --output comparison.json``.

Every row is cross-validated on the same folds and compared with the seed recipe photo by photo. Finished folds are
read: the same command resumes, and several processes share the work. With --shares the rows are learning curves, the
same recipe on a part of the training photos. Parameters apply to the seed recipe and its single changes; the presets
have their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from helpers.commands.parameters import add_parameter_options, parameters_of, recipe_of
from helpers.common.errors import ParameterError, RunError
from helpers.recipe import Recipe

WHEN_INTERRUPTED = "the same command continues"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_parameter_options(parser)
    parser.add_argument("--rows", nargs="*", default=[], help="names of rows, or beginnings of names; default: all")
    parser.add_argument("--folds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--only", type=int, nargs="*", help="only these folds, from 0")
    parser.add_argument("--seeds", type=int, default=1, help="trainings per fold (default: %(default)s)")
    parser.add_argument("--image-size", type=int, help="px; smaller is cheaper")
    parser.add_argument("--epochs", type=int, help="most epochs of a training; fewer are cheaper")
    parser.add_argument("--shares", type=float, nargs="*", help="train on these shares of the photos: learning curves")
    parser.add_argument("--name", help="folder of the folds in work_dir; default: made from backbone and cost")
    parser.add_argument("--searched", type=Path, help="trials.json of a search: adds its winner as a row, at full cost")
    parser.add_argument("--output", type=Path, help="JSON file to merge the rows into")
    parser.add_argument("--photos", type=Path, help="CSV file for the prediction of each recipe for each photo")
    parser.add_argument("--suspects", type=Path, help="CSV file for photos whose label may be wrong")


def run(options: argparse.Namespace) -> int:
    parameters = parameters_of(options)
    seed = recipe_of(parameters, "seed")
    _check(options, parameters)

    from helpers.common.files import write_atomically
    from helpers.comparison.compare import compare, judge, place_of
    from helpers.comparison.cross_validation import to_csv
    from helpers.comparison.table import as_text, merge, refuse_other_folds
    from helpers.data.sources.locate import open_dataset
    from helpers.evaluation import label_errors
    from helpers.runs.run import project_root

    root = project_root()
    size, epochs = options.image_size or seed.image_size, min(options.epochs or seed.epochs, seed.epochs)
    table = _rows(options, seed, size / seed.image_size, epochs)
    only = tuple(options.only) if options.only else tuple(range(options.folds))
    if options.output:
        refuse_other_folds(options.output)  # before hours of training
    folder = root / seed.work_dir / (options.name or f"comparison-{seed.backbone}-{size}px-{epochs}")
    audit, numbers = open_dataset(seed, root), []
    for share in options.shares or [1.0]:
        found, results = compare(table, audit, folder, root, options.folds, only, tuple(range(options.seeds)), share)
        numbers += [row | {"cost": f"{size} px, {epochs} epochs"} for row in found]
        if options.output:
            merge(options.output, numbers)
    if not numbers:
        raise RunError("every training diverged, so there is nothing to compare: lower lr")
    if options.photos and results:
        write_atomically(options.photos, to_csv(results, audit).encode())
    if options.suspects and results:
        predictions = label_errors.read_fold_predictions(place_of(folder, judge(results), share))
        suspects = label_errors.suspected_labels(predictions)
        label_errors.write_suspects(options.suspects, suspects)
        print(f"{len(suspects)} labels in doubt, by {judge(results)}", flush=True)
    print(as_text(numbers))
    return 0


def _check(options: argparse.Namespace, parameters: dict[str, Any]) -> None:
    for name in Recipe.names("size"):
        if name in parameters:
            raise ParameterError(f"{name} would change some rows and not others: use --image-size for all")
    least = {"folds": 2, "seeds": 1, "image_size": 16, "epochs": 1}
    for name, low in least.items():
        if (value := getattr(options, name)) is not None and value < low:
            raise ParameterError(f"--{name.replace('_', '-')} {value}: must be at least {low}")
    if wrong := [fold for fold in options.only or () if not 0 <= fold < options.folds]:
        raise ParameterError(f"--only {wrong[0]}: the folds are 0 to {options.folds - 1}")


def _rows(options: argparse.Namespace, seed: Recipe, scale: float, epochs: int) -> dict[str, Recipe]:
    """Return the recipes that are asked for, by name, at their cost; the seed recipe first, if it is needed."""
    from helpers.comparison import search_space
    from helpers.comparison.compare import chosen
    from helpers.comparison.recipes import recipes_to_compare, scaled_down

    known = recipes_to_compare(seed, search_space.read(options.searched) if options.searched else None)
    wanted = [*options.rows, "searched"] if options.rows and options.searched else options.rows
    if unknown := [name for name in wanted if not any(chosen(each, [name]) for each in known)]:
        raise ParameterError(f"--rows: there is no {unknown[0]!r}; known are {', '.join(known)}")
    if wanted and not options.shares:
        wanted = ["seed", *wanted]
    return {name: scaled_down(recipe, scale, epochs) for name, recipe in known.items() if chosen(name, wanted)}
