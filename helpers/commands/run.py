"""Execute a notebook headless: ``python -m helpers run -f notebooks/parameters/published.yaml``.

Papermill executes it. A wrong parameter is refused before a kernel starts, and the executed notebook is saved in the
run's folder. The same command continues an interrupted run.
"""

import argparse
import contextlib
import importlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import psutil

from helpers.commands.parameters import add_parameter_options, parameters_of, recipe_of
from helpers.common.errors import ParameterError, RunError, UserError
from helpers.common.files import inside, make_folder
from helpers.common.progress import CLEAR, TERMINAL, in_terminal, working
from helpers.common.text import duration

NOTEBOOK = "notebooks/flower_classification.ipynb"
WHEN_INTERRUPTED = "the same command continues"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_parameter_options(parser)
    parser.add_argument("--notebook", type=Path, default=NOTEBOOK, help="notebook to execute (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    folder = execute(options.notebook, parameters_of(options))
    with working("web page and report: some seconds"):
        from helpers.commands.page import write_page
        from helpers.report.build import build

        write_page(folder / options.notebook.name)
        try:
            report = f"report    {os.path.relpath(build(folder, folder / 'report.pdf').path)}"
        except UserError as error:  # the run is complete without it
            report = f"no report: {error}"
    print(f"{outcome(folder)}\n{report}")
    return 0


def _import_what_follows() -> None:
    """Import what the web page and the report need, while the notebook's kernel starts: that takes some seconds."""
    with contextlib.suppress(Exception):  # it is raised again where it is needed
        for name in ("helpers.report.build", "nbconvert", "sklearn.metrics"):
            importlib.import_module(name)


def execute(notebook: Path, parameters: dict[str, Any]) -> Path:
    """Check the parameters, choose the run's folder, and execute the notebook into it.

    Returns:
        The run's folder.

    Raises UserError: a parameter, the photos or anything else that the user gave cannot be used.
    """
    if not notebook.is_file():
        raise ParameterError(f"notebook {str(notebook)!r} does not exist: the default is {NOTEBOOK}")
    recipe = recipe_of(parameters)

    from helpers.runs import locks
    from helpers.runs.folders import OTHER_FOLDER, RESULTS, plan_run, project_root
    from helpers.runs.recipe_file import has_recipe, save_recipe

    root = project_root(notebook.resolve().parent)
    folder = plan_run(recipe, root)
    make_folder(folder, OTHER_FOLDER)
    locks.hold(folder, "notebook")
    locks.wait_until_free(folder)  # a killed run's kernel may still be ending
    continued = has_recipe(folder)
    print(f"{folder.name}: {'continues an unfinished run' if continued else 'a new run'}", flush=True)
    save_recipe(folder, recipe)  # the folder is taken
    # Results left by an unfinished notebook would make the kernel choose a new folder. They are written again.
    (folder / RESULTS).unlink(missing_ok=True)
    threading.Thread(target=_import_what_follows).start()
    run_papermill(notebook, folder, parameters | {"run": folder.name, "resume": True}, root)
    locks.release(folder, "notebook")
    return folder


def outcome(folder: Path) -> str:
    """Return lines that say where everything is, and which accuracy was reached."""
    from helpers.data.sources.locate import outside
    from helpers.evaluation.discussion import last_epochs
    from helpers.runs.folders import project_root
    from helpers.runs.results import read_run_results

    r, where = read_run_results(folder), Path(os.path.relpath(folder))
    photos = r["val_photos"]
    test = ""
    if "test" in r:
        test = f"\n          {r['test']['accuracy']:.2%} of {r['test']['photos']} test photos"
    data = f' DATA="{r["dataset"]}"' if outside(r["dataset"], project_root(Path(__file__).parent)) else ""
    demo = "  (drawn demo photos, not real flowers)" if r["demo"] else ""
    return f"""
notebook  {where / "flower_classification.ipynb"}
figures   {where / "figures"}
model     {where / "best_model.pth"}
accuracy  {r["best_val_accuracy"]:.2%} of {photos} validation photos in the best epoch ({r["best_epoch"]}){demo}
          95 % interval {r["interval_low"]:.1%} to {r["interval_high"]:.1%}
          {r["last_five_mean"]:.2%} on average over {last_epochs(r)}{test}
training  {duration(r["training_seconds"])}
look      make look RUN={where}{data}"""


def run_papermill(notebook: Path, folder: Path, parameters: dict[str, Any], root: Path) -> Path:
    """Execute a notebook of the project into the folder, and return where it is.

    Raises:
        UserError: a cell failed, the kernel died, or the folder cannot be written.
    """
    target = inside(folder, notebook.name)
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # bars are text here
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a debugger's warning in every kernel's log
    if in_terminal() and os.name != "nt":
        os.environ[TERMINAL] = os.ttyname(sys.stdout.fileno())
    os.environ.setdefault("FLOWERS_PROGRESS", "0")  # a kernel started from a JupyterLab cell would think it is watched
    import papermill
    from nbclient.exceptions import DeadKernelError

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for name in ("papermill", "papermill.translators", "traitlets", "asyncio"):
        logging.getLogger(name).setLevel(logging.INFO if name == "papermill" else logging.ERROR)
    logging.getLogger("papermill").addFilter(EpochLines(_sections(notebook)))
    try:
        with _interrupts_for_the_kernel():
            papermill.execute_notebook(
                notebook,
                target,
                parameters,
                kernel_name="python3",
                cwd=root / "notebooks",
                log_output=True,
                progress_bar=False,
                autosave_cell_every=5,
                extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
            )
    except papermill.PapermillExecutionError as error:
        if error.ename in ("KeyboardInterrupt", "Interrupted"):
            raise KeyboardInterrupt(error.evalue) from error
        kind = type(error.ename, (UserError,), {})  # under its own name; the traceback stays in the executed notebook
        where = os.path.relpath(target)
        raise kind(f"{error.evalue}\n(cell {error.exec_count} of {where})") from error
    except OSError as error:
        raise RunError(
            f"{target} cannot be written ({error.strerror}): free some space or choose another "
            "work_dir. What was saved before is intact, and the same command continues"
        ) from error
    except DeadKernelError as error:
        raise RunError(
            "the kernel died, most likely for lack of memory: lower batch_size or memory_limit_gb. "
            "The same command continues where the run was last saved"
        ) from error
    return target


def _sections(notebook: Path) -> list[str]:
    """List the section in which each cell stands, with the cell that papermill adds below the parameters."""
    title, titles = "starting", []
    for cell in nbformat.read(notebook, as_version=4).cells:
        if found := re.search(r"^## (.+?)( \(graded\))?$", cell.source, re.MULTILINE):
            title = found[1]
        titles += [title] * (1 + ("parameters" in cell.metadata.get("tags", [])))
    return [*titles, title]


class EpochLines(logging.Filter):
    """Lets through what a person waits for: a line per epoch, and notices. The notebook holds everything else.

    In a terminal, the section that is being executed is shown until the next line.
    """

    CELL = re.compile(r"Executing Cell (\d+)")
    EPOCH = re.compile(r"Epoch (\d+)/(\d+)|train Loss: \S+ Acc: (\S+)|val Loss: \S+ Acc: (\S+)")
    NOTICES = (
        *("resuming", "it was begun on", "changed by hand", "linear probe", "SIGTERM", "flower_photos", "downloading"),
        *("teacher = ", "weights = "),
    )

    def __init__(self, sections: Sequence[str] = ()) -> None:
        super().__init__()
        self.sections, self.terminal = sections, bool(os.environ.get(TERMINAL))
        self.epoch, self.last, self.train, self.start, self.done = 0, 0, 0.0, 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        lines = [line for text in record.getMessage().splitlines() for line in self._lines(text)]
        if self.terminal and (cell := self.CELL.match(record.getMessage())):
            print(f"{CLEAR}{self.sections[int(cell[1]) - 1]} …", end="", flush=True)
        record.msg, record.args = CLEAR * self.terminal + "\n".join(lines), ()
        return bool(lines)

    def _lines(self, text: str) -> list[str]:
        found = self.EPOCH.match(text)
        if not found:
            return [text] if text.startswith(self.NOTICES) else []
        epoch, last, train, val = found.groups()
        if epoch:
            self.epoch, self.last = int(epoch), int(last)
            self.start = self.start or time.perf_counter()
        elif train:
            self.train = float(train)
        else:
            self.done += 1
            left = (self.last - self.epoch) * (time.perf_counter() - self.start) / self.done
            text = f"epoch {self.epoch:>2}/{self.last}  training {self.train:6.1%}  validation {float(val):6.1%}"
            return [f"{text}  {duration(left)} left" if left >= 1 else text]
        return []


@contextlib.contextmanager
def _interrupts_for_the_kernel() -> Iterator[None]:
    """Pass the first Ctrl-C or SIGTERM on to the kernel, which saves the run before it stops.

    The kernel has a process group of its own, so that Ctrl-C in a terminal does not reach it.
    """
    passed_on = False

    def pass_on(number: int, frame: object) -> None:
        nonlocal passed_on
        kernels = [each for each in psutil.Process().children() if "ipykernel_launcher" in " ".join(each.cmdline())]
        if passed_on or not kernels or os.name == "nt":
            raise KeyboardInterrupt
        passed_on = True
        print("stopping: the run is being saved (once more: stop at once)", file=sys.stderr, flush=True)
        for kernel in kernels:
            kernel.send_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
