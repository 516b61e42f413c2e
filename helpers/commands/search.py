"""Search for a better recipe: ``python -m helpers search --data photos --trials 20``.

An optuna study on disk. The same command resumes it; several processes, on machines that share the folder too, can
work on it together. A trial is a cross-validation, and is pruned when its first folds are worse than most others'.
"""

import argparse

from helpers.commands.parameters import add_parameter_options, parameters_of, recipe_of
from helpers.common.errors import ParameterError, RunError

WHEN_INTERRUPTED = "the same command continues"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_parameter_options(parser)
    parser.add_argument("--trials", type=int, default=20, help="trials to run now (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="folds per trial (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=128, help="px; smaller is cheaper (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="most epochs of a training (default: %(default)s)")
    parser.add_argument("--name", default="study", help="folder in work_dir (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    base = recipe_of(parameters_of(options), "published")
    if options.trials < 0 or options.folds < 2:
        raise ParameterError("--trials must be at least 0, --folds at least 2")
    if base.frozen_backbone or not base.augmentation:
        raise ParameterError(
            "the search varies augmentation and fine-tuning, which have no effect with frozen_backbone = True or "
            "augmentation = False (preset fast): start from published or best"
        )

    import optuna

    from helpers.comparison.folds import Protocol
    from helpers.comparison.recipes import scaled_down
    from helpers.comparison.search import open_study, search, write_trials
    from helpers.data.sources.locate import open_dataset
    from helpers.runs.folders import project_root

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    root = project_root()
    base = scaled_down(base, options.image_size / base.image_size, options.epochs)
    folder = root / base.work_dir / options.name
    study = open_study(folder, base.seed)
    protocol = Protocol(open_dataset(base, root), root, options.folds, test_fraction=base.test_fraction)
    search(study, base, protocol, folder, options.trials)
    write_trials(study, folder, base)
    if not any(trial.state.name == "COMPLETE" for trial in study.trials):
        raise RunError(f"{folder}: no trial is finished: raise --trials")
    print(f"best: trial {study.best_trial.number}, {study.best_value:.2%} of the photos, each held out once")
    for name, value in study.best_params.items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    print("too optimistic, as the best of many on the same photos: judge it on others, or by a new cross-validation")
    print(folder / "trials.json")
    return 0
