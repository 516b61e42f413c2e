"""Write a model as one file with torch.export or ONNX, and open it again.

Is a ``.pt2`` file safe to open? (As read in the sources of PyTorch 2.14.) It is a zip archive with the graph as JSON
and every tensor as raw bytes, and ``save_program`` writes nothing that has to be unpickled. But ``torch.export.load``
unpickles whatever an archive declares as pickled, without ``weights_only``: a stranger's file can run code. Compare
its SHA-256 with the one in ``preprocessing.json`` from a source you trust, or use the ONNX file, whose format
(protobuf) holds no code. Within the project, ``best_model.pth`` is the file to load: it needs no trust.
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
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


class DeployedModel(nn.Module):
    """A model with the recipe's test-time augmentation: float32 ``(n, 3, S, S)`` → logits, float32 ``(n, classes)``."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.model = with_tta(model, recipe)
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).float()


def trace(model: DeployedModel, side: int) -> ExportedProgram:
    """Trace the model's graph for any number of images of ``side`` px, on the CPU.

    Raises RunError: torch.export does not support this backbone.
    """
    try:
        with _quiet():
            program = torch.export.export(model, (torch.zeros(2, 3, side, side),), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # torch.export raises many kinds
        raise RunError(f"torch.export cannot trace this model ({_first_line(error)}): export another run") from error
    program.example_inputs = None  # megabytes of zeros, and the only thing that would have to be unpickled
    for node in program.graph.nodes:  # paths of this machine
        node.meta.pop("stack_trace", None)
    return program


def save_program(program: ExportedProgram, path: Path, facts: dict[str, Any]) -> None:
    """Write the program as ``path`` (``….pt2``), with the facts inside."""
    with _quiet():
        torch.export.save(program, path, extra_files={METADATA: json.dumps(facts, indent=2)})


def open_program(path: Path) -> InferenceFn:
    """Open the model in a ``.pt2`` file that you trust (see the module's docstring)."""
    with _quiet():
        return torch.inference_mode()(torch.export.load(path).module())


def require_onnx() -> None:
    """Raise a ParameterError that says how to install the packages for ONNX, if one is missing."""
    if missing := [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]:
        raise ParameterError(f"--onnx needs the package {missing[0]}: python -m pip install -r requirements-export.txt")


def save_onnx(program: ExportedProgram, path: Path, facts: dict[str, Any]) -> None:
    """Write the program as ``path`` (``….onnx``), one file with the facts among its properties.

    Raises RunError: ONNX lacks an operation of the graph.
    """
    try:
        with _quiet():
            names = {"input_names": ["images"], "output_names": ["logits"]}
            exported = torch.onnx.export(program, dynamo=True, verbose=False, **names)
    except Exception as error:  # torch.onnx raises many kinds
        raise RunError(f"ONNX cannot express this model ({_first_line(error)}): export without --onnx") from error
    graph = exported.model.graph
    for value in (*graph.inputs, *graph.outputs):
        value.shape[0] = "batch"
    for node in graph.all_nodes():
        node.metadata_props.clear()  # paths of this machine
    exported.model.metadata_props[METADATA] = json.dumps(facts, indent=2)
    exported.save(path, external_data=False)


def open_onnx(path: Path) -> InferenceFn:
    """Open the model in an ONNX file with ONNX Runtime, on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings that torch's exporters mean for their developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
