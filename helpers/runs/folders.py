"""Where runs are: the project's folder, the folder of all runs, and the one that a run gets or continues.

Nothing here imports PyTorch, so that a command can refuse or begin a run within a second.
"""

import os
import re
import sys
from pathlib import Path

from helpers.common.errors import RunError
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.recipe_file import has_recipe, has_same_settings

RESULTS = "results.json"  # written last: a run that has it is finished
OTHER_FOLDER = "choose another folder with work_dir = …"


def project_root(start: Path | None = None) -> Path:
    """Find the project's folder, which holds ``helpers/recipe.py``: ``start`` (default: here) or the nearest above it.

    Raises RunError: there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "helpers" / "recipe.py").is_file():
            return folder
    raise RunError(f"{start} is not inside the project: start the notebook from the project's folder")


def plan_run(recipe: Recipe, root: Path | None = None) -> Path:
    """Choose the folder for a run: an unfinished run of the same recipe, or the next free name.

    A finished run is never written to again; ``demo-2`` follows ``demo``.
    """
    work_dir = work_folder(recipe, root)
    base = recipe.run or default_name(recipe)
    for number in range(1, 10_000):
        folder = work_dir / (base if number == 1 else f"{base}-{number}")
        if _is_free(folder) or (recipe.resume and _continues(folder, recipe)):
            return folder
    raise RunError(f"{work_dir / base}: 9,999 runs have this name already; choose another with run = …")


def work_folder(recipe: Recipe, root: Path | None = None) -> Path:
    """Return the folder of all runs; tests set the environment variable to keep theirs apart from the user's."""
    return (root or project_root()) / (os.environ.get("FLOWERS_WORK_DIR") or recipe.work_dir)


def default_name(recipe: Recipe) -> str:
    """Make up a folder name, such as ``flower_photos-resnet18-published``."""
    dataset = re.sub(r"\.(zip|tar|tgz|tar\.gz)$", "", recipe.dataset.rstrip("/\\"))
    parts = [re.split(r"[/\\]", dataset)[-1], recipe.backbone, recipe.preset]
    name = "-".join(dict.fromkeys(parts))  # dataset demo and preset demo are one word
    return re.sub(r"[^\w.-]+", "_", name).strip(".").encode()[:200].decode(errors="ignore") or "run"


def has_results(folder: Path) -> bool:
    """Tell whether the folder has a ``results.json``."""
    return (folder / RESULTS).is_file()


def _is_free(folder: Path) -> bool:
    """Tell whether there is nothing in the folder yet that a run could overwrite."""
    if not folder.is_dir():
        return not folder.exists()
    return all(entry.name.startswith(".") for entry in folder.iterdir())


def _continues(folder: Path, recipe: Recipe) -> bool:
    """Tell whether the folder holds an unfinished run of the same recipe.

    A run with results is finished, unless the command that executed its notebook did not come to its end.
    """
    if not has_recipe(folder) or (has_results(folder) and not locks.left_behind(folder, "notebook")):
        return False
    try:
        return has_same_settings(folder, recipe)
    except RunError as error:
        print(f"{error}; this folder is left alone", file=sys.stderr)
        return False
