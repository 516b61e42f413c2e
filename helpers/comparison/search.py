"""A search for a better recipe: an optuna study on disk, whose trials are cross-validations.

Started again, it continues; started several times, on machines that share the folder too, the processes work on the
same study. A trial whose first folds are worse than those of most others is pruned.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from helpers.common import files
from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.comparison.folds import IRRELEVANT_SETTINGS, Protocol, plan, read_facts, read_fold, run_fold
from helpers.comparison.recipes import FIXED, UNTOLD
from helpers.comparison.results import FOLD_RULE
from helpers.models.build import ends_in_head
from helpers.recipe import Recipe

Log = Callable[[str], None]
STUDY_LOCK = ".study.lock"  # of several processes, one at a time begins a trial


def search_space(backbone: str) -> dict[str, BaseDistribution]:
    """Return the settings of which a change may help, and the ranges in which it may."""
    return {
        "lr": FloatDistribution(3e-4, 3e-2, log=True),
        "crop_scale": FloatDistribution(0.1, 0.8),
        "rotation": FloatDistribution(0.0, 30.0),
        "vertical_flip": CategoricalDistribution([0.0, 0.5]),
        "mixup": CategoricalDistribution([0.0, 0.2]),
        "cutmix": CategoricalDistribution([0.0, 1.0]),
        "label_smoothing": CategoricalDistribution([0.0, 0.1]),
        "dropout": FloatDistribution(0.0, 0.6),
        "weight_decay": FloatDistribution(1e-5, 1e-2, log=True),
        "linear_probe_first": CategoricalDistribution([False, True] if ends_in_head(backbone) else [False]),
        "ema_decay": CategoricalDistribution([0.0, 0.99]),
    }


def starting_point(base: Recipe, space: dict[str, BaseDistribution]) -> dict[str, Any]:
    """Return the searched settings as ``base`` has them; empty if ``base`` lies outside of the space."""
    own = {name: getattr(base, name) for name in space}
    inside = all(getattr(base, name) == value for name, value in FIXED.items())
    for name, values in space.items():
        choices = isinstance(values, CategoricalDistribution)
        inside &= own[name] in values.choices if choices else values.low <= own[name] <= values.high
    return own if inside else {}


def open_study(folder: Path, seed: int = 0) -> optuna.Study:
    """Open the study in ``folder/study.log``, or make it.

    Raises RunError: the file is damaged, or cannot be written.
    """
    path = folder / "study.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            # A file lock is released with the process that held it; optuna's own stays.
            storage=JournalStorage(JournalFileBackend(str(path), FileLock(f"{path}.filelock"))),
            study_name="recipe",
            direction="maximize",
            load_if_exists=True,
            # Several processes that draw from the same seed would all try the same.
            sampler=optuna.samplers.TPESampler(seed=None if path.exists() else seed, multivariate=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0),
        )
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{path} cannot be used ({error}): choose another --name, or delete it") from error


def search(study: optuna.Study, base: Recipe, protocol: Protocol, folder: Path, trials: int, log: Log = print) -> None:
    """Try ``trials`` more recipes: first ``base`` itself if it can be, and what a killed process left unfinished.

    Raises ParameterError: the study is around another recipe, or on other photos or folds.
    """
    space = search_space(base.backbone)
    with FileLock(folder / STUDY_LOCK):
        bind_study(study, base, protocol, folder, starting_point(base, space))
        requeue_abandoned(study, folder, log)
    for _ in range(trials):
        with FileLock(folder / STUDY_LOCK):  # whoever holds it sees no trial that runs and is not locked yet
            trial = study.ask(space)
            lock = _lock(folder, trial.number)
            lock.acquire()
        recipe = base.with_settings(**FIXED, **trial.params)
        try:
            study.tell(trial, _accuracy(trial, recipe, protocol, _place(folder, trial.number), log))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        finally:
            lock.release()
        write_trials(study, folder, base)


def _place(folder: Path, number: int) -> Path:
    return folder / f"trial-{number:04}"


def _lock(folder: Path, number: int) -> FileLock:
    _place(folder, number).mkdir(parents=True, exist_ok=True)
    return FileLock(_place(folder, number) / ".trial.lock", timeout=0)


def _accuracy(trial: optuna.Trial, recipe: Recipe, protocol: Protocol, folder: Path, log: Log) -> float:
    """Cross-validate a trial's recipe fold by fold, and prune it if it diverges or falls behind."""
    correct: list[float] = []
    jobs = plan(recipe, protocol, folder)
    for number, job in enumerate(jobs, start=1):
        try:
            run_fold(job, protocol)
            correct += read_fold(job.folder, job, protocol.audit)["correct"]
        except DivergedError as error:
            log(f"trial {trial.number}: {error}")
            trial.set_user_attr("diverged", True)
            raise optuna.TrialPruned from error
        accuracy = sum(correct) / len(correct)
        trial.report(accuracy, number)
        if number < len(jobs) and trial.should_prune():
            log(f"trial {trial.number}: pruned after {number} folds, {accuracy:.2%}")
            raise optuna.TrialPruned
    log(f"trial {trial.number}: {accuracy:.2%}  {trial.params}")
    return accuracy


def bind_study(
    study: optuna.Study, base: Recipe, protocol: Protocol, folder: Path, start: dict[str, Any] | None = None
) -> None:
    """Make it the study of this recipe, these photos and folds; a new one begins with the trial ``start``, if given.

    Raises ParameterError: it is another one's.
    """
    settings = {name: value for name, value in base.to_dict().items() if name not in IRRELEVANT_SETTINGS}
    about = {
        "settings": settings,
        "photos": protocol.audit.fingerprint,
        "folds": [protocol.folds, FOLD_RULE, protocol.test_fraction],
    }
    if "about" not in study.user_attrs:
        study.set_user_attr("about", about)
        if start:
            study.enqueue_trial(start, user_attrs={"start": True})
    if study.user_attrs["about"] != about:
        raise ParameterError(f"{folder} is a search around another recipe, photos or folds: choose another --name")


def requeue_abandoned(study: optuna.Study, folder: Path, log: Log = print) -> None:
    """Queue trials again that count as running, but whose process is gone."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with contextlib.suppress(Timeout), _lock(folder, trial.number):  # Timeout: its process is alive
            kept = {name: value for name, value in trial.user_attrs.items() if name == "start"}
            study.enqueue_trial(trial.params, user_attrs=kept)
            study.tell(trial.number, state=TrialState.FAIL)
            log(f"trial {trial.number} was left unfinished: it is tried again")


def setting_importances(study: optuna.Study) -> dict[str, float]:
    """Return how much of the difference between trials goes with each setting (PED-ANOVA); empty if none differ."""
    if len({trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def write_trials(study: optuna.Study, folder: Path, base: Recipe) -> None:
    """Write ``trials.json``: what was tried, by which code on which machine, and all that the figures need.

    The accuracy of a pruned trial is that of its first folds; the most accurate comes first.
    """
    preset, cost = Recipe.from_preset(base.preset).to_dict(), Recipe.names("size", "length")
    changed = {
        name: value for name, value in base.to_dict().items() if value != preset[name] and name not in (*cost, *UNTOLD)
    }
    trials = [
        {
            "trial": trial.number,
            "state": "diverged" if "diverged" in trial.user_attrs else trial.state.name.lower(),
            "accuracy": trial.value,
            "folds": len(trial.intermediate_values),
            "settings": trial.params,
            **({"start": True} if "start" in trial.user_attrs else {}),
        }
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    ]
    facts = [read_facts(path.parent) for path in sorted(folder.glob("trial-*/fold-*/fold.json"))]
    commits, machines = (sorted({each[key] for each in facts}) for key in ("commit", "machine"))
    files.write_json(
        folder / "trials.json",
        {
            "preset": base.preset,
            "backbone": base.backbone,
            "cost": f"{base.image_size} px, {base.epochs} epochs",
            "fold_rule": FOLD_RULE,
            "changed": changed,
            "commit": ", ".join(commits),
            "machine": "; ".join(machines),
            "importances": setting_importances(study),
            "trials": sorted(trials, key=lambda trial: -(trial["accuracy"] or -1)),
        },
    )
