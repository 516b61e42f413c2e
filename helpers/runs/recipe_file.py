"""``recipe.json``: the settings of a run, on disk from the moment its folder is opened."""

from pathlib import Path

from helpers.common.files import read_json, write_json
from helpers.recipe import Recipe
from helpers.runs.history import History

FILE = "recipe.json"


def save_recipe(folder: Path, recipe: Recipe) -> None:
    """Write ``recipe.json``."""
    write_json(folder / FILE, recipe.to_dict())


def has_recipe(folder: Path) -> bool:
    """Tell whether the folder has a ``recipe.json``."""
    return (folder / FILE).is_file()


def read_recipe(folder: Path) -> tuple[Recipe, list[str]]:
    """Read the recipe of a run, and the names of stored settings that this version does not have.

    A setting that the file lacks has its default value.

    Raises:
        RunError: ``recipe.json`` is missing or damaged.
        ParameterError: this version does not allow one of the values.
    """
    values = read_json(folder / FILE)
    known = set(Recipe.names())
    return Recipe(**{name: value for name, value in values.items() if name in known}), sorted(values.keys() - known)


def has_same_settings(folder: Path, recipe: Recipe) -> bool:
    """Tell whether the run in ``folder`` was begun with this recipe, wherever its files lie.

    Raises RunError: ``recipe.json`` is missing or damaged.
    """
    return not recipe.changed_since(read_json(folder / FILE), Recipe.names("place"))


def random_weights_history(recipe: Recipe, root: Path) -> History | None:
    """Find the history of a committed run (``report/results/``) of this recipe from random weights, if there is one.

    ``python -m helpers train -p weights none …`` makes such a run.
    """
    free = ("weights", *Recipe.names("name", "place", "machine"))
    for file in sorted((root / "report" / "results").glob(f"*/{FILE}")):
        stored, _ = read_recipe(file.parent)  # without settings that there are no longer
        if recipe.weights != "none" == stored.weights and not recipe.changed_since(stored.to_dict(), free):
            return History.read(file.parent)
    return None
