"""Publish a finished run: ``python -m helpers publish work_dir/<run>``.

Copies its numbers and its executed notebook into ``report/results/<run>``: neither weights nor photos, so that the
folder is small and can be shared. With --refreshed, the notebooks that ``make notebook`` has executed replace those in
``notebooks/``, unless their training took more than twice the time of the published demo run.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NUMBERS = ("recipe.json", "environment.json", "split.csv", "history.csv", "predictions.csv", "best_model.json")
OPTIONAL = ("changes.json", "test_predictions.csv", "test.json")
NOTEBOOK, RESULTS = "flower_classification.ipynb", "results.json"
OF_PHOTOS = ("class_samples", "augmentation", "black_border")  # figures that show photos of the data set
DEMO, SLOWER = "demo-mobilenet_v2", 2  # the run of the stored notebooks; times its training's duration
WITHHELD = "*(This figure shows photos of the data set, which are not in this repository: run the cell to see it.)*"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="folder of a finished run, or its name in work_dir; default: the newest")
    parser.add_argument("--output", type=Path, default=Path("report/results"), help="default: %(default)s")
    parser.add_argument("--refreshed", type=Path, metavar="FOLDER", help="store the notebooks executed there")
    parser.add_argument("--force", action="store_true", help="with --refreshed: however long the training took")


def run(options: argparse.Namespace) -> int:
    if options.refreshed:
        return store_notebooks(options.refreshed, options.output / DEMO, Path("notebooks"), options.force)

    from helpers.common.errors import RunError
    from helpers.common.files import read_bytes, write_atomically
    from helpers.runs.finished import read_run
    from helpers.runs.results import verify_checksums
    from helpers.runs.table import find_run

    folder = find_run(options.run)
    finished = read_run(folder)
    if edited := verify_checksums(folder, finished.results):
        raise RunError(f"{edited[0]}. Only what a run wrote itself is published: run it again")
    if Path(finished.results["dataset"]).is_absolute():
        raise RunError(
            f"{folder} names a folder of this machine, {finished.results['dataset']}: run it with -p dataset and a "
            "path relative to the project"
        )
    output, contents = options.output / folder.name, {}
    there = [name for name in (*OPTIONAL, NOTEBOOK) if os.path.lexists(folder / name)]
    for name in (*NUMBERS, *there, RESULTS):
        if (folder / name).is_symlink():  # it may lead to anything that its reader may read
            raise RunError(f"{folder / name} is a link, and what it leads to is not published: copy the file there")
        try:
            contents[name] = read_bytes(folder / name)
            if not name.endswith(".csv"):
                json.loads(contents[name])
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{folder / name} is missing or damaged ({error}): copy the run again") from error
    output.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if name != NOTEBOOK:
            write_atomically(output / name, content)
    if NOTEBOOK in contents:
        write_notebook(folder / NOTEBOOK, output / NOTEBOOK)
    print(output)
    return 0


def store_notebooks(executed: Path, published: Path, target: Path, force: bool = False) -> int:
    """Store the notebooks of a folder if their training took about as long as the published run's, which texts quote.

    Raises RunError: it took more than twice as long.
    """
    from helpers.common.errors import RunError
    from helpers.common.text import duration
    from helpers.runs.results import read_run_results

    seconds, quoted = (read_run_results(folder)["training_seconds"] for folder in (executed / DEMO, published))
    print(f"training took {duration(seconds)}; the published run's, which the README quotes, {duration(quoted)}")
    if seconds > SLOWER * quoted and not force:
        raise RunError(
            f"nothing is stored: that is more than {SLOWER} times as long. End what else runs on this machine and "
            "say make notebook again, or FORCE=1 to store it all the same"
        )
    for path in sorted(executed.glob("*.ipynb")):
        write_notebook(path, target / path.name, withheld=())
        print(target / path.name)
    return 0


def write_notebook(source: Path, target: Path, withheld: Sequence[str] = OF_PHOTOS) -> None:
    """Copy an executed notebook without these figures, and without what papermill and warnings say of this machine."""
    import nbformat

    from helpers.common.files import write_atomically

    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.source = cell.source.rstrip()
        if any(f'save_figure(figure, "{name}")' in cell.source for name in withheld):
            cell.outputs = [_withheld(each) for each in cell.outputs]
        if "outputs" in cell:  # warnings name files of this machine
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    write_atomically(target, (nbformat.writes(notebook) + "\n").encode())


def _withheld(output: Any) -> Any:
    """Return a line of text in the place of a picture; other outputs as they are."""
    import nbformat

    pictured = any(kind.startswith("image/") for kind in output.get("data", {}))
    return nbformat.v4.new_output("display_data", {"text/markdown": WITHHELD}) if pictured else output
