"""Training on several processes, GPUs or machines: ``accelerate launch -m helpers train -f FILE.yaml``.

The same functions as in the notebook, in the same order. The first process then executes the
notebook on the trained run, which leaves figures, results and the notebook itself in its folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import nn

from helpers.commands.parameters import add_parameter_options, collect_parameters
from helpers.commands.run import NOTEBOOK, execute, summary
from helpers.common import distributed
from helpers.common.errors import UserError
from helpers.data.audit import Audit, audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.sources.locate import locate_photos
from helpers.data.split import split_photos, write_split
from helpers.recipe import Recipe
from helpers.runs import locks
from helpers.runs.run import Run, open_run, plan_run, project_root
from helpers.training.loop import fit
from helpers.training.optimization import make_loss
from helpers.training.setup import assemble

# For one process to wait for another, which may be drawing or downloading photos. A process that
# dies is noticed at once by the launcher, and ends the others.
PATIENCE = timedelta(minutes=30)


def main(arguments: list[str] | None = None) -> int:
    """Train from the command line, as one of the launched processes. Returns the exit code."""
    options = _parser().parse_args(arguments)
    if int(os.environ.get("RANK", "0")) > 0:
        os.environ["FLOWERS_PROGRESS"] = "0"  # one bar is enough
    try:
        parameters = collect_parameters(options.file, options.parameter, options.data)
        recipe = Recipe.from_preset(**({"preset": "demo"} | {k: v for k, v in parameters.items() if v is not None}))
        state = PartialState(cpu=recipe.device == "cpu" or not torch.cuda.is_available(), timeout=PATIENCE)
        run = train(recipe, project_root(), device=str(state.device) if distributed.world_size() > 1 else None)
    except UserError as error:
        print(f"{_name()}{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if distributed.world_size() > 1:
        dist.destroy_process_group()
    if int(os.environ.get("RANK", "0")) == 0 and not options.no_notebook:
        locks.release(run.folder)  # the notebook's kernel takes it
        print(summary(execute(run.root / NOTEBOOK, parameters | {"run": run.folder.name})))
    return 0


def train(recipe: Recipe, root: Path, device: str | None = None) -> Run:
    """Everything up to the end of section 5 of the notebook. Returns the run, trained but not evaluated.

    Args:
        device: of this process, where it is not the recipe's to say.
    """
    folder = distributed.broadcast_object(lambda: plan_run(recipe, root))
    with distributed.main_process_first():
        run = open_run(recipe, root, folder=folder, device=device)
    photos = distributed.broadcast_object(lambda: _locate(recipe, root))
    audit: Audit = distributed.broadcast_object(lambda: audit_photos(find_photos(photos)))
    split = split_photos(audit, recipe.train_fraction, recipe.seed)
    log = print if distributed.is_main() else _silent
    if distributed.is_main():
        write_split(run.folder / "split.csv", audit.photos, split)
        run.save_environment(audit.fingerprint)
    with distributed.main_process_first():  # the others find decoded photos and downloaded weights there
        model, feeds, optimizer, schedule = assemble(run, audit, split, run.cache)
    log(f"{run.relative(run.folder)}: {distributed.world_size()} processes, {feeds}")
    criterion = _even_without_photos(make_loss(recipe.label_smoothing))
    fit(model, feeds, criterion, optimizer, schedule, run, log)
    return run


def _locate(recipe: Recipe, root: Path) -> Path:
    return locate_photos(recipe.dataset, root / recipe.work_dir / "photos", root=root, demo_photos=recipe.demo_photos)


def _even_without_photos(criterion: nn.Module):
    """The loss; 0 for a process that has no photo in the last batch, where a mean would be no number."""
    return lambda logits, labels: criterion(logits, labels) if len(labels) else logits.sum()


def _silent(text: str) -> None:
    pass


def _name() -> str:
    return f"process {os.environ['RANK']}: " if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="accelerate launch -m helpers train", description=__doc__.splitlines()[0])
    add_parameter_options(parser)
    parser.add_argument("--no-notebook", action="store_true", help="train only; the notebook can open the run later")
    return parser
