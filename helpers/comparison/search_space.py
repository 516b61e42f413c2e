"""What a search tries: the settings of which a change may help, and the range in which it may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from helpers.common.errors import ParameterError, RunError
from helpers.models.build import ends_in_head
from helpers.recipe import Recipe


def space(backbone: str) -> dict[str, BaseDistribution]:
    """What is searched: the settings of which a change may help, and the range in which it may."""
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


def suggest(trial: optuna.Trial, backbone: str) -> dict[str, Any]:
    """Settings for a trial, from the space."""
    settings: dict[str, Any] = dict(FIXED)
    for name, values in space(backbone).items():
        if isinstance(values, CategoricalDistribution):
            settings[name] = trial.suggest_categorical(name, values.choices)
        else:
            settings[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
    return settings


def starting_point(base: Recipe) -> dict[str, Any]:
    """The searched settings as ``base`` has them; empty if it cannot be a trial, for it lies outside of the space."""

    def inside(values: BaseDistribution, value: Any) -> bool:
        if isinstance(values, CategoricalDistribution):
            return value in values.choices
        return values.low <= value <= values.high

    own = {name: getattr(base, name) for name in space(base.backbone)}
    fixed = all(getattr(base, name) == value for name, value in FIXED.items())
    inner = all(inside(values, own[name]) for name, values in space(base.backbone).items())
    return own if fixed and inner else {}


# Of all trials: a schedule that ends low whatever lr it starts from; and a crop on which crop_scale has an effect, so
# that no trial is told apart from another by a setting that does nothing in it.
FIXED = {"schedule": "cosine", "crop": "random_resized"}


def read(path: Path) -> dict[str, Any]:
    """What ``helpers.study`` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    names = ("preset", "changed", "backbone", "cost", "commit", "machine", "importances", "trials")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is missing, damaged, or of another version ({error}): "
            "the command of the search with --trials 0 writes it again"
        ) from error


def finished(search: dict[str, Any]) -> list[dict[str, Any]]:
    """The trials that were not given up, the most accurate first."""
    return sorted(
        (row for row in search["trials"] if row["state"] == "complete"), key=lambda row: row["accuracy"], reverse=True
    )


def winner(search: dict[str, Any], **places: Any) -> Recipe:
    """The recipe of the most accurate trial, at full cost.

    Args:
        places: settings that are not the search's own, such as dataset and backbone.

    Raises:
        ParameterError: no trial is finished, or the best one used a setting that is no longer there.
    """
    if not (whole := finished(search)):
        raise ParameterError("no trial of the search is finished: raise --trials")
    settings = {**search["changed"], **FIXED, **whole[0]["settings"], **places}
    if removed := sorted(settings.keys() - Recipe().to_dict().keys()):
        raise ParameterError(
            f"the winner of the search, trial {whole[0]['trial']}, uses {removed[0]}, which is no longer a setting: "
            "run the search again"
        )
    return Recipe.from_preset(search["preset"], **settings)
