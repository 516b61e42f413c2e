"""Parameters from the command line and from YAML files, as papermill takes them."""

import argparse
import contextlib
import os
from pathlib import Path
from typing import Any

import yaml

from helpers.common.errors import ParameterError
from helpers.recipe import Recipe


def add_parameter_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``parameters_of`` reads."""
    parser.add_argument("-f", "--file", action="append", default=[], help="YAML file with parameters; may be repeated")
    parser.add_argument(
        *("-p", "--parameter"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a setting of helpers/recipe.py; may be repeated",
    )
    parser.add_argument("--data", help="folder or archive of photos: the parameter dataset")


def recipe_of(parameters: dict[str, Any], preset: str = "demo") -> Recipe:
    """Return the recipe that the parameters describe, of this preset if they name none."""
    given = {name: value for name, value in parameters.items() if value is not None}
    return Recipe.from_preset(**{"preset": preset, **given})


def parameters_of(options: argparse.Namespace) -> dict[str, Any]:
    """Collect parameters from YAML files, then from ``-p NAME VALUE``, then from ``--data``; later ones win.

    Raises ParameterError: a file cannot be read, or holds anything but names with values.
    """
    parameters: dict[str, Any] = {}
    for file in options.file:
        parameters |= _read_yaml(file)
    parameters |= {name: _typed(value) for name, value in options.parameter}
    if options.data:
        parameters["dataset"] = _from_root(options.data) if os.path.exists(options.data) else options.data
    return parameters


def _from_root(data: str) -> str:
    """Return a path, seen from here, as the recipe holds it: a relative one starts at the project's root.

    A run whose recipe names no folder of this machine can be published.
    """
    place, root = Path(data).resolve(), Path(__file__).resolve().parents[2]
    if Path(data).is_absolute() or place.drive != root.drive:
        return str(place)
    path = os.path.relpath(place, root).replace(os.sep, "/")
    return path if path.startswith("../") else f"./{path}"  # not the word demo


def _read_yaml(file: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8-sig")) or {}
    except FileNotFoundError as error:
        raise ParameterError(f"parameter file {file!r} does not exist: see notebooks/parameters/") from error
    except OSError as error:
        raise ParameterError(f"parameter file {file!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-99-99, or no UTF-8
        raise ParameterError(f"parameter file {file!r} is not YAML in UTF-8: {error}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"parameter file {file!r} must hold lines like 'epochs: 25'")
    return {str(name): value for name, value in values.items()}


def _typed(text: str) -> Any:
    """Read the value as papermill's own ``-p`` does: whole number, number, True, False, None, or text."""
    words = {"True": True, "False": False, "None": None}
    for read in (words.__getitem__, int, float):
        with contextlib.suppress(KeyError, ValueError):
            return read(text)
    return text
