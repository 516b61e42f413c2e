"""Check one hand-in: ``python -m …worker FOLDER SECONDS GIGABYTES``, the hand-in on standard input.

Each section is judged in a process of its own, which is ended when it takes too long. Prints one line of JSON. What the
hand-in prints is thrown away.
"""

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from .guard import Guard, Integrity, leave_network, limit_resources, lock_files

ANSWER = 1 << 20  # bytes that a section may answer
LETTERS = 1000  # of one text in an answer
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Read the hand-in and print the verdicts."""
    folder, seconds, gigabytes = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    request = json.load(sys.stdin)
    isolated = leave_network()
    child = os.fork()  # the first process in the new namespace: all others end with it
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    _die_with_parent()
    print(json.dumps(check(request, folder, seconds, gigabytes, isolated)), flush=True)
    os._exit(0)


def _die_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def check(request: dict, folder: Path, seconds: float, gigabytes: float, isolated: list[str]) -> dict[str, Any]:
    """Judge the sections of a hand-in, one process after the other."""
    from . import probes  # noqa: F401  imports torch once, for the processes of all sections
    from .blocks import read_script
    from .sections import SECTIONS

    isolated = [*isolated, *lock_files(folder)]
    script = read_script(request["name"], request["content"].encode("latin-1"))
    result: dict[str, Any] = {"sections": {}, "notes": script.notes, "remarks": [], "isolated": isolated}
    passed: set[int] = set(request["passed"])
    facts: dict[str, Any] = {}
    for section in [s.number for s in SECTIONS if s.number in request["sections"]]:
        started = time.monotonic()
        answer = _judge_in_child(section, script, passed, facts, folder / str(section), seconds, gigabytes)
        answer["seconds"] = round(time.monotonic() - started, 2)
        if "processes" in isolated:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)  # whatever a hand-in has left behind in this namespace
        facts = answer.pop("facts", facts)
        result["remarks"] += [each for each in answer.pop("remarks", []) if each not in result["remarks"]]
        result["sections"][section] = answer
        if answer["passed"]:
            passed.add(section)
    return result


def _judge_in_child(section: int, script, passed, facts, folder: Path, seconds: float, gigabytes: float) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    receive, send = os.pipe()
    key = os.urandom(16).hex()
    child = os.fork()
    if not child:
        try:
            os.close(receive)
            _judge(section, script, passed, facts, folder, seconds, gigabytes, send, key)
        finally:
            os._exit(1)  # never on into the code of the parent
    os.close(send)
    content, ended = _read(receive, seconds)
    os.close(receive)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    answer = content.decode("utf-8", "replace").split("\n")
    if len(answer) == 6 and answer[0] == key:
        _, right, seen, outputs, attempts, remarks = answer
        lists = {"attempts": attempts.split("\t"), "remarks": remarks.split("\t")}
        lists = {name: [each for each in values if each] for name, values in lists.items()}
        return {"passed": bool(right), "seen": seen, "facts": {"outputs": outputs} if outputs else facts} | lists
    return {"passed": False, "seen": _how_it_ended(os.waitstatus_to_exitcode(status), ended, seconds)}


def _read(pipe: int, seconds: float) -> tuple[bytes, bool]:
    """Read until the pipe closes. Returns what came, and whether it closed in time."""
    content, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and len(content) < ANSWER:
        ready, _, _ = select.select([pipe], [], [], left)
        if ready:
            part = os.read(pipe, 65536)
            if not part:
                return content, True
            content += part
    return content, False


def _how_it_ended(code: int, ended: bool, seconds: float) -> str:
    if not ended:
        return f"the block did not end within {seconds:g} seconds (an endless loop?)"
    if code in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        return f"the process was ended by the system ({signal.Signals(-code).name}): too much memory?"
    if code == -signal.SIGXCPU:
        return "the block took too much processor time"
    return "the block ends the process, or spoils its answer"


def _judge(section, script, passed, facts, folder, seconds, gigabytes, send, key) -> None:
    """Judge a section in this process, send the verdict, and end the process.

    The hand-in runs in a thread, whose stack does not lead here, where the key is. What comes after it calls nothing
    that it could have replaced.
    """
    os.chdir(folder)
    _silence(folder)
    import torch

    from . import augmentation, blocks, definitions, guard, probes, program, recorder, training, verdict, world

    torch.set_num_threads(1)
    remarks = world.Remarks()
    world.build(folder, remarks)
    case = probes.Case(script, passed, facts, remarks)
    if section in (5, 6):
        case.recorder = recorder.Recorder(made_up_training=section == 6)
        case.recorder.install()
    own = [augmentation, blocks, definitions, guard, probes, program, recorder, training, verdict, world]
    changed, write, leave = Integrity(own).changed, os.write, os._exit
    secret = next(path for path in Path(__file__).parents if path.exists())  # in a student's copy, a zip file
    watch = Guard(folder, secret)
    limit_resources(seconds, gigabytes)
    verdicts: list[verdict.Verdict] = []
    thread = threading.Thread(target=_run, args=(section, case, verdicts), daemon=True)
    watch.armed = True
    thread.start()
    thread.join()
    watch.armed = False
    attempts = list(watch.attempts)
    if replaced := changed():
        attempts.append(f"replaces functions of the libraries or the checks ({', '.join(replaced[:3])})")
    (right, seen), *more = verdicts
    if attempts:
        right, seen = False, f"refused: this block {' and '.join(attempts)}"
    lists = ["\t".join([_line(each) for each in every]) for every in (attempts, remarks)]
    lines = [key, "right" if right and not more else "", _line(seen), _line(case.facts.get("outputs", "")), *lists]
    write(send, "\n".join(lines).encode("utf-8", "replace"))
    leave(0)


def _run(section: int, case: Any, verdicts: list) -> None:
    from . import probes, verdict

    try:
        verdicts.append(probes.judge(section, case))
    except BaseException as error:  # anything a hand-in can bring about
        verdicts.append(verdict.Verdict(False, verdict.explained(error)))


def _line(text: str) -> str:
    return " ".join(str.split(text))[:LETTERS]


def _silence(folder: Path) -> None:
    """Send what the hand-in prints to a file of limited size, and give it nothing to read."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


if __name__ == "__main__":
    sys.exit(main())
