"""The checks judge by what a block does: wrong answers lose their section, right ones nothing, attacks end themselves.

``make test`` tries one wrong answer per section, and some hostile ones, in a minute. ``make faults`` tries all.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from teaching.checks.sandbox import ALL, check
from tests.teaching.cases import HOSTILE, MUTANTS, ODD, RIGHT, TEXT

everything = pytest.mark.skipif("FUZZ" not in os.environ, reason="the whole table takes minutes: make faults")
ONE_EACH = (
    "validation augmented",
    "head appended",
    "loss on softmax",
    "optimizer of the head",
    "no zero_grad",
    "saved before compared",
)
QUICK_ATTACKS = ("exit", "fork bomb", "20 GB", "patches the checks", "prints full marks")


def lost(report):
    return sorted(set(ALL) - set(report.passed))


def reports(*tasks):
    """Run checks two at a time; each is ``(content, other arguments of check)``."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda task: check("main.py", task[0].encode(), **task[1]), tasks))


def test_the_tables_are_as_large_as_promised():
    assert len(MUTANTS) >= 30
    assert len(RIGHT) >= 20
    assert {section for section, _ in MUTANTS.values()} == set(ALL)


def test_the_solution_gets_all_points_within_a_minute():
    start = time.monotonic()
    report = check("main.py", TEXT.encode())
    assert {n: part["seen"] for n, part in report.sections.items() if not part["passed"]} == {}
    assert report.points == 60
    assert not report.remarks + report.notes + report.attempts
    assert time.monotonic() - start < 60


def test_one_wrong_answer_per_section_loses_it():
    tasks = [MUTANTS[name] for name in ONE_EACH]
    found = reports(*((text, {"sections": [n], "passed": set(ALL) - {n}}) for n, text in tasks))
    assert [[n for n, part in report.sections.items() if part["passed"]] for report in found] == [[]] * len(ONE_EACH)


def test_attacks_end_themselves_and_are_named():
    found = reports(*((HOSTILE[name][1], {"sections": [3, 4], "passed": [1, 2]}) for name in QUICK_ATTACKS))
    seen = dict(zip(QUICK_ATTACKS, (report.sections[3]["seen"] for report in found), strict=True))
    assert not any(report.sections[3]["passed"] for report in found)
    assert all(report.sections[4]["passed"] for report in found)  # the next section is judged as if nothing had been
    assert "exit" in seen["exit"]
    assert "starts other processes" in seen["fork bomb"]
    assert "memory" in seen["20 GB"]
    assert "replaces functions" in seen["patches the checks"]
    assert "spoils its answer" in seen["prints full marks"]


def test_an_endless_loop_is_ended():
    report = check("main.py", HOSTILE["endless loop"][1].encode(), sections=[3], seconds=3)
    assert "did not end within 3 seconds" in report.sections[3]["seen"]


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
@pytest.mark.parametrize("name", ODD)
def test_odd_files_lose_only_what_is_wrong(name):
    file, content, sections = ODD[name]
    report = check(file, content)
    assert set(lost(report)) == sections, report.sections


@everything
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_hand_in_ends_only_itself(name, tmp_path):
    section, text = HOSTILE[name]
    victim = tmp_path / "victim"
    (victim / "inner").mkdir(parents=True)
    report = check("main.py", text.replace("VICTIM", repr(str(victim))).encode(), seconds=30)
    assert lost(report) == [section], report.sections
    assert (victim / "inner").is_dir()
