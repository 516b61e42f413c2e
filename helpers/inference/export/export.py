"""A finished run's model as a file for use elsewhere: ``python -m helpers export work_dir/<run> --onnx --time``.

``<run>/export/`` then holds ``model.pt2`` (torch.export), ``model.onnx`` and ``classify.py`` beside it (``--onnx``),
``preprocessing.json``, and ``timing.json`` (``--time``). No file gets its name before it has been checked on photos.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from helpers.common.errors import RunError
from helpers.common.files import write_json
from helpers.inference.export import formats, verify
from helpers.inference.export import timing as export_timing
from helpers.inference.export.formats import Deployed, InferenceFn
from helpers.inference.export.preprocessing import describe
from helpers.runs.finished import read_run
from helpers.runs.run import project_root
from helpers.runs.saving import load_best_model

FILES = ("model.pt2", "model.onnx", "classify.py", "timing.json", "preprocessing.json")


SCRIPT = Path(__file__).with_name("classify.py")


def export_run(
    folder: Path,
    root: Path | None = None,
    onnx: bool = False,
    timing: bool = False,
    data: str | None = None,
    log: Callable[[str], None] = print,
) -> Path:
    """Export the best model of the finished run in ``folder``, check the files, and return the folder they are in.

    Args:
        onnx: write an ONNX file too.
        timing: measure the speed on one core too; needs ``onnx``.
        data: folder of the run's photos, if they are not where its recipe says.

    Raises:
        ParameterError: packages for ONNX are missing.
        PhotosError: ``data`` holds none of the run's validation photos.
        RunError: the run is not finished or damaged, cannot be exported, or a file answers otherwise than the model.
            What an earlier export left is then untouched.
    """
    if onnx or timing:
        formats.require_onnx()
    run, target = read_run(folder), folder / "export"
    facts = describe(run)
    model = Deployed(load_best_model(folder), run.recipe)
    plain = torch.inference_mode()(model)
    try:
        _sweep(folder)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
            aside = Path(name)
            engines = _write(aside, model, run.recipe.val_size, facts, onnx or timing)
            photos = verify.sample_photos(run, root or project_root(), data)
            report = _check(aside, engines, plain, photos, facts, log)
            if timing:
                measured = export_timing.measure(_named({"PyTorch": plain} | engines), photos.images)
                write_json(aside / "timing.json", measured)
                log(export_timing.as_text(measured))
            write_json(aside / "preprocessing.json", facts | report)
            target.mkdir(exist_ok=True)
            for each in FILES:  # preprocessing.json, which vouches for the others, comes last
                _move(aside / each, target / each)
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror or error}): free some space") from error
    return target


def _sweep(folder: Path) -> None:
    """Remove what an export that was killed left; a younger one may still be at work."""
    for rest in folder.glob(".export-*"):
        if time.time() - rest.stat().st_mtime > 3600:
            shutil.rmtree(rest, ignore_errors=True)


def _write(aside: Path, model: Deployed, side: int, facts: dict[str, Any], onnx: bool) -> dict[str, InferenceFn]:
    """Write the model's files, and open each of them again."""
    program = formats.trace(model, side)
    formats.save_program(program, aside / "model.pt2", facts)
    engines = {"model.pt2": formats.open_program(aside / "model.pt2")}
    if onnx:
        formats.save_onnx(program, aside / "model.onnx", facts)
        engines["model.onnx"] = formats.open_onnx(aside / "model.onnx")
        shutil.copyfile(SCRIPT, aside / "classify.py")
    return engines


def _check(
    aside: Path,
    engines: dict[str, InferenceFn],
    plain: InferenceFn,
    photos: verify.Photos,
    facts: dict[str, Any],
    log: Callable[[str], None],
) -> dict[str, Any]:
    """What the files answer against PyTorch, and PyTorch in float32 against what the run wrote down."""
    log(f"checked on {photos.source}")
    files = {}
    for name, answer in engines.items():
        files[name] = _identity(aside / name) | verify.compare(name, answer, plain, photos)
        log(_sentence(name, files[name]))
    same = verify.against_the_run(plain, photos)
    if same:
        log(
            f"predictions.csv, computed in {facts['model']['precision_of_the_run']}: {same['same_calls']} of "
            f"{same['photos']} calls the same, probabilities within {same['probabilities_max_difference']:.2g}"
        )
    return {"check": {"photos": photos.source, "against_predictions_csv": same}, "files": files}


def _named(engines: dict[str, InferenceFn]) -> dict[str, InferenceFn]:
    names = {"model.pt2": "exported program", "model.onnx": "ONNX Runtime"}
    return {names.get(name, name): answer for name, answer in engines.items()}


def _identity(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _sentence(name: str, found: dict[str, Any]) -> str:
    return (
        f"{name:<10} {found['bytes'] / 1e6:6.1f} MB, the same calls as PyTorch; largest difference: logits "
        f"{found['logits_max_difference']:.1e}, probabilities {found['probabilities_max_difference']:.1e}"
    )


def _move(source: Path, target: Path) -> None:
    """Put a new file in an old one's place; an old one without successor would belong to another export."""
    if source.exists():
        os.replace(source, target)
    else:
        target.unlink(missing_ok=True)
