"""A search for a better recipe: ``python -m helpers search --data photos --trials 20``.

An optuna study on disk. Started again, it goes on; started several times, on machines that share the folder
too, they work on the same study. A trial is a cross-validation, and is given up (pruned) when its first folds
are worse than those of most others.
"""

from __future__ import annotations

import argparse
import sys

import optuna

from helpers.commands.parameters import add_parameter_options, collect_parameters
from helpers.common.errors import ParameterError, UserError
from helpers.comparison.plots import draw
from helpers.comparison.recipes import scaled_down
from helpers.comparison.search import open_study, search, write_up
from helpers.data.sources.locate import open_dataset
from helpers.recipe import Recipe
from helpers.runs.run import project_root


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers search", description=__doc__.splitlines()[0])
    add_parameter_options(parser)
    parser.add_argument("--trials", type=int, default=20, help="how many to try now")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=128, help="smaller pictures: a fraction of the cost")
    parser.add_argument("--epochs", type=int, default=6, help="no more epochs than these: a fraction of the cost")
    parser.add_argument("--name", default="study", help="folder in work_dir")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        root = project_root()
        given = {"preset": "seed"} | collect_parameters(options.file, options.parameter, options.data)
        base = Recipe.from_preset(**given)
        base = scaled_down(base, options.image_size / base.image_size, options.epochs)
        if options.trials < 0 or options.folds < 2:
            raise ParameterError("--trials must be at least 0, --folds at least 2")
        folder = root / base.work_dir / options.name
        study = open_study(folder, base.seed)
        search(study, base, open_dataset(base, root), folder, root, options.trials, options.folds)
        write_up(study, folder, base)
        pictures = draw(study, folder)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"best: trial {study.best_trial.number}, {study.best_value:.2%} of the photos, each held out once")
    for name, value in study.best_params.items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    print("chosen among many on these same photos, it flatters: judge it on others, or by a new cross-validation")
    print(*pictures, folder / "trials.json", sep="\n")
    return 0
