"""Section 1: transforms of training and validation photos, judged by what they do to photos."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.transforms import v2

from .photos import SIZES, draw
from .verdict import Failure, explained, require

CONTAINERS = (transforms.Compose, v2.Compose, nn.Sequential)
CHOOSERS = (
    transforms.RandomApply,
    transforms.RandomChoice,
    transforms.RandomOrder,
    v2.RandomApply,
    v2.RandomChoice,
    v2.RandomOrder,
)
POLICIES = "AutoAugment RandAugment TrivialAugmentWide AugMix"  # each draws from more than five methods
TRIES, ASKED = 80, 5
SIDES = (32, 384)  # px


def find_pipelines(values: dict[str, Any]) -> dict[str, Callable]:
    """Return the transforms among the values that a block left behind, by name; those in dicts as ``name.key``."""
    found: dict[str, Callable] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= find_pipelines({f"{name}.{key}": each for key, each in value.items()})
        elif isinstance(value, list | tuple) and value and all(map(callable, value)):
            if all(isinstance(each, CONTAINERS) for each in value):
                found |= find_pipelines({f"{name}.{i or 'train'}": each for i, each in enumerate(value)})
            else:
                found[name] = transforms.Compose(list(value))
        elif not callable(value) and callable(getattr(value, "transform", None)):  # a dataset
            found |= find_pipelines({name: value.transform})
        elif callable(value) and not isinstance(value, type) and _takes_photos(value):
            found[name] = value
    # Where there are pipelines, a transform of torchvision's by itself is a part of one.
    return {name: each for name, each in found.items() if _is_whole(each)} or found


def _is_whole(value: Callable) -> bool:
    module = type(value).__module__
    part = module.startswith("torchvision.transforms") and not module.endswith("_presets")
    return isinstance(value, CONTAINERS) or not part


def _takes_photos(value: Callable) -> bool:
    if isinstance(value, (*CONTAINERS, v2.Transform)) or type(value).__module__.startswith("torchvision.transforms"):
        return True
    try:
        return isinstance(value(draw("daisy", 0)), torch.Tensor)
    except Exception:  # whatever a function of the student's own raises
        return False


def judge(pipelines: dict[str, Callable]) -> str:
    """Judge the transforms of a block; returns what was seen.

    Raises:
        Failure: they are not what is asked.
    """
    require(pipelines, "no transform was defined")
    validation = {name: each for name, each in pipelines.items() if _is_for_validation(name)}
    training = {name: each for name, each in pipelines.items() if name not in validation}
    training = {name: each for name, each in training.items() if "train" in name.lower()} or training
    require(training, "no transform for training was defined")
    best, failure = "", None
    for name, pipeline in training.items():
        try:
            shape = check_tensors(name, pipeline)
            methods = augmentations(pipeline)
            require(len(methods) >= ASKED, f"{name} has {len(methods)} methods that change pixels: {_listed(methods)}")
            best, size = f"{name}: {_listed(methods)}; a normalized tensor", shape
        except Failure as error:
            failure = failure or error
    if not best:
        raise failure or Failure("no transform for training was defined")
    for name, pipeline in validation.items():
        shape = check_tensors(name, pipeline)
        require(shape == size, f"{name} returns {_times(shape)} pixels, the training transform {_times(size)}")
        photo = draw("tulip", 1, SIZES[0])
        first = pipeline(photo)
        require(all(torch.equal(first, pipeline(photo)) for _ in range(20)), f"{name} changes photos at random")
    return best


def check_tensors(name: str, pipeline: Callable) -> tuple[int, int]:
    """Check that photos of all shapes become normalized float tensors of one size; returns it."""
    shapes = set()
    for size in SIZES:
        for number, photo in enumerate(
            (draw("rose", 0, size), Image.new("RGB", size), Image.new("RGB", size, "white"))
        ):
            result = _applied(name, pipeline, photo)
            require(isinstance(result, torch.Tensor), f"{name} returns {type(result).__name__}, not a tensor")
            require(result.is_floating_point(), f"{name} returns {result.dtype}, not floating-point numbers")
            require(result.ndim == 3 and len(result) == 3, f"{name} returns the shape {tuple(result.shape)}")
            shapes.add(tuple(result.shape[1:]))
            _check_range(name, result, number)
    require(len(shapes) == 1, f"{name} returns different sizes: {', '.join(map(_times, sorted(shapes)))}")
    (shape,) = shapes
    require(all(SIDES[0] <= s <= SIDES[1] for s in shape), f"{name} returns {_times(shape)} pixels, not 224")
    return shape


def _times(shape: tuple[int, int]) -> str:
    return f"{shape[0]} × {shape[1]}"


def _check_range(name: str, result: torch.Tensor, number: int) -> None:
    low, high = float(result.min()), float(result.max())
    require(np.isfinite(low + high) and high < 12, f"{name} returns values up to {high:.4g}: scaled to [0, 1] first?")
    if number == 1:  # a black photo: negative once normalized
        require(low < -0.3, f"{name} turns black into {low:.2f}: it is not normalized")


def _applied(name: str, pipeline: Callable, photo: Image.Image) -> Any:
    try:
        return pipeline(photo)
    except Exception as error:
        raise Failure(f"{name} fails on a photo of {photo.width} × {photo.height}: {explained(error)}") from error


def augmentations(pipeline: Callable) -> list[str]:
    """Return the names of the methods in a pipeline that change pixels, each kind once."""
    parts = flattened(pipeline)
    if parts == [pipeline]:  # cannot be taken apart: what it returns was checked
        photo = draw("sunflower", 0, SIZES[0])
        first = pipeline(photo)
        changes = any(not torch.equal(first, pipeline(photo)) for _ in range(20))
        return ["a function of its own, which changes photos at random", *[""] * (ASKED - 1)] if changes else []
    found: dict[Any, str] = {}
    sample: Any = draw("sunflower", 0, SIZES[0])
    for part in parts:
        name = type(part).__name__
        if name == "AsChosen":
            name = type(part.inner).__name__
        if name in POLICIES.split():
            found |= {(name, i): "" if i else f"{name} (of many methods)" for i in range(ASKED)}
        elif changes_pixels(part, sample):
            found[_kind(getattr(part, "inner", part))] = name
        sample = part(sample)
    return list(found.values())


class AsChosen:
    """One of several transforms that are applied by chance."""

    def __init__(self, inner: Callable, probability: float) -> None:
        self.inner, self.probability = inner, probability

    def __call__(self, photo: Any) -> Any:
        return self.inner(photo) if random.random() < self.probability else photo


def flattened(pipeline: Callable) -> list[Callable]:
    """Return the steps of a pipeline, also of those inside of it."""
    if isinstance(pipeline, CONTAINERS):
        steps = list(pipeline) if isinstance(pipeline, nn.Sequential) else pipeline.transforms
        return [part for step in steps for part in flattened(step)]
    if isinstance(pipeline, CHOOSERS):
        probability = getattr(pipeline, "p", None)
        share = probability if isinstance(probability, float | int) else 1.0
        return [AsChosen(part, share) for step in pipeline.transforms for part in flattened(step)]
    return [pipeline]


def _kind(step: Callable) -> Any:
    """Return what tells two methods apart: their type, and which of its settings are in use."""
    names = [name for name, value in getattr(step, "__dict__", {}).items() if _in_use(value)]
    own = () if type(step).__module__.startswith("torchvision") else (id(step),)
    return type(step), frozenset(name for name in names if not name.startswith("_")), own


def _in_use(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return bool(value.any())
    return value is not None and value is not False and value not in (0, [0], [0, 0], (0, 0), ())


def changes_pixels(step: Callable, like: Any) -> bool:
    """Tell whether a step changes what a photo shows, at random or always (a crop), not just its size or scale."""
    ramp = _ramp(like)
    before = _pixels(ramp)
    if before is None:
        return False
    first = None
    for _ in range(TRIES):
        try:
            after = _pixels(step(ramp))
        except Exception:  # then the whole pipeline fails as well, which is reported
            return False
        if after is None:
            return False
        first = after if first is None else first
        if after.shape != first.shape or np.abs(after - first).mean() > 0.002:
            return True
    return _shows_other_things(before, first)


def _shows_other_things(before: np.ndarray, after: np.ndarray) -> bool:
    if before.shape == after.shape:
        return np.abs(after - before).mean() > 0.002 and not _is_scaled(before, after)
    rows, columns = (np.linspace(0, 1, n) for n in after.shape[1:])
    ideal = np.stack([np.broadcast_to(columns, after.shape[1:]), np.broadcast_to(rows[:, None], after.shape[1:])])
    return np.abs(after[:2] - ideal).mean() > 0.012


def _is_scaled(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether each channel is the same but for a factor and an offset, as after normalization."""
    fits = [np.polyfit(b.ravel(), a.ravel(), 1) for b, a in zip(before, after, strict=True)]
    return all(np.abs(np.polyval(f, b) - a).mean() < 1e-4 for f, b, a in zip(fits, before, after, strict=True))


def _ramp(like: Any) -> Any:
    """Return a photo of the same kind and size: red grows to the right, green downwards, blue is noise."""
    if isinstance(like, Image.Image):
        width, height = like.size
    elif isinstance(like, torch.Tensor) and like.ndim == 3:
        height, width = like.shape[1:]
    else:
        return like
    red, green = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    blue = np.random.default_rng(0).random((height, width))
    pixels = np.stack([red, green, blue], -1)
    if isinstance(like, Image.Image):
        return Image.fromarray((255 * pixels).round().astype(np.uint8))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    return tensor.to(like.dtype) if like.is_floating_point() else (255 * tensor).round().to(like.dtype)


def _pixels(photo: Any) -> np.ndarray | None:
    """Return an image as floats ``(3, height, width)``; integers are scaled to [0, 1]."""
    if isinstance(photo, Image.Image):
        photo = np.asarray(photo.convert("RGB")).transpose(2, 0, 1)
    if isinstance(photo, torch.Tensor):
        photo = photo.detach().numpy()
    if not isinstance(photo, np.ndarray) or photo.ndim != 3 or len(photo) != 3:
        return None
    return photo / 255.0 if photo.dtype == np.uint8 else photo.astype(float)


def _is_for_validation(name: str) -> bool:
    return any(word in name.lower() for word in ("val", "test", "eval", "valid"))


def _listed(methods: list[str]) -> str:
    return ", ".join(filter(None, methods)) or "none"
