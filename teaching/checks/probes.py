"""Run one section's block in the replaced world and judge it."""

import copy
import errno
import random
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision import models

from . import augmentation, definitions, program
from .blocks import Script
from .definitions import is_network
from .program import RETURNED, Program, names_bound, names_read
from .recorder import Recorder
from .training import judge_saving, judge_training
from .verdict import Failure, Verdict, explained, require
from .world import PRETRAINED, Remarks, namespace


class Case:
    """One hand-in, and which of its sections are known to be right."""

    recorder: Recorder  # of sections 5 and 6

    def __init__(self, script: Script, passed: set[int], facts: dict[str, Any], remarks: Remarks) -> None:
        self.script, self.program = script, Program(script)
        self.passed = {n for n in passed if n in script.blocks and n not in self.program.broken}
        self.facts = facts  # what one section tells the next
        self.remarks = remarks

    def values(self, section: int, also: set[int] = frozenset()) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run a block with what it needs. Returns all names after it, and those that the block itself bound."""
        statements, needs = self.program.block(section, also & self.passed)
        names = namespace()
        program.run(needs, names, tolerant=True)
        for name in names_read(statements) - names.keys():
            if any(word in name.lower() for word in ("model", "net")):
                names[name] = reference_network()
        self.before = {name: names[name] for name in names_read(statements) if is_network(names.get(name))}
        if section == 2:
            self.before = {name: copy.deepcopy(each.state_dict()) for name, each in self.before.items()}
        program.run(statements, names)
        bound = names_bound(statements) | {RETURNED}
        return names, {name: value for name, value in names.items() if name in bound}


def judge(section: int, case: Case) -> Verdict:
    """Judge one section. Whatever the block raises is its own fault, and part of what was seen."""
    script = case.script
    if section not in script.blocks:
        return Verdict(False, "no block between markers was found for this section")
    if script.is_blank(section):
        return Verdict(False, "the block is blank")
    if section in case.program.broken:
        return Verdict(False, f"the block is not Python: {case.program.syntax_error(section)}")
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    try:
        return Verdict(True, JUDGES[section](case))
    except Failure as failure:
        return Verdict(False, str(failure))
    except SystemExit:
        return Verdict(False, "the block ends the program (exit)")
    except MemoryError:
        return Verdict(False, "the block asks for more memory than there is")
    except Exception as error:  # a student's code may raise anything
        if "allocate memory" in str(error):
            return Verdict(False, "the block asks for more memory than there is")
        if getattr(error, "errno", None) == errno.EFBIG:
            return Verdict(False, "the block prints or writes more than 64 MB")
        return Verdict(False, f"the block fails: {explained(error)}")


def _judge_augmentation(case: Case) -> str:
    _, values = case.values(1)
    _require_defined(case, 1, ".*transform.*|val.*")
    return augmentation.judge(augmentation.find_pipelines(values))


def _require_defined(case: Case, section: int, names: str, own: Iterable[str] = ()) -> None:
    """Refuse a block without a name that the program reads, unless it reads one of the block's own instead."""
    present = case.script.blocks.keys() - case.program.broken
    missing = sorted(name for name in case.program.undefined(present) if re.fullmatch(names, name))
    if missing and own:
        others = case.program.parse(present - {section})
        missing = [] if others and names_read([others]) & set(own) else missing
    require(not missing, f"{', '.join(missing)} is used below, but not defined")


def _judge_head(case: Case) -> str:
    names, values = case.values(2)
    if case.before:
        before = case.before.get("model") or next(iter(case.before.values()))
        candidates = {name: names[name] for name in case.before} | values
    else:
        before = PRETRAINED[-1] if PRETRAINED else reference_network().state_dict()
        candidates = values
    seen, case.facts["outputs"] = definitions.judge_head(definitions.Backbone(before), candidates)
    return seen


def _judge_loss(case: Case) -> str:
    _, values = case.values(3)
    _require_defined(case, 3, "criterion", values)
    return definitions.judge_loss(values, case.facts.get("outputs", "logits"))


def _judge_optimizer(case: Case) -> str:
    names, values = case.values(4, also={2})
    _require_defined(case, 4, "optimizer", values)
    networks = list(case.before.values()) or [each for each in names.values() if is_network(each)]
    return definitions.judge_optimizer(networks[0], values)


JUDGES: dict[int, Callable[[Case], str]] = {
    1: _judge_augmentation,
    2: _judge_head,
    3: _judge_loss,
    4: _judge_optimizer,
    5: judge_training,
    6: judge_saving,
}


def reference_network() -> nn.Module:
    """Return what the assignment starts from."""
    return models.resnet18(weights="DEFAULT")
