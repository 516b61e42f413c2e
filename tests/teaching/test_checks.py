"""The checks judge by what a block does: wrong answers lose their section, right ones nothing, attacks end themselves.

``make test`` tries one wrong answer per section, all attacks six at a time, and how odd files are read.
``make faults`` tries each hand-in by itself.
"""

import ast
import json
import os
import resource
import textwrap
import time

import pytest

from teaching.checks.blocks import read_script
from teaching.checks.program import Program
from teaching.checks.sandbox import ALL, check
from teaching.checks.training import short_program
from teaching.hand_ins import _about_log
from tests.teaching.cases import (
    END,
    HOSTILE,
    MISSING,
    MUTANTS,
    ODD,
    OF_ONE_MACHINE,
    ON_GPU,
    RIGHT,
    START,
    SURROUNDINGS,
    TEXT,
    TQDM,
    answered,
    changed,
    hostile,
)

everything = pytest.mark.skipif("FUZZ" not in os.environ, reason="the whole table takes minutes: make faults")
ONE_EACH = (
    "validation augmented",
    "head appended",
    "loss on softmax",
    "optimizer of the head",
    "no zero_grad",
    "saved before compared",
)
ATTACKS = (
    *("exit", "fork bomb", "20 GB", "10 GB of output", "deletes files", "opens sockets"),
    *("reads the tests", "patches torch", "patches the checks", "prints full marks"),
    *("forges the answer", "patches what writes the answer"),
)


def as_bytes(content):
    return content.encode() if isinstance(content, str) else content


def lost(report):
    return sorted(set(ALL) - set(report.passed))


def test_the_tables_are_as_large_as_promised():
    assert len(MUTANTS) >= 30
    assert len(RIGHT) >= 20
    assert {section for section, _ in MUTANTS.values()} == set(ALL)


def test_the_solution_gets_all_points_within_a_minute():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = check("main.py", TEXT.encode())
    assert {n: part["seen"] for n, part in report.sections.items() if not part["passed"]} == {}
    assert report.points == 60
    assert not report.remarks + report.notes + report.attempts
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 60  # of processor time: the machine may be busy


def test_one_wrong_answer_per_section_loses_it():
    text = TEXT
    for section, mutant in (MUTANTS[name] for name in ONE_EACH):
        text = answered(section, textwrap.dedent(read_script("main.py", mutant.encode()).code(section)), text)
    report = check("main.py", text.encode())
    wrong = (
        "val_transform changes photos at random",
        "the old last layer is still there",
        "there is a softmax too many",
        "60 of 62 trainable parameters are not in the optimizer",
        "the gradients of earlier batches are not zeroed",
        "holds the weights of the last epoch",
    )
    for section, seen in zip(ALL, wrong, strict=True):
        assert seen in report.sections[section]["seen"]
    assert report.passed == []


@pytest.fixture
def victim(tmp_path):
    (tmp_path / "victim" / "inner").mkdir(parents=True)
    return tmp_path / "victim"


@pytest.mark.parametrize("start", range(0, len(ATTACKS), len(ALL)))
def test_attacks_end_themselves_and_are_named(start, victim):
    attacks = dict(zip(ALL, ATTACKS[start : start + len(ALL)], strict=True))
    text = hostile(attacks).replace("VICTIM", repr(str(victim)))
    report = check("main.py", text.encode())
    seen = {name: report.sections[section]["seen"] for section, name in attacks.items()}
    assert report.passed == []
    assert {name: text for name, text in seen.items() if HOSTILE[name][1] not in text} == {}
    assert list(victim.rglob("*")) == [victim / "inner"]


def test_an_endless_loop_is_ended_and_the_next_section_judged():
    report = check("main.py", hostile({3: "endless loop"}).encode(), sections=[3, 4], passed=[1, 2], seconds=10)
    assert "did not end within 10 seconds" in report.sections[3]["seen"]
    assert report.passed == [4]


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_and_said_to_be_odd(name):
    file, content, lost_sections, said = ODD[name]
    script = read_script(file, as_bytes(content))
    readable = script.blocks.keys() - Program(script).broken
    assert set(ALL) - readable == lost_sections
    assert said in " ".join(script.notes)
    assert bool(said) == bool(script.notes)


def test_a_program_is_shortened_or_lengthened_to_three_epochs():
    text = changed(("EPOCHS = 25", "EPOCHS = 1\nstart_epoch = 1")) + "\ntrain(epochs=50, start_epoch=0)\n"
    program = ast.unparse(short_program(Program(read_script("main.py", text.encode())), set(ALL)))
    for part in (
        "EPOCHS = 3\n",
        "start_epoch = 1\n",
        "train(epochs=3, start_epoch=0)",
        "in __few__(range(num_epochs))",
    ):
        assert part in program


def test_a_program_of_another_machine_is_tried_and_what_it_needs_is_named():
    text = MISSING + changed(TQDM, *ON_GPU, text=OF_ONE_MACHINE)
    report = check("main.py", text.encode(), sections=[5], passed=set(ALL) - {5})
    assert report.passed == [5]
    remarks = " ".join(report.remarks)
    for name in ("D:\\作业\\flower_dataset", "/home/xiaoming", ".cuda()", "torch.cuda.is_available", "tqdm_none"):
        assert name in remarks, remarks
    assert "plain training loop" not in remarks


@pytest.mark.parametrize(
    "content",
    [
        b"#" * 1_000_001,
        b"\n" * 20_001,
        f"{START}\n".encode() * 61,
        f"{START}\nx = 1\n{END}\n".encode() * 31,
        json.dumps({"cells": [{"cell_type": "code", "source": "\n" * 20_001}]}).encode(),
        b"[" * 1_000_000,
    ],
    ids=["letters", "lines", "starts", "blocks", "a cell of lines", "brackets"],
)
def test_endless_files_are_refused_at_once(content):
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"more than|not a notebook"):
        read_script("a.ipynb" if content[:1] in b"{[" else "main.py", content)
    assert time.monotonic() - start < 5


def test_the_longest_files_are_read_in_a_moment():
    start = time.monotonic()
    read_script("main.py", (("\n" * 600 + START + "\n") * 30).encode())
    read_script("main.py", ("# save the best model\n" * 19_000 + f"{START}\nx = 1\n{END}").encode())
    assert not _about_log(b"val" * 1_200, "log.txt")
    assert time.monotonic() - start < 5


@everything
@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_answer_loses_exactly_its_section(name):
    section, text = MUTANTS[name]
    report = check("main.py", text.encode())
    assert lost(report) == [section], report.sections


@everything
@pytest.mark.parametrize("name", RIGHT)
def test_a_different_but_right_answer_loses_nothing(name):
    report = check("main.py", RIGHT[name].encode())
    assert lost(report) == [], report.sections


@everything
@pytest.mark.parametrize("name", ODD | SURROUNDINGS)
def test_odd_files_lose_only_what_is_wrong(name):
    file, content, sections, said = (ODD | SURROUNDINGS)[name]
    report = check(file, as_bytes(content))
    assert set(lost(report)) == sections, report.sections
    assert said in " ".join(report.notes + report.remarks)


@everything
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_hand_in_ends_only_itself(name, victim):
    report = check("main.py", hostile({3: name}).replace("VICTIM", repr(str(victim))).encode(), seconds=30)
    assert lost(report) == [3], report.sections
    assert HOSTILE[name][1] in report.sections[3]["seen"]
    assert list(victim.rglob("*")) == [victim / "inner"]
