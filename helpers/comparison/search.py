"""A search for a better recipe: ``python -m helpers search --data photos --trials 20``.

An optuna study on disk. Started again, it goes on; started several times, on machines that share the folder
too, they work on the same study. A trial is a cross-validation, and is given up (pruned) when its first folds
are worse than those of most others.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from helpers.common import files
from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.comparison.cross_validation import cross_validate
from helpers.comparison.folds import FOLD_RULE, IRRELEVANT_SETTINGS, origin_of
from helpers.comparison.recipes import COST, UNTOLD
from helpers.comparison.search_space import starting_point, suggest
from helpers.data.audit import Audit
from helpers.data.near_duplicates import group_scenes
from helpers.recipe import Recipe

FINISHED = (optuna.trial.TrialState.COMPLETE,)  # a trial that was given up has an accuracy too, of its first folds


GRACE = timedelta(seconds=30)  # a trial counts as running for a moment before its process has locked its folder


def open_study(folder: Path, seed: int = 0) -> optuna.Study:
    """The study in ``folder/study.log``, made if it is not there.

    Raises:
        RunError: the file is damaged, or cannot be written.
    """
    path = folder / "study.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name="recipe",
            direction="maximize",
            load_if_exists=True,
            # Several processes that draw from the same seed would all try the same.
            sampler=optuna.samplers.TPESampler(seed=None if path.exists() else seed, multivariate=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0),
        )
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{path} cannot be used ({error}): choose another --name, or delete it") from error


def search(
    study: optuna.Study,
    base: Recipe,
    audit: Audit,
    folder: Path,
    root: Path,
    trials: int,
    folds: int,
    log: Callable[[str], None] = print,
) -> None:
    """Try ``trials`` recipes more: ``base`` itself first if it can be, and what a killed process left unfinished.

    Raises:
        ParameterError: the study is one around another recipe, or on other photos.
    """
    scenes = group_scenes(audit)
    begin(study, base, audit, folder)
    take_over(study, folder, log)

    def objective(trial: optuna.Trial) -> float:
        place = folder / f"trial-{trial.number:04}"
        place.mkdir(parents=True, exist_ok=True)
        settings = suggest(trial, base.backbone)
        recipe = base.with_settings(**settings)
        right = []
        with FileLock(place / ".trial.lock"):
            for k in range(folds):
                try:
                    found = cross_validate(recipe, audit, place, root, folds, (0,), (k,), scenes, lambda _: None)
                except DivergedError as error:
                    log(f"trial {trial.number}: {error}")
                    trial.set_user_attr("diverged", True)
                    raise optuna.TrialPruned from error
                right.append(found.right[found.held_out])
                accuracy = float(np.concatenate(right).mean())
                trial.report(accuracy, k)
                if k + 1 < folds and trial.should_prune():
                    log(f"trial {trial.number}: given up after {k + 1} folds, {accuracy:.2%}")
                    raise optuna.TrialPruned
        log(f"trial {trial.number}: {accuracy:.2%}  {settings}")
        return accuracy

    study.optimize(objective, n_trials=trials, callbacks=[lambda *_: write_up(study, folder, base)])


def begin(study: optuna.Study, base: Recipe, audit: Audit, folder: Path) -> None:
    """Make it the study of this recipe and these photos.

    Raises:
        ParameterError: it is another one's.
    """
    settings = {name: value for name, value in base.to_dict().items() if name not in IRRELEVANT_SETTINGS}
    about = {"settings": settings, "photos": audit.fingerprint, "fold_rule": FOLD_RULE}
    with FileLock(folder / ".study.lock"):  # of several processes one begins
        if "about" not in study.user_attrs:
            study.set_user_attr("about", about)
            if not study.get_trials(deepcopy=False) and (own := starting_point(base)):
                study.enqueue_trial(own, user_attrs={"start": True})
    if study.user_attrs["about"] != about:
        raise ParameterError(
            f"{folder} is a search around another recipe, or on other photos or folds: choose another --name"
        )


def take_over(study: optuna.Study, folder: Path, log: Callable[[str], None] = print) -> None:
    """Give trials that count as running, but whose process is gone, to whoever comes next."""
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        place = folder / f"trial-{trial.number:04}"
        if datetime.now() - trial.datetime_start < GRACE:
            continue
        place.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(place / ".trial.lock", timeout=0):
                kept = {name: value for name, value in trial.user_attrs.items() if name == "start"}
                study.enqueue_trial(trial.params, user_attrs=kept | {"again": trial.number})
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                log(f"trial {trial.number} was left unfinished: it is tried again")
        except Timeout:  # somebody is at it
            pass


def rows_of(study: optuna.Study) -> list[dict[str, Any]]:
    """Every trial with its settings, state and accuracy; the best first."""
    rows = [
        {"trial": t.number, "state": "diverged" if "diverged" in t.user_attrs else t.state.name.lower()}
        | {"accuracy": t.value, "folds": len(t.intermediate_values), "settings": t.params}
        | ({"start": True} if "start" in t.user_attrs else {})
        for t in study.get_trials(deepcopy=False)
    ]
    return sorted(rows, key=lambda row: -1 if row["accuracy"] is None else row["accuracy"], reverse=True)


def importances_of(study: optuna.Study) -> dict[str, float]:
    """How much of the difference between trials goes with each setting, the largest first.

    Empty unless two finished trials differ.
    """
    if len({trial.value for trial in study.get_trials(deepcopy=False, states=FINISHED)}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def write_up(study: optuna.Study, folder: Path, base: Recipe) -> None:
    """``trials.json``: what was tried, by which code on which machine, and all that is needed to draw it again."""
    origins = [origin_of(path.parent) for path in sorted(folder.glob("trial-*/fold-*/fold.json"))]
    commits, machines = (sorted(set(each)) for each in zip(*origins, strict=True)) if origins else ([], [])
    facts = {"preset": base.preset, "backbone": base.backbone, "cost": f"{base.image_size} px, {base.epochs} epochs"}
    facts |= {
        "fold_rule": FOLD_RULE,
        "changed": _changed(base),
        "commit": ", ".join(commits),
        "machine": "; ".join(machines),
        "importances": importances_of(study),
    }
    files.write_json(folder / "trials.json", facts | {"trials": rows_of(study)})


def _changed(base: Recipe) -> dict[str, Any]:
    """Settings that the user gave, beside the preset; but for places and the cost."""
    preset = Recipe.from_preset(base.preset).to_dict()
    return {
        name: value for name, value in base.to_dict().items() if value != preset[name] and name not in (*COST, *UNTOLD)
    }
