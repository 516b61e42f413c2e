"""Export a finished run's model for use elsewhere: ``python -m helpers export work_dir/<run> --onnx --time``.

``<run>/export/`` then holds ``model.pt2`` (torch.export), with ``--onnx`` ``model.onnx`` and ``classify.py``, with
``--time`` ``timing.json``, and ``preprocessing.json``. Files appear there only after they were verified on photos.
"""

import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from helpers.common.errors import RunError
from helpers.common.files import file_digest, inside, write_atomically, write_json
from helpers.common.progress import working
from helpers.data import pixels
from helpers.inference.export import formats, timing, verify
from helpers.inference.export.formats import DeployedModel, InferenceFn
from helpers.inference.export.preprocessing import describe_model
from helpers.runs.finished import read_run
from helpers.runs.folders import project_root
from helpers.runs.saving import load_best_model

ENGINES = {"model.pt2": "exported program", "model.onnx": "ONNX Runtime"}
FILES = (*ENGINES, "classify.py", "timing.json", "preprocessing.json")
SCRIPT = Path(__file__).with_name("classify.py")


def export_run(
    folder: Path,
    root: Path | None = None,
    onnx: bool = False,
    measure_speed: bool = False,
    data: str | None = None,
    log: Callable[[str], None] = print,
) -> Path:
    """Export the best model of the finished run in ``folder``, verify the files, and return the folder they are in.

    Args:
        onnx: also write an ONNX file.
        measure_speed: also measure the speed on one core; includes ``onnx``.
        data: folder of the run's photos, if they are not where its recipe says.

    Raises:
        ParameterError: packages for ONNX are missing.
        PhotosError: ``data`` holds none of the run's validation photos.
        RunError: the run is unfinished or damaged, cannot be exported, or a file does not match the model. The files
            of an earlier export are then left as they were.
    """
    onnx = onnx or measure_speed
    if onnx:
        formats.require_onnx()
    run, target = read_run(folder), inside(folder, "export")
    facts = describe_model(run)
    model = DeployedModel(load_best_model(folder), run.recipe)
    pytorch = torch.inference_mode()(model)
    try:
        with tempfile.TemporaryDirectory() as name:
            aside = Path(name)
            with working(f"exporting: {'a minute' if onnx else 'half a minute'} or less"):
                engines = _write(aside, model, run.recipe.val_size, facts, onnx)
            with working("comparing with PyTorch on validation photos"):
                photos = verify.sample_photos(run, root or project_root(), data)
                report = _verify(aside, engines, pytorch, photos, facts, log)
            if measure_speed:
                timed = {"PyTorch": pytorch} | {ENGINES[name]: engine for name, engine in engines.items()}
                with working("measuring the speed: half a minute"):
                    measured = timing.measure(timed, photos.images)
                write_json(aside / "timing.json", measured)
                log(timing.timing_table(measured))
            write_json(aside / "preprocessing.json", facts | report)
            target.mkdir(exist_ok=True)
            for each in FILES:  # preprocessing.json, which holds the others' checksums, comes last
                if (aside / each).exists():
                    write_atomically(target / each, (aside / each).read_bytes())
                else:  # of an earlier export
                    (target / each).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror or error}): free some space") from error
    return target


def _write(aside: Path, model: DeployedModel, side: int, facts: dict[str, Any], onnx: bool) -> dict[str, InferenceFn]:
    """Write the model's files and open each of them again."""
    program = formats.trace(model, side)
    formats.save_program(program, aside / "model.pt2", facts)
    engines = {"model.pt2": formats.open_program(aside / "model.pt2")}
    if onnx:
        formats.save_onnx(program, aside / "model.onnx", facts)
        engines["model.onnx"] = formats.open_onnx(aside / "model.onnx")
        script = SCRIPT.read_text(encoding="utf-8").splitlines(keepends=True)
        own = [inspect.getsource(pixels) if line.startswith("from helpers") else line for line in script]
        (aside / "classify.py").write_text("".join(own), encoding="utf-8")
    return engines


def _verify(
    aside: Path,
    engines: dict[str, InferenceFn],
    pytorch: InferenceFn,
    photos: verify.SamplePhotos,
    facts: dict[str, Any],
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Compare the files with PyTorch, and PyTorch in float32 with the run's own predictions."""
    log(f"verified on {photos.source}")
    files = {}
    for name, engine in engines.items():
        identity = {"bytes": (aside / name).stat().st_size, "sha256": file_digest(aside / name)}
        files[name] = found = identity | verify.compare_models(name, engine, pytorch, photos)
        log(
            f"{name:<10} {found['bytes'] / 1e6:6.1f} MB, same predictions as PyTorch; largest difference: logits "
            f"{found['logits_max_difference']:.1e}, probabilities {found['probabilities_max_difference']:.1e}"
        )
    stored = verify.compare_with_run(pytorch, photos)
    if stored:
        log(
            f"predictions.csv, computed in {facts['model']['precision_of_the_run']}: {stored['same_predictions']} of "
            f"{stored['photos']} predictions the same, probabilities within "
            f"{stored['probabilities_max_difference']:.2g}"
        )
    return {"check": {"photos": photos.source, "against_predictions_csv": stored}, "files": files}
