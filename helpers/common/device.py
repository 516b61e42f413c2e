"""Device and arithmetic: which to use, and how to get repeatable results from them."""

import ctypes
import os
import platform
import random
import sys
from pathlib import Path

import numpy as np
import psutil
import torch

from helpers.common.errors import ParameterError
from helpers.common.text import counted


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is the CUDA GPU where there is one, else the CPU.

    Apple's GPUs must be named (mps): nobody has tried them with this project yet.

    Raises ParameterError: the device does not exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ParameterError(f"device = {name!r} is unknown: use auto, cpu, cuda, cuda:1 or mps")
    gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ParameterError(f"device = {name!r}: PyTorch sees {counted(gpus, 'CUDA device')} here. Use device = auto")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ParameterError(f"device = {name!r}: PyTorch finds no Apple GPU here. Use device = auto")
    return device


def has_bf16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    in_hardware = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported() and in_hardware


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type that convolutions and matrix products are computed in (weights stay float32).

    Raises ParameterError: ``bf16`` where the hardware would only emulate it.
    """
    if name == "bf16" and not has_bf16(device):
        raise ParameterError(f"precision = 'bf16': {device} has no bfloat16 arithmetic. Use precision = auto or fp32")
    return torch.bfloat16 if name != "fp32" and has_bf16(device) else torch.float32


def prepare(seed: int, deterministic: bool) -> None:
    """Seed every generator, choose deterministic algorithms, and keep freed memory in the process.

    The last matters on the CPU: glibc returns large freed blocks to the system, and the page faults of the next
    step's activations take up to half of its time.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs a pass over memory
    torch.backends.cudnn.benchmark = not deterministic
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Make glibc's malloc serve large blocks from the heap and keep it. Returns whether it did (Linux with glibc)."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, mmap_max = -1, -4  # from malloc.h
    return bool(mallopt(mmap_max, 0)) and bool(mallopt(trim_threshold, 2**31 - 1))


def free_memory(device: torch.device) -> int:
    """Return the bytes that this process could still use: the GPU's, or else the machine's or the container's."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    try:  # a container's own limit is not in the machine's figures
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        return min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        return free


def describe(device: torch.device) -> str:
    """Return the GPU's name, or the processor's with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    return f"{_processor()}, {counted(torch.get_num_threads(), 'thread')}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
