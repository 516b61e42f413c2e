"""Sections 5 and 6: the program trains for a moment, while a recorder watches what becomes of gradients and files."""

import ast
import traceback
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torchvision import transforms

from .definitions import is_network
from .program import FEW, FILE, Program, ShortTraining, assigned_names
from .recorder import BEST, Event, Recorder, Save, Stop
from .verdict import Failure, explained, require
from .world import namespace

try:
    from . import plain_loop  # not in the students' copy: it shows two of the answers
except ImportError:
    plain_loop = None


class Outcome:
    """A program that was run: the exception that ended it, if any, and whether the block raised it."""

    def __init__(self, error: BaseException | None, lines: range) -> None:
        self.error = error
        frames = traceback.extract_tb(error.__traceback__) if error else []
        self.by_block = any(frame.filename == FILE and frame.lineno in lines for frame in frames)
        if isinstance(error, SyntaxError):
            self.by_block = False


def judge_training(case: Any) -> str:
    """Judge the gradients and steps of a short training; returns what was seen.

    Raises:
        Failure: they are not what is asked.
    """
    recorder = case.recorder
    for outcome in _runs(case, 5):
        trained = any(each.phase == "train" for each in recorder.events)
        if trained and (outcome.error is None or recorder.epoch["train"] > 0) and not outcome.by_block:
            _add_remarks(case, recorder)
            return judge_events(recorder.events)
        if outcome.by_block:
            raise outcome.error
    raise Failure(
        f"the training loop does not run: {explained(outcome.error)}" if outcome.error else "nothing is trained"
    )


def judge_saving(case: Any) -> str:
    """Judge the files that a short training leaves; returns what was seen.

    Raises:
        Failure: the best model is not among them.
    """
    recorder = case.recorder
    for outcome in _runs(case, 6):
        if recorder.epoch["val"] >= FEW - 1 and not outcome.by_block:
            block = case.script.blocks[6]
            return judge_saves(recorder, range(block.first, block.last + 1), case.remarks)
        if outcome.by_block:
            raise outcome.error
    raise Failure(
        f"the training loop does not run: {explained(outcome.error)}" if outcome.error else "nothing is saved"
    )


def _runs(case: Any, section: int) -> Iterator[Outcome]:
    """Run the program in several ways, until one gets far enough: with the other blocks, without, in a plain loop."""
    block = case.script.blocks[section]
    other = 11 - section
    right = case.passed | {section}
    variants = [right if section == 6 else right - {other}, right | {other}]
    lines = range(block.first, block.last + 1)
    seen: list[str] = []
    for keep in variants:
        tree = short_program(case.program, keep)
        if tree is None or ast.dump(tree) in seen:
            continue
        seen.append(ast.dump(tree))
        case.recorder.reset()
        yield Outcome(_run(tree, namespace()), lines)
    if plain_loop is None:
        return
    case.remarks.add("The program around the blocks could not be run; they were tried in a plain training loop.")
    case.recorder.reset()
    names = namespace() | plain_loop.world(_to_tensor())
    yield Outcome(_run(ast.parse(plain_loop.program(case.script, section), FILE), names), range(0))


def short_program(program: Program, keep: set[int]) -> ast.Module | None:
    """Return the program with three epochs, and with working stand-ins for the blocks that are not kept."""
    script = program.script
    known = {
        1: "__to_tensor__",
        3: "__loss__",
        4: "__optimizer__(globals() | locals())",
    }
    canonical = {1: ["train_transform", "val_transform"], 3: ["criterion"], 4: ["optimizer"]}
    replaced = {}
    for section in script.blocks.keys() - keep:
        if section in known and program.fillers is not None:
            names = list(dict.fromkeys(canonical[section] + assigned_names(script.code(section))))
            inside = program.fillers.get(section) == ""
            replaced[section] = f"{known[section]}," if inside else f"{' = '.join(names)} = {known[section]}"
    tree = program.parse(keep & script.blocks.keys() - program.broken, replaced)
    return ast.fix_missing_locations(ShortTraining().visit(tree)) if tree else None


def _run(tree: ast.Module, names: dict[str, Any]) -> BaseException | None:
    names |= {"__to_tensor__": _to_tensor(), "__loss__": nn.CrossEntropyLoss(), "__optimizer__": _optimizer}
    try:
        exec(compile(tree, FILE, "exec"), names)
    except Stop:
        return None
    except (Exception, SystemExit) as error:
        return error
    return None


def _to_tensor() -> transforms.Compose:
    return transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])


def _optimizer(names: dict[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.SGD(next(each for each in names.values() if is_network(each)).parameters(), lr=0.001)


def judge_events(events: list[Event]) -> str:
    """Judge what happened to each batch.

    Raises:
        Failure: gradients are not zeroed, no step is taken, …
    """
    loops: dict[int, list[Event]] = {}
    for event in events:
        loops.setdefault(event.loop, []).append(event)
    training = [each for each in loops.values() if each[0].phase == "train" and not _only_looks(each)]
    require(training, "there is no training batch")
    batches = 0
    for loop in training:
        for number in dict.fromkeys(event.batch for event in loop):
            batches += 1
            _judge_batch([event for event in loop if event.batch == number])
    for event in (event for loop in loops.values() for event in loop if event.phase == "val"):
        require(event.kind == "forward", f"{WORDS[event.kind]} in validation, too")
        require(not event.facts["training"], "the network is not in evaluation mode (model.eval()) in validation")
        require(not event.facts["gradients"], "gradients are recorded in validation, too")
    modes = [[event.facts["training"] for event in loop if event.kind == "forward"] for loop in training]
    require(
        not all(modes[0]) or all(map(all, modes)), "the network stays in evaluation mode after the first validation"
    )
    return f"{batches} training batches: gradients zeroed, backward pass, one step each; none in validation"


WORDS = {"backward": "there is a backward pass", "step": "the optimizer takes steps", "forward": "forward pass"}


def _only_looks(loop: list[Event]) -> bool:
    """Whether a pass over the training photos only evaluates, or looks at them."""
    forwards = [event.facts for event in loop if event.kind == "forward"]
    looks = all(not facts["training"] or not facts["gradients"] for facts in forwards)
    return len(forwards) == len(loop) and looks


def _judge_batch(batch: list[Event]) -> None:
    kinds = [event.kind for event in batch]
    require("backward" in kinds, "there is no backward pass")
    require("step" in kinds, "the optimizer takes no step")
    require(kinds.index("backward") < kinds.index("step"), "the optimizer steps before the backward pass")
    stale = any(event.facts["stale"] for event in batch if event.kind == "backward")
    require(not stale, "the gradients of earlier batches are not zeroed")
    steps = [event.facts["optimizer"] for event in batch if event.kind == "step"]
    require(len(set(steps)) == len(steps), "the optimizer takes more than one step for a batch")
    empty = any(event.facts["empty"] for event in batch if event.kind == "step")
    require(not empty, "the gradients are zeroed between the backward pass and the step")


def judge_saves(recorder: Recorder, lines: range, remarks: Any) -> str:
    """Judge which weights are on disk in the end.

    Raises:
        Failure: not those of the best epoch, or not as a state dict.
    """
    own = [save for save in recorder.saves if any(line in lines for line in save.lines)]
    saves = own or recorder.saves
    require(saves, "no file is saved")
    named = [save for save in saves if "best" in save.name.lower()]
    last: Save = (named or saves)[-1]
    require(last.kind != "model", f"{last.name} holds the whole model, not its state dict")
    require(last.kind in ("state", "nested"), f"{last.name} holds no state dict")
    if last.kind == "nested":
        remarks.add(f"{last.name} holds more than a state dict: the hand-in should hold the state dict alone.")
    if not last.name.replace("\\", "/").endswith("best_model.pth"):
        remarks.add(f"The file is called {last.name}, not best_model.pth.")
    require(last.loadable, f"{last.name} cannot be loaded into the network")
    require(last.fingerprint != (), f"{last.name} is empty")
    epochs = [n for n, weights in enumerate(recorder.weights[:FEW]) if weights == last.fingerprint]
    if BEST not in epochs:
        which = "the last epoch" if FEW - 1 in epochs else f"epoch {epochs[0]}" if epochs else "no epoch's end"
        raise Failure(f"{last.name} holds the weights of {which}, but epoch {BEST} of {FEW} was the best")
    return f"{last.name}: the state dict of the best epoch, which can be loaded"


def _add_remarks(case: Any, recorder: Recorder) -> None:
    """Warn about the data: how it is split, what is augmented, and what is on both sides."""
    if recorder.split_unseeded:
        case.remarks.add("The split is not seeded: every run validates on other photos.")
    train = [loader.dataset for loader in recorder.loaders if recorder.phase_of(loader) == "train"]
    for dataset in (loader.dataset for loader in recorder.loaders if recorder.phase_of(loader) == "val"):
        try:
            first = dataset[0][0]
            if any(not torch.equal(first, dataset[0][0]) for _ in range(8)):
                case.remarks.add("The validation photos are augmented, too: every epoch is measured on other pictures.")
            if files(dataset) & set().union(*map(files, train)):
                case.remarks.add("Some photos are both trained on and validated on: the accuracy is too high.")
        except Exception:  # a dataset of the student's own
            continue


def files(dataset: Any) -> set[str]:
    """Return the paths of the photos of a dataset, through subsets and concatenations."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        samples = getattr(dataset.dataset, "samples", None)
        return {samples[i][0] for i in dataset.indices} if samples else set()
    if hasattr(dataset, "datasets"):
        return set().union(*map(files, dataset.datasets))
    return {path for path, _ in getattr(dataset, "samples", ())}
