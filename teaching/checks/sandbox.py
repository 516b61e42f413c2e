"""Check hand-ins in processes of their own, with limits, several at a time."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .sections import SECTIONS

SECONDS, GIGABYTES = 60.0, 3.0  # of one section
ALL = tuple(section.number for section in SECTIONS)


class Unsupported(ValueError):  # noqa: N818
    """The system cannot run the checks; the message says which one can."""


@dataclass
class Report:
    """What the checks found out about one hand-in."""

    name: str
    sections: dict[int, dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    isolated: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(section.points for section in SECTIONS if self.sections.get(section.number, {}).get("passed"))

    @property
    def passed(self) -> list[int]:
        return [number for number in ALL if self.sections.get(number, {}).get("passed")]

    @property
    def attempts(self) -> list[str]:
        """What the hand-in tried to do that no hand-in should, each once."""
        return list(dict.fromkeys(each for part in self.sections.values() for each in part.get("attempts", ())))


def check(
    name: str,
    content: bytes,
    sections: Iterable[int] = ALL,
    passed: Iterable[int] = (),
    seconds: float = SECONDS,
) -> Report:
    """Check one hand-in.

    Args:
        name: of its file; a notebook's ends in .ipynb.
        sections: to be checked.
        passed: sections that are known to be right. The program of sections 5 and 6 runs with these alone.
        seconds: that a section may take.

    Raises:
        Unsupported: this is Windows.
    """
    if not hasattr(os, "fork"):
        raise Unsupported("the checks run on Linux and macOS; on Windows, run them in WSL or on Colab")
    package = Path(__file__).resolve().parent  # a notebook names check.py by a relative path
    levels = __package__.count(".") + 1
    request = {"name": name, "content": content.decode("latin-1")}
    request |= {"sections": list(sections), "passed": list(passed)}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = {
            k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMP", "TEMP")
        }
        environment |= {"PYTHONPATH": str(package.parents[levels - 1]), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1", "TMPDIR": folder}
        environment |= {"PYTHONSAFEPATH": "1"}  # nothing is imported from the folder of the hand-in
        command = [sys.executable, "-m", f"{__package__}.worker", folder, str(seconds), str(GIGABYTES)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(json.dumps(request).encode(), timeout=60 + len(ALL) * (seconds + 10))
        except subprocess.TimeoutExpired:
            _end(process)
            output, errors = b"", b"it took too long"
        except BaseException:
            _end(process)
            raise

    return _report(name, output, errors)


def _end(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _report(name: str, output: bytes, errors: bytes) -> Report:
    try:
        answer = json.loads(output.splitlines()[-1])
        sections = {int(number): part for number, part in answer["sections"].items()}
        return Report(name, sections, answer["notes"], answer["remarks"], answer["isolated"])
    except (ValueError, IndexError, KeyError, TypeError):
        last = (errors.decode("utf-8", "replace").strip().splitlines() or ["it gave no answer"])[-1]
        failed = {number: {"passed": False, "seen": f"it could not be checked: {last[:300]}"} for number in ALL}
        return Report(name, failed)


def check_all(hand_ins: Iterable[tuple[str, bytes]], workers: int = 2, seconds: float = SECONDS) -> list[Report]:
    """Check several hand-ins at a time."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda each: check(*each, seconds=seconds), hand_ins))
