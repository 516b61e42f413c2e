"""A model as one file: written with torch.export or ONNX, and opened again.

Safety of ``.pt2``, as read in the sources of PyTorch 2.14: the file is a zip archive with the graph as JSON and every
tensor as raw bytes. ``save_program`` writes nothing that has to be unpickled. ``torch.export.load`` however unpickles
whatever an archive declares as pickled, with ``weights_only`` switched off, so a file of a stranger can run code when
it is loaded: compare its SHA-256 with the one in ``preprocessing.json`` of somebody you trust, or use the ONNX file,
whose format (protobuf) holds no code. Inside the project ``best_model.pth`` stays the file to load: it needs no trust.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from helpers.common.errors import ParameterError, RunError
from helpers.models.averaging import with_tta
from helpers.recipe import Recipe

METADATA = "preprocessing.json"  # name inside the .pt2 file and among the ONNX file's properties


InferenceFn = Callable[[torch.Tensor], torch.Tensor]  # images float32 (n, 3, S, S) → logits float32 (n, classes), CPU


class Deployed(nn.Module):
    """The model as the recipe tests it: ``images``, float32 ``(n, 3, S, S)`` → logits, float32 ``(n, classes)``."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.model = with_tta(model, recipe)
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).float()


def trace(model: Deployed, side: int) -> ExportedProgram:
    """The model's graph for any number of images of ``side`` px, on the CPU.

    Raises:
        RunError: torch.export cannot follow this backbone.
    """
    try:
        with _quiet():
            program = torch.export.export(model, (torch.zeros(2, 3, side, side),), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # torch.export raises many kinds
        raise RunError(f"torch.export cannot follow this model ({_first_line(error)}): export another run") from error
    program.example_inputs = None  # megabytes of zeros, and the one thing that would have to be unpickled
    for node in program.graph.nodes:  # paths of this machine
        node.meta.pop("stack_trace", None)
    return program


def save_program(program: ExportedProgram, path: Path, facts: dict[str, Any]) -> None:
    """Write ``path`` (``….pt2``), with the facts inside."""
    with _quiet():
        torch.export.save(program, path, extra_files={METADATA: _text(facts)})


def open_program(path: Path) -> InferenceFn:
    """The model in a ``.pt2`` file that you trust (see the module's docstring)."""
    with _quiet():
        module = torch.export.load(path).module()

    @torch.inference_mode()
    def answer(images: torch.Tensor) -> torch.Tensor:
        return module(images)

    return answer


def require_onnx() -> None:
    """Raises:
    ParameterError: a package that ONNX needs is not installed; the message says how it is.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ParameterError(
            f"--onnx needs the package {error.name}: python -m pip install -r requirements-export.txt"
        ) from error


def save_onnx(program: ExportedProgram, path: Path, facts: dict[str, Any]) -> None:
    """Write ``path`` (``….onnx``) in one file, with the facts among its properties.

    Raises:
        RunError: the graph has something that ONNX lacks.
    """
    try:
        with _quiet():
            made = torch.onnx.export(
                program, dynamo=True, input_names=["images"], output_names=["logits"], verbose=False
            )
    except Exception as error:  # torch.onnx raises many kinds
        raise RunError(f"ONNX cannot express this model ({_first_line(error)}): export without --onnx") from error
    graph = made.model.graph
    for value in (*graph.inputs, *graph.outputs):
        value.shape[0] = "batch"
    for node in graph.all_nodes():
        node.metadata_props.clear()  # paths of this machine
    made.model.metadata_props[METADATA] = _text(facts)
    made.save(path, external_data=False)


def open_onnx(path: Path, threads: int = 1) -> InferenceFn:
    """The model in an ONNX file, run by ONNX Runtime on so many cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _text(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch tells its own developers: that zeros are no tensor's complete storage, and such."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
