"""The comparison of recipes: ``python -m helpers compare --data photos --output comparison.json``.

Each row is a cross-validation on the same folds, compared with the seed recipe photo by photo. Rows and folds that
are finished are read: the same command goes on where it was interrupted, and started twice it shares the work. With
``--shares`` the rows are learning curves: the same recipe on a part of the training photos. Settings given with ``-p``
are those of the seed recipe and of its single changes; the presets have their own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from helpers.commands.parameters import add_parameter_options, collect_parameters
from helpers.common import files
from helpers.common.errors import ParameterError, RunError, UserError
from helpers.comparison import search_space
from helpers.comparison.compare import chosen, compare, judge, place_of
from helpers.comparison.cross_validation import to_csv
from helpers.comparison.recipes import recipes_to_compare, scaled_down
from helpers.comparison.table import as_text, merge, refuse_other_folds
from helpers.data.sources.locate import open_dataset
from helpers.evaluation import label_errors
from helpers.recipe import Recipe
from helpers.runs.run import project_root


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers compare", description=__doc__.splitlines()[0])
    add_parameter_options(parser)
    parser.add_argument("--rows", nargs="*", default=[], help="names of rows, or beginnings of names; default: all")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="*", help="these folds alone")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--image-size", type=int, help="smaller pictures: a fraction of the cost")
    parser.add_argument("--epochs", type=int, help="no more epochs than these: a fraction of the cost")
    parser.add_argument("--shares", type=float, nargs="*", help="train on these shares of the photos: learning curves")
    parser.add_argument("--name", help="folder of the folds in work_dir; made from backbone and cost if not given")
    parser.add_argument("--searched", help="trials.json of helpers.study: its winner is a row as well, at full cost")
    parser.add_argument("--output", help="JSON file to put the rows into; it keeps rows of other backbones and costs")
    parser.add_argument("--photos", help="CSV file for what each recipe said of each photo")
    parser.add_argument("--suspects", help="CSV file for photos whose label may be wrong")
    options = parser.parse_args(arguments)
    try:
        root = project_root()
        given = {"preset": "seed"} | collect_parameters(options.file, options.parameter, options.data)
        _check(options, given)
        seed = Recipe.from_preset(**given)
        size, epochs = options.image_size or seed.image_size, min(options.epochs or seed.epochs, seed.epochs)
        known = recipes_to_compare(seed, search_space.read(Path(options.searched)) if options.searched else None)
        asked = [*options.rows, "searched"] if options.rows and options.searched else options.rows
        if unknown := [name for name in asked if not any(chosen(each, [name]) for each in known)]:
            raise ParameterError(f"--rows: there is no {unknown[0]!r}; known are {', '.join(known)}")
        wanted = asked if options.shares or not asked else ["seed", *asked]
        scale = size / seed.image_size
        table = {name: scaled_down(recipe, scale, epochs) for name, recipe in known.items() if chosen(name, wanted)}
        only = tuple(options.only) if options.only else tuple(range(options.folds))
        if options.output:
            refuse_other_folds(Path(options.output))  # before hours of training
        cost = f"{size} px, {epochs} epochs"
        folder = root / seed.work_dir / (options.name or f"comparison-{seed.backbone}-{size}px-{epochs}")
        audit, numbers = open_dataset(seed, root), []
        for share in options.shares or [1.0]:
            found, results = compare(
                table, audit, folder, root, options.folds, only, tuple(range(options.seeds)), share
            )
            numbers += [row | {"cost": cost} for row in found]
            if options.output:
                merge(Path(options.output), numbers)
        if options.photos and results:
            files.write_atomically(Path(options.photos), to_csv(results, audit).encode())
        if options.suspects and results:
            predictions = label_errors.read_fold_predictions(place_of(folder, judge(results), share))
            suspects = label_errors.suspected_labels(predictions)
            label_errors.write_suspects(Path(options.suspects), suspects)
            print(f"{len(suspects)} labels in doubt, by {judge(results)}", flush=True)
        if not numbers:
            raise RunError("every training ran away, so there is nothing to compare: lower lr")
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(as_text(numbers))
    return 0


def _check(options: argparse.Namespace, given: dict[str, Any]) -> None:
    for name in ("image_size", "val_resize", "eval_image_size"):
        if name in given:
            raise ParameterError(f"{name} would change some rows and not others: use --image-size, which all follow")
    least = {"folds": 2, "seeds": 1, "image_size": 16, "epochs": 1}
    for name, low in least.items():
        if (value := getattr(options, name)) is not None and value < low:
            raise ParameterError(f"--{name.replace('_', '-')} {value}: must be at least {low}")
    if wrong := [fold for fold in options.only or () if not 0 <= fold < options.folds]:
        raise ParameterError(f"--only {wrong[0]}: the folds are 0 to {options.folds - 1}")
