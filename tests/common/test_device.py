"""The machine: devices, free memory, and settings that keep page faults out of the training step."""

import subprocess
import sys

import psutil
import pytest
import torch

from helpers.common import device

CPU = torch.device("cpu")


def test_auto_takes_a_cuda_gpu_and_asks_for_nobody_else_s(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.pick_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.pick_device("auto") == torch.device("cuda")


def test_free_memory_is_the_machine_s():
    assert 0 < device.free_memory(CPU) <= psutil.virtual_memory().total


def test_free_memory_is_the_container_s_where_that_is_less(monkeypatch):
    files = {"/sys/fs/cgroup/memory.max": "3000000\n", "/sys/fs/cgroup/memory.current": "1000000\n"}
    monkeypatch.setattr(device.Path, "read_text", lambda self: files[str(self)])
    assert device.free_memory(CPU) == 2_000_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert device.free_memory(CPU) > 2_000_000


FAULTS = """
import os, resource, torch
torch.set_num_threads(1)
from helpers.common import device
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    parts = [torch.ones(4_000_000) for _ in range(8)]
    return sum(part[0] for part in parts)
if child := os.fork():  # two processes for the price of one import
    os.waitpid(child, 0)
    device.prepare(0, True)
step()
before = faults()
for _ in range(5):
    step()
print(faults() - before, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is Linux'")
def test_freed_memory_is_used_again_without_page_faults():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 5, done.stdout
