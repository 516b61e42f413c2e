"""The recipe: every setting of a run, in one frozen dataclass, and the named presets.

This module imports nothing heavy, so a wrong parameter is refused within milliseconds.
"""

from __future__ import annotations

import ast
import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from helpers.common.errors import ParameterError
from helpers.common.text import did_you_mean

# Settings that say where things lie, not what is done. A run may be continued under others.
PLACES = ("work_dir", "run", "resume", "photo", "checkpoint_steps")


def _setting(default, meaning: str, unit: str = "", **limits):
    """A dataclass field with its meaning, unit and limits (low, high, above, choices)."""
    return field(default=default, metadata={"meaning": meaning, "unit": unit, **limits})


@dataclass(frozen=True)
class Recipe:
    """All settings of a run. The defaults are the published recipe (preset ``seed``).

    Raises:
        ParameterError: a value has the wrong type or lies outside its limits.
    """

    preset: str = _setting("seed", "named recipe the other settings start from")

    # Photos
    dataset: str = _setting("flower_photos", "demo, flower_photos, or the path of a folder or archive")
    demo_photos: int = _setting(160, "photos drawn per class when dataset is demo", low=2)
    train_fraction: float = _setting(0.8, "share of the photos to train on", above=0, below=1)

    # Augmentation (training photos), in the order in which it is applied
    augmentation: bool = _setting(
        True, "change training photos at random; False: they are seen as validation photos are"
    )
    rotation: float = _setting(30.0, "rotate by up to this much, either way", "degrees", low=0, high=180)
    crop: str = _setting(
        "center",
        "center (of crop_size) or random_resized: a random part of the photo",
        choices=("center", "random_resized"),
    )
    crop_size: int = _setting(448, "side of the central crop; small photos get a black border", "px", low=8)
    crop_scale: float = _setting(0.25, "crop random_resized: the smallest share of the photo", above=0, high=1)
    horizontal_flip: float = _setting(0.5, "probability to mirror left and right", low=0, high=1)
    vertical_flip: float = _setting(0.5, "probability to mirror top and bottom", low=0, high=1)
    brightness: float = _setting(0.2, "jitter: factor within 1 ± this", low=0, high=1)
    contrast: float = _setting(0.2, "jitter: factor within 1 ± this", low=0, high=1)
    saturation: float = _setting(0.2, "jitter: factor within 1 ± this", low=0, high=1)
    hue: float = _setting(0.1, "jitter: shift within ± this", "turns", low=0, high=0.5)
    auto_augment: str = _setting(
        "none", "further changes, drawn from a list (streams)", choices=("none", "trivial", "imagenet")
    )
    image_size: int = _setting(224, "side of the picture that the network sees", "px", low=16, high=4096)
    random_erasing: float = _setting(0.0, "probability to blank a random rectangle", low=0, high=1)
    mixup: float = _setting(0.0, "blend pairs of photos, in shares from Beta(this, this); 0: never", low=0)
    cutmix: float = _setting(0.0, "paste a part of one photo into another, likewise", low=0)

    # Validation and use
    val_resize: int = _setting(256, "shorter side of a validation photo before its central crop", "px", low=16)
    eval_image_size: int = _setting(0, "side of a validation picture; 0: image_size", "px", low=0, high=4096)
    test_flip: bool = _setting(False, "average over a photo and its mirror image")

    # Model
    backbone: str = _setting("resnet18", "a torchvision classification model")
    weights: str = _setting("imagenet", "imagenet, none, or the path of a .pth or .safetensors file")
    frozen_backbone: bool = _setting(False, "train the head only")
    freeze_fraction: float = _setting(
        0.0, "share of the backbone's stages, from the input on, that training leaves alone", low=0, high=1
    )
    frozen_norms: bool = _setting(False, "keep ImageNet's batch-norm statistics")
    linear_probe_first: bool = _setting(False, "fit the head to the backbone's features before training everything")
    dropout: float = _setting(0.5, "probability to drop a feature before the new head", low=0, below=1)

    # Optimization
    epochs: int = _setting(25, "passes over the training photos", low=1)
    batch_size: int = _setting(32, "photos per step", low=1)
    optimizer: str = _setting("sgd", "how steps follow from gradients", choices=("sgd", "adam", "adamw", "rmsprop"))
    lr: float = _setting(1e-3, "step size at the start", above=0)
    head_lr: float = _setting(0.0, "step size of the head; 0: lr", low=0)
    momentum: float = _setting(0.9, "momentum of SGD and RMSprop, first beta of Adam", low=0, below=1)
    nesterov: bool = _setting(True, "Nesterov's form of SGD's momentum")
    weight_decay: float = _setting(5e-4, "pull of the weights towards zero", low=0)
    clip_norm: float = _setting(0.0, "a step's gradient is shortened to this length at most; 0: never", low=0)
    label_smoothing: float = _setting(0.0, "share of the truth that is spread over all classes", low=0, below=1)
    ema_decay: float = _setting(
        0.0, "moving average of the weights, which is validated and saved; 0: none", low=0, below=1
    )
    schedule: str = _setting("step", "how lr falls", choices=("step", "cosine", "onecycle"))
    lr_step: int = _setting(7, "schedule step: multiply lr by lr_gamma every so often", "epochs", low=1)
    lr_gamma: float = _setting(0.1, "schedule step: the factor", above=0, high=1)
    teacher: str = _setting("", "folder of a finished run to learn from as well (distillation)")
    teacher_weight: float = _setting(0.5, "share of the teacher's word in the target", low=0, high=1)
    teacher_temperature: float = _setting(2.0, "the teacher's logits are divided by this", above=0)
    warmup_epochs: int = _setting(0, "schedule cosine: lr rises over these first (at most epochs - 1)", "epochs", low=0)

    # The machine
    seed: int = _setting(0, "drives every random choice", low=0, high=2**31 - 1)
    device: str = _setting("auto", "auto, cpu, cuda, cuda:1, mps")
    precision: str = _setting(
        "auto", "arithmetic of the network; auto: bf16 where the processor has it", choices=("auto", "fp32", "bf16")
    )
    pipeline: str = _setting(
        "auto", "photos in memory (resident) or from disk (stream)", choices=("auto", "resident", "stream")
    )
    memory_limit_gb: float = _setting(4.0, "pipeline auto: resident up to this size of decoded photos", "GB", above=0)
    workers: int = _setting(2, "processes that read photos when streaming", low=0, high=256)
    deterministic: bool = _setting(True, "use only algorithms that repeat bit for bit")
    checkpoint_steps: int = _setting(
        0, "save every so many steps; 0: as often as takes 1 % of the time, and when interrupted", "steps", low=0
    )

    # The run
    work_dir: str = _setting("work_dir", "folder of all runs")
    run: str = _setting("", "name of this run's folder; empty: made from dataset, backbone and preset")
    resume: bool = _setting(True, "continue an unfinished run of the same name")
    photo: str = _setting(
        "", "path of a photo or a folder of your own to classify at the end; empty: one of the data set"
    )

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = _checked(f, getattr(self, f.name))
            object.__setattr__(self, f.name, value)
        _check_together(self)

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> Recipe:
        """The named preset with some settings changed. ``None`` means: as the preset says."""
        if preset not in PRESETS:
            raise ParameterError(f"preset {preset!r} is unknown{did_you_mean(preset, PRESETS)}")
        known = [f.name for f in dataclasses.fields(cls)]
        for name in changes:
            if name not in known:
                raise ParameterError(
                    f"parameter {name!r} is unknown{did_you_mean(name, known)} (helpers/recipe.py explains each)"
                )
        given = {name: value for name, value in changes.items() if value is not None}
        return cls(**{"preset": preset, **PRESETS[preset], **given})

    @classmethod
    def from_notebook(cls, namespace: dict[str, Any]) -> Recipe:
        """The recipe that the notebook's parameters cell, and papermill's below it, describe.

        Args:
            namespace: the notebook's ``globals()``. Parameters are the annotated names of the
                parameters cell (``lr: float = 1e-3``) and the names that papermill injected.

        Raises:
            ParameterError: a name is not a setting (papermill itself would only warn), or a
                value is not acceptable.
        """
        names = [*namespace.get("__annotations__", {}), *_injected_names(namespace.get("In", []))]
        values = {name: namespace[name] for name in names if name in namespace}
        preset = values.pop("preset", None) or "demo"
        if not isinstance(preset, str):
            raise ParameterError(f"preset = {preset!r}: expected the name of a preset{did_you_mean('', PRESETS)}")
        return cls.from_preset(preset, **values)

    @property
    def val_size(self) -> int:
        """Side of a validation picture (px)."""
        return self.eval_image_size or self.image_size

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def differences(self, other: Recipe | None = None) -> str:
        """Settings that differ from another recipe's (default: the published one), one per line.

        Names of folders and files are left out: they change nothing in the result.
        """
        other = other or Recipe()
        rows = [row for row in self.table() if row[0] not in PLACES and getattr(self, row[0]) != getattr(other, row[0])]
        width = max((len(value) for _, value, _ in rows), default=0)
        return "\n".join(f"{name:<14} {value:<{width}}  {meaning}" for name, value, meaning in rows) or "nothing"

    def table(self) -> list[tuple[str, str, str]]:
        """Rows (name, value with unit, meaning), in order."""
        rows = []
        for f in dataclasses.fields(self):
            unit = f.metadata["unit"]
            rows.append((f.name, f"{getattr(self, f.name)!s} {unit}".strip(), f.metadata["meaning"]))
        return rows


def _injected_names(cells: list[str]) -> list[str]:
    """Names assigned in the cells that papermill injected (they begin with ``# Parameters``)."""
    names = []
    for source in cells:
        if source.lstrip().startswith("# Parameters"):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Assign):
                    names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names


def _checked(f: dataclasses.Field, value: Any) -> Any:
    """The value in the type that the field declares, or a ParameterError that names both."""
    kind = f.type  # a string: annotations are postponed
    said = f"{f.name} = {value!r}"
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    fits = isinstance(value, {"int": int, "float": float, "bool": bool, "str": str}[kind])
    if isinstance(value, bool) and kind != "bool":
        fits = False
    if not fits:
        expected = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}[kind]
        raise ParameterError(f"{said}: expected {expected}, got {type(value).__name__}{_hint(kind, value)}")
    if kind == "float" and not math.isfinite(value):
        raise ParameterError(f"{said}: expected a finite number")
    _check_limits(f, value, said)
    return value


def _hint(kind: str, value: Any) -> str:
    if kind == "bool" and isinstance(value, str):
        return " (papermill: write -y '{NAME: false}', or -p NAME False)"
    if kind == "float" and isinstance(value, str) and "e" in value.lower():
        return " (in YAML a number with an exponent needs a point: 1.0e-4)"
    return ""


def _check_limits(f: dataclasses.Field, value: Any, said: str) -> None:
    limits = f.metadata
    if "choices" in limits and value not in limits["choices"]:
        raise ParameterError(f"{said}: choose one of {', '.join(limits['choices'])}")
    for name, wrong, words in (
        ("low", lambda limit: value < limit, "at least"),
        ("high", lambda limit: value > limit, "at most"),
        ("above", lambda limit: value <= limit, "more than"),
        ("below", lambda limit: value >= limit, "less than"),
    ):
        if name in limits and wrong(limits[name]):
            raise ParameterError(f"{said}: must be {words} {limits[name]}")


def _check_together(recipe: Recipe) -> None:
    if recipe.val_resize < recipe.val_size:
        name = "eval_image_size" if recipe.eval_image_size else "image_size"
        raise ParameterError(
            f"val_resize = {recipe.val_resize} is smaller than {name} = {recipe.val_size}: "
            f"the central crop would get a black border. Raise val_resize or lower {name}"
        )
    if 0 < recipe.eval_image_size < 16:
        raise ParameterError(f"eval_image_size = {recipe.eval_image_size}: must be at least 16, or 0 for image_size")
    _refuse_without_effect(recipe)
    if recipe.optimizer == "sgd" and recipe.nesterov and recipe.momentum == 0:
        raise ParameterError("nesterov = True needs momentum > 0: raise momentum or set nesterov to False")
    if recipe.run and ("/" in recipe.run or "\\" in recipe.run or recipe.run.startswith(".")):
        raise ParameterError(f"run = {recipe.run!r}: a plain folder name is needed; put paths into work_dir")


def _refuse_without_effect(recipe: Recipe) -> None:
    """What asks for something and would get nothing is refused, or a comparison would compare a recipe with itself."""
    changed = {f.name for f in dataclasses.fields(Recipe) if getattr(recipe, f.name) != f.default}
    on_photos = sorted(changed & {"mixup", "cutmix", "teacher"})
    if recipe.frozen_backbone and not recipe.augmentation and on_photos:
        back = "empty" if on_photos[0] == "teacher" else "0"
        raise ParameterError(
            f"{on_photos[0]} needs photos, but with frozen_backbone and without augmentation the head learns from "
            f"features that are computed once: set frozen_backbone to False, or {on_photos[0]} to {back}"
        )
    random = sorted(changed & {"crop", "auto_augment", "random_erasing"})
    if not recipe.augmentation and random:
        raise ParameterError(f"{random[0]} does nothing without augmentation: set augmentation to True")
    tuning = sorted(changed & {"freeze_fraction", "frozen_norms", "linear_probe_first"})
    if recipe.frozen_backbone and tuning:
        raise ParameterError(f"{tuning[0]} does nothing with frozen_backbone: set one of them back")
    if not recipe.teacher and (taught := sorted(changed & {"teacher_weight", "teacher_temperature"})):
        raise ParameterError(f"{taught[0]} does nothing without a teacher: name one, or set it back")
    if recipe.warmup_epochs and recipe.schedule != "cosine":
        raise ParameterError(
            f"warmup_epochs = {recipe.warmup_epochs} does nothing with schedule = {recipe.schedule!r}: "
            "set it to 0, or schedule to cosine"
        )


PRESETS: dict[str, dict[str, Any]] = {
    # The published recipe, exactly. Nothing to change: it is the dataclass's defaults.
    "seed": {},
    # As accurate in seconds: the backbone stays as ImageNet made it, and sees every photo once.
    "fast": {
        "augmentation": False,
        "frozen_backbone": True,
        "epochs": 20,
        "lr": 0.01,
        "schedule": "cosine",
    },
    # More accurate than the published one, in fewer epochs: what ImageNet's first stages know of edges and textures is
    # kept; the later ones are tuned on crops that are all photo, from a head that fits them already.
    "best": {
        "crop": "random_resized",
        "crop_scale": 0.35,
        "rotation": 0.0,
        "vertical_flip": 0.0,
        "hue": 0.03,
        "eval_image_size": 256,
        "test_flip": True,
        "freeze_fraction": 0.6,
        "frozen_norms": True,
        "linear_probe_first": True,
        "dropout": 0.2,
        "epochs": 8,
        "lr": 3e-3,
        "schedule": "cosine",
        "warmup_epochs": 1,
        "label_smoothing": 0.1,
        "clip_norm": 5.0,  # for the rare step that would run away: on few photos one in five trainings did
    },
    # The same recipe at 3/7 of the size, on photos that the project draws itself. It starts
    # from random weights, hence the higher learning rate and the smooth schedule.
    "demo": {
        "dataset": "demo",
        "weights": "none",
        "crop_size": 192,
        "image_size": 96,
        "val_resize": 110,
        "epochs": 16,
        "lr": 0.02,
        "schedule": "cosine",
        "warmup_epochs": 1,
        "dropout": 0.2,
    },
}
