"""Train a run from its recipe, on one process or several: what the notebook does cell by cell up to its section 5."""

from pathlib import Path

from helpers.common import distributed
from helpers.data.audit import Audit
from helpers.data.sources.locate import open_dataset
from helpers.data.split import open_split
from helpers.recipe import Recipe
from helpers.runs.folders import plan_run
from helpers.runs.run import Run, open_run
from helpers.training.loop import fit
from helpers.training.setup import assemble


def train(recipe: Recipe, root: Path, device: str | None = None) -> Run:
    """Train as one of the launched processes. Returns the run, trained but not evaluated.

    Args:
        device: of this process, where it is not the recipe's to say.
    """
    folder = distributed.broadcast_object(lambda: plan_run(recipe, root))
    with distributed.main_process_first():
        run = open_run(recipe, root, folder=folder, device=device)
    audit: Audit = distributed.broadcast_object(lambda: open_dataset(recipe, root))
    split = distributed.broadcast_object(lambda: open_split(run.folder / "split.csv", audit, recipe))
    log = print if distributed.is_main() else lambda text: None
    if distributed.is_main():
        run.save_environment(audit.fingerprint)
    with distributed.main_process_first():  # the others find decoded photos and downloaded weights there
        training = assemble(run, audit, split, run.cache)
    for note in split.notes:
        log(note)
    log(f"{run.relative(run.folder)}: {distributed.world_size()} processes, {training.loaders}")
    fit(*training, run, log)
    return run
