"""The checks judge by what a block does: wrong answers lose their section, right ones nothing, attacks end themselves.

``make test`` tries one wrong answer per section, all attacks six at a time, and how odd files are read.
``make faults`` tries each hand-in by itself.
"""

import ast
import json
import os
import resource
import shutil
import textwrap
import time
import types

import pytest
import torch
from torch import nn
from torchvision import transforms

from teaching.__main__ import main
from teaching.checks import augmentation, command, definitions
from teaching.checks.blocks import read_script
from teaching.checks.guard import Integrity
from teaching.checks.program import Program
from teaching.checks.recorder import Event, Recorder
from teaching.checks.sandbox import ALL, check
from teaching.checks.training import _add_remarks, judge_events, short_program
from teaching.checks.verdict import Failure
from teaching.checks.world import Remarks, Saves
from teaching.hand_ins import _about_log
from tests.teaching.cases import (
    COURSE,
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


def at_random(photo):
    return WHOLE(photo) * (1 if torch.rand(1) < 0.5 else 0.9)


WHOLE = transforms.Compose(
    [transforms.Resize((64, 64)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.2] * 3)]
)
LARGER = transforms.Compose([transforms.Resize((96, 96)), *WHOLE.transforms[1:]])


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ({"train_transform": WHOLE.__call__, "val_transform": WHOLE, "resize": transforms.Resize(9)}, "has 0 methods"),
        ({"train_transform": at_random, "val_transform": LARGER}, "returns 96 × 96 pixels, the training transform 64"),
        ({"train_transform": at_random, "val_transform": at_random}, "changes photos at random"),
    ],
)
def test_a_function_is_a_transform_as_well_and_both_must_agree_in_size(values, seen):
    with pytest.raises(Failure, match=seen):
        augmentation.judge(augmentation.find_pipelines(values))
    right = augmentation.find_pipelines(values | {"train_transform": at_random, "val_transform": WHOLE})
    assert "a function of its own" in augmentation.judge(right)


@pytest.mark.parametrize(
    ("last", "seen"),
    [
        (nn.Sequential(nn.Linear(4, 5), nn.Sigmoid()), "leave softmax and sigmoid out"),
        (nn.Linear(4, 5).requires_grad_(False), "the new last layer is frozen"),
    ],
)
def test_a_last_layer_of_probabilities_or_without_gradients_is_refused(last, seen):
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    before = definitions.Backbone(nn.Sequential(*body, nn.Linear(4, 1000)).state_dict())
    assert "5 outputs" in definitions.judge_head(before, {"model": nn.Sequential(*body, nn.Linear(4, 5))})[0]
    with pytest.raises(Failure, match=seen):
        definitions.judge_head(before, {"model": nn.Sequential(*body, last)})


def test_a_loss_of_one_class_against_all_others_is_right():
    assert "0.693 without an idea" in definitions.judge_loss(
        {"criterion": lambda z, y: nn.functional.binary_cross_entropy_with_logits(z, torch.eye(5)[y])}
    )


@pytest.mark.parametrize("section", [3, 4])
def test_a_name_that_the_program_reads_must_be_defined(section):
    old, new = {3: ("criterion = ", "measure = "), 4: ("optimizer = ", "opt = ")}[section]
    program = Program(read_script("main.py", changed((old, new)).encode()))
    assert program.undefined(ALL) == {old.split()[0]}
    assert Program(read_script("main.py", TEXT.encode())).undefined(ALL) == set()


def test_one_step_of_each_optimizer_is_right_and_two_are_not():
    facts = {"training": True, "gradients": True, "stale": False, "empty": False}
    batch = [Event(kind, "train", 1, 1, facts | {"optimizer": 1}) for kind in ("forward", "backward", "step")]
    second = Event("step", "train", 1, 1, facts | {"optimizer": 2})
    assert "one step each" in judge_events([*batch, second])
    with pytest.raises(Failure, match="more than one step"):
        judge_events([*batch, batch[-1]])


def test_files_on_record_are_followed_when_they_are_copied_renamed_or_open(tmp_path):
    saves, seen = Saves({}, torch.save), []
    saves.observer = lambda name, value: seen.append((os.path.basename(name), value))
    files = types.SimpleNamespace(copy=shutil.copy, replace=os.replace)
    saves.follow(files, "copy"), saves.follow(files, "replace")
    saves(1, tmp_path / "last.pth")
    files.copy(tmp_path / "last.pth", tmp_path / "best.pth")
    files.replace(tmp_path / "last.pth", tmp_path)
    (tmp_path / "of the system").write_bytes(b"x")
    files.copy(tmp_path / "of the system", tmp_path / "copy")
    with open(tmp_path / "open.pth", "wb") as file:
        saves(2, file)
    assert seen == [("last.pth", 1), ("best.pth", 1), ("last.pth", 1), ("open.pth", 2)]
    assert (tmp_path / "copy").read_bytes() == b"x"


def test_photos_on_both_sides_and_augmented_ones_in_validation_are_warned_of():
    class Photos(torch.utils.data.Dataset):
        def __init__(self, names, noise):
            self.samples, self.noise = [(name, 0) for name in names], noise

        def __getitem__(self, number):
            return torch.randn(3) * self.noise, 0

        def __len__(self):
            return len(self.samples)

    def remarks(train, val):
        recorder = Recorder(made_up_training=False)
        recorder.split_unseeded = train is val
        recorder.loaders = [types.SimpleNamespace(dataset=each) for each in (train, val)]
        case = types.SimpleNamespace(remarks=Remarks())
        _add_remarks(case, recorder)
        return " ".join(case.remarks)

    every, rest = Photos("abcd", 1), Photos("e", 0)
    assert remarks(every, rest) == ""
    assert "both trained on and validated on" in remarks(every, torch.utils.data.Subset(Photos("abc", 0), [0]))
    for part in ("is not seeded", "are augmented, too", "both trained on"):
        assert part in remarks(every, every)


def test_constants_and_tables_of_the_checks_may_not_be_changed(monkeypatch):
    integrity = Integrity([augmentation, definitions])
    assert integrity.changed() == []
    monkeypatch.setattr(augmentation, "ASKED", 0)
    monkeypatch.setitem(definitions.CLASSES, "oak", ())
    assert integrity.changed() == ["teaching.checks.augmentation.ASKED", "CLASSES"]


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


def test_where_no_process_can_be_forked_the_remedy_is_said_instead_of_points(monkeypatch, capsys, tmp_path):
    monkeypatch.delattr(os, "fork")
    (tmp_path / "main.py").write_text(TEXT)
    assert command.main([str(tmp_path / "main.py")]) == 2
    assert main(["grade", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("on Windows, run them in WSL or on Colab") == 2


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
def test_a_split_without_a_seed_and_one_transform_for_all_photos_are_warned_of():
    report = check("main.py", COURSE.encode(), sections=[5], passed=set(ALL) - {5})
    assert [each.split(":")[0] for each in report.remarks] == [
        "The split is not seeded",
        "The validation photos are augmented, too",
    ]


@everything
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_hand_in_ends_only_itself(name, victim):
    report = check("main.py", hostile({3: name}).replace("VICTIM", repr(str(victim))).encode(), seconds=30)
    assert lost(report) == [3], report.sections
    assert HOSTILE[name][1] in report.sections[3]["seen"]
    assert list(victim.rglob("*")) == [victim / "inner"]
