"""Compare recipes by cross-validation: ``python -m helpers compare --data photos --output comparison.json``.

Every row is cross-validated on the same folds and compared with the published recipe photo by photo. Finished folds
are read: the same command resumes, and several processes share the work. With --shares the rows are learning curves,
the same recipe on a part of the training photos. Parameters apply to the published recipe and its single changes; the
presets have their own.
"""

import argparse
import fnmatch
from pathlib import Path
from typing import Any

from helpers.commands.parameters import add_parameter_options, parameters_of, recipe_of
from helpers.common.errors import ParameterError, RunError
from helpers.common.files import make_folder
from helpers.recipe import Recipe

WHEN_INTERRUPTED = "the same command continues"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_parameter_options(parser)
    parser.add_argument("--rows", nargs="*", default=[], help="names of recipes, also with *; default: all")
    parser.add_argument("--folds", type=int, default=5, help="number of folds (default: %(default)s)")
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
    published = recipe_of(parameters, "published")
    _check(options, parameters)

    from helpers.comparison.cross_validation import compare, label_judge, photo_rows, row_folder, rows_text
    from helpers.comparison.folds import Protocol
    from helpers.comparison.results import check_fold_rule, merge_rows, write_photos
    from helpers.data.sources.locate import open_dataset
    from helpers.evaluation.label_errors import read_fold_predictions, suspected_labels, write_suspects
    from helpers.runs.folders import project_root

    root = project_root()
    size, epochs = options.image_size or published.image_size, min(options.epochs or published.epochs, published.epochs)
    recipes = _recipes(options, published, size / published.image_size, epochs)
    for path in filter(None, (options.output, options.photos, options.suspects)):  # before hours of training
        make_folder(path.parent, "name another file", ParameterError)
    if options.output:
        check_fold_rule(options.output)
    folder = root / published.work_dir / (options.name or f"comparison-{published.backbone}-{size}px-{epochs}")
    audit = open_dataset(next(iter(recipes.values())), root)  # decodes at the size that will be compared
    seeds, only, rows = tuple(range(options.seeds)), tuple(options.only or ()), []
    for share in options.shares or [1.0]:
        protocol = Protocol(audit, root, options.folds, seeds, only, share, published.test_fraction)
        found, results = compare(recipes, protocol, folder, cost=f"{size} px, {epochs} epochs")
        rows += found
        if options.output and rows:
            merge_rows(options.output, rows)
    if not rows:
        raise RunError("every training diverged, so there is nothing to compare: lower lr")
    if options.photos and results:
        write_photos(options.photos, photo_rows(results))
    if options.suspects and results:
        judge = label_judge(results)
        suspects = suspected_labels(read_fold_predictions(row_folder(folder, judge, share)))
        write_suspects(options.suspects, suspects)
        print(f"{len(suspects)} labels in doubt, by {judge}", flush=True)
    print(rows_text(rows))
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


def _recipes(options: argparse.Namespace, published: Recipe, scale: float, epochs: int) -> dict[str, Recipe]:
    """Return the recipes that --rows and --searched name, at their cost; the published one first, if needed."""
    from helpers.comparison.recipes import recipes_to_compare, scaled_down
    from helpers.comparison.results import read_trials

    known = recipes_to_compare(published, read_trials(options.searched) if options.searched else None)
    patterns = [*options.rows, *(["searched"] if options.rows and options.searched else [])] or ["*"]
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise ParameterError(f"--rows: there is no {pattern!r}; known are {', '.join(known)}")
    if not options.shares:
        patterns.append("published")  # with which the others are compared
    names = [name for name in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    return {name: scaled_down(known[name], scale, epochs) for name in names}
