"""Train on several processes, GPUs or machines: ``accelerate launch -m helpers train -f FILE.yaml``.

The first process then executes the notebook on the trained run, which leaves figures, results and the notebook itself
in the run's folder.
"""

import argparse
import os
from datetime import timedelta

from helpers.commands.parameters import add_parameter_options, parameters_of, recipe_of

# For one process to wait for another, which may be drawing or downloading photos. A process that
# dies is noticed at once by the launcher, and ends the others.
PATIENCE = timedelta(minutes=30)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_parameter_options(parser)
    parser.add_argument("--no-notebook", action="store_true", help="train only; the notebook can open the run later")


def run(options: argparse.Namespace) -> int:
    parameters = parameters_of(options)
    recipe = recipe_of(parameters)

    import torch
    import torch.distributed as dist
    from accelerate import PartialState

    from helpers.commands.run import NOTEBOOK, execute, outcome
    from helpers.common.distributed import world_size
    from helpers.runs import locks
    from helpers.runs.folders import project_root
    from helpers.training.train import train

    first = int(os.environ.get("RANK", "0")) == 0
    if not first:
        os.environ["FLOWERS_PROGRESS"] = "0"  # one bar is enough
    state = PartialState(cpu=recipe.device == "cpu" or not torch.cuda.is_available(), timeout=PATIENCE)
    trained = train(recipe, project_root(), device=str(state.device) if world_size() > 1 else None)
    if world_size() > 1:
        dist.destroy_process_group()
    if first and not options.no_notebook:
        locks.release(trained.folder)  # the notebook's kernel takes it
        print(outcome(execute(trained.root / NOTEBOOK, parameters | {"run": trained.folder.name})))
    return 0
