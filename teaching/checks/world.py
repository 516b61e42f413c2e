"""The world that a hand-in runs in: tiny photos instead of its own, no download, no GPU, a few short batches.

``build`` replaces what reaches outside in torch and torchvision, once, in a process of its own.
"""

import contextlib
import copy
import importlib.abc
import importlib.machinery
import linecache
import os
import random
import shutil
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, Subset, random_split
from torchvision import datasets, models, transforms
from torchvision.models._api import WeightsEnum
from torchvision.transforms import v2

from .photos import CLASSES, draw_folder
from .program import few

FLAT, SPLIT = 6, {"train": 4, "val": 1, "test": 1}  # photos of each class


PRETRAINED: list[dict[str, torch.Tensor]] = []  # the weights that the program asked for


class PretrainedState(dict):
    """Weights that the hand-in reads from a file that is not here: the network is left as it is."""


class Remarks(list):
    """What is worth a warning, each once, and not more than people read."""

    def add(self, text: str) -> None:
        if len(self) < 20 and text not in self:
            self.append(text)


def build(folder: Path, remarks: Remarks) -> None:
    """Replace what reaches outside: photos, weights, GPUs, missing libraries, folders of another machine."""
    draw_folder(folder / "photos" / "flat", FLAT)
    for part, each in SPLIT.items():
        draw_folder(folder / "photos" / part, each)
    _redirect_photos(folder / "photos", remarks)
    _redirect_weights()
    _without_gpu(remarks)
    _redirect_folders(folder, remarks)
    sys.meta_path.append(_Missing(remarks))
    sys.argv = ["main.py"]
    linecache.updatecache = lambda *_: []  # tracebacks need no source, and it would count as reading the tests
    os.environ.update(MPLBACKEND="Agg", KMP_DUPLICATE_LIB_OK="TRUE")


def _redirect_photos(photos: Path, remarks: Remarks) -> None:
    original = datasets.ImageFolder.__init__

    def init(self: Any, root: Any = "", *arguments: Any, **settings: Any) -> None:
        if str(root) and _foreign(str(root)):
            remarks.add(f"The photos are read from {root}, a path of one machine: use a relative one.")
        name = str(root).replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
        part = next((part for part in SPLIT if name.startswith(part)), "val" if name.startswith("valid") else "flat")
        original(self, str(photos / part), *arguments, **settings)

    datasets.ImageFolder.__init__ = init
    exists, listdir, isdir = os.path.exists, os.listdir, os.path.isdir
    flowers = {name.name for name in (photos / "flat").iterdir()}

    def is_photos(path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and "flower" in str(path).lower().replace("\\", "/").split("/")[-1]

    os.path.exists = lambda path: exists(path) or is_photos(path)
    os.listdir = lambda path=".": sorted(flowers) if is_photos(path) and not isdir(path) else listdir(path)


def _redirect_weights() -> None:
    """Let pretrained networks come without a download: random weights, the same each time."""
    builders = {}

    def state(self: WeightsEnum, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        if not builders:
            builders.update({models.get_model_weights(name): name for name in models.list_models(module=models)})
        extra = {"init_weights": False} if type(self).__name__.startswith(("GoogLeNet", "Inception")) else {}
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(len(type(self).__name__))
            weights = models.get_model(builders[type(self)], weights=None, **extra).state_dict()
            for each in weights.values():
                if each.is_floating_point() and each.ndim == 1:  # no two batch norms are alike, as in real weights
                    each.add_(0.01 * torch.rand_like(each))
        PRETRAINED.append(weights)
        return weights

    WeightsEnum.get_state_dict = state
    load, load_state, save = torch.load, nn.Module.load_state_dict, torch.save
    saved: dict[str, Any] = {}

    def load_file(file: Any, *arguments: Any, **settings: Any) -> Any:
        if isinstance(file, (str, os.PathLike)):
            return saved.get(_base(file), PretrainedState())
        return load(file, *arguments, **settings)

    def load_into(self: nn.Module, state_dict: Any, *arguments: Any, **settings: Any) -> Any:
        if isinstance(state_dict, PretrainedState):
            return None
        return load_state(self, state_dict, *arguments, **settings)

    torch.load, nn.Module.load_state_dict = load_file, load_into
    torch.hub.load_state_dict_from_url = lambda *_, **__: PretrainedState()
    torch.save = Saves(saved, save)
    for module, names in ((os, "rename replace"), (shutil, "copy copy2 copyfile move")):
        for name in names.split():
            torch.save.follow(module, name)


class Saves:
    """``torch.save``, with a record instead of files: (name, what, line of the program)."""

    def __init__(self, files: dict[str, Any], original: Callable) -> None:
        self.files, self.original = files, original
        self.observer: Callable[[str, Any], None] = lambda name, value: None

    def __call__(self, obj: Any, f: Any, *arguments: Any, **settings: Any) -> None:
        path = f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", None)  # of an open file
        if not isinstance(path, (str, os.PathLike)):
            return self.original(obj, f, *arguments, **settings)
        self.files[_base(path)] = copy.deepcopy(obj)
        self.observer(str(path), obj)
        return None

    def follow(self, module: types.ModuleType, name: str) -> None:
        """Let a function that copies or renames files do so with those that are only on record."""
        original = getattr(module, name)

        def moved(source: Any, target: Any, *arguments: Any, **settings: Any) -> Any:
            if _base(source) not in self.files:
                return original(source, target, *arguments, **settings)
            target = os.path.join(target, _base(source)) if os.path.isdir(target) else target
            self(self.files[_base(source)], str(target))
            return target

        setattr(module, name, moved)


def _base(path: Any) -> str:
    return os.path.basename(str(path).replace("\\", "/"))


def _without_gpu(remarks: Remarks) -> None:
    torch.cuda.is_available, torch.cuda.device_count = lambda: False, lambda: 0

    def on_cpu(original: Callable) -> Callable:
        def to(self: Any, *arguments: Any, **settings: Any) -> Any:
            def other(value: Any) -> Any:
                if isinstance(value, (str, torch.device)) and str(value).startswith(("cuda", "mps")):
                    remarks.add("It asks for a GPU without looking whether there is one (torch.cuda.is_available).")
                    return torch.device("cpu")
                return value

            return original(self, *map(other, arguments), **{name: other(v) for name, v in settings.items()})

        return to

    def stay(self: Any, *_: Any, **__: Any) -> Any:
        remarks.add("It calls .cuda() without looking whether there is a GPU (torch.cuda.is_available).")
        return self

    for kind in (torch.Tensor, nn.Module):
        kind.to, kind.cuda = on_cpu(kind.to), stay


def _redirect_folders(folder: Path, remarks: Remarks) -> None:
    """Let the program make its folders only inside of ``folder``; others it believes to have made."""
    for name in ("makedirs", "mkdir"):
        original = getattr(os, name)

        def make(path: Any, *arguments: Any, _original: Callable = original, **settings: Any) -> None:
            if _foreign(str(path)) or not os.path.realpath(path).startswith(os.path.realpath(folder)):
                remarks.add(f"It makes a folder at {path}, a path of one machine: use a relative one.")
                return
            if not os.path.isdir(path):
                # Path.mkdir and a second save_dir are no reason to fail.
                with contextlib.suppress(FileNotFoundError, FileExistsError):
                    _original(path, *arguments, **settings)

        setattr(os, name, make)
    chdir = os.chdir
    os.chdir = lambda path: None if _foreign(str(path)) or not os.path.isdir(path) else chdir(path)


def _foreign(path: str) -> bool:
    """Whether a path is absolute, on any system."""
    return path.startswith(("/", "\\", "~")) or path[1:3] in (":\\", ":/")


class _Missing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import a stand-in for a library that is not installed here (seaborn, tqdm, cv2, …)."""

    def __init__(self, remarks: Remarks) -> None:
        self.remarks, self.roots = remarks, {__package__.partition(".")[0]}

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        caller = sys._getframe(1)
        while caller and caller.f_code.co_filename.startswith("<frozen importlib"):
            caller = caller.f_back
        if caller and (caller.f_code.co_filename == "<hand-in>" or name.partition(".")[0] in self.roots - {"teaching"}):
            root = name.partition(".")[0]
            if root in sys.modules and not isinstance(sys.modules[root], StandIn):
                return None  # an installed library without such a part
            self.roots.add(root)
            self.remarks.add(f"The library {root} is not installed here; what it draws or prints was skipped.")
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__path__ = []


class StandIn(types.ModuleType):
    """A library that is not there. Everything in it returns its first argument: ``tqdm(loader)`` is the loader."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


class Nothing:
    """Anything, to anyone."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return arguments[0] if arguments else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Any:
        return iter((self, self))

    def __getitem__(self, key: Any) -> Any:
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        return None


def namespace() -> dict[str, Any]:
    """Return the names that the assignment's script has before its first block."""
    names = {"__name__": "__main__", "__file__": "main.py", "__builtins__": __builtins__}
    names |= {"torch": torch, "torchvision": torchvision, "nn": nn, "optim": optim, "lr_scheduler": lr_scheduler}
    names |= {"DataLoader": DataLoader, "Dataset": Dataset, "Subset": Subset, "random_split": random_split}
    names |= {"datasets": datasets, "models": models, "transforms": transforms, "T": transforms, "v2": v2}
    names |= {"os": os, "copy": copy, "time": time, "random": random, "np": np, "F": nn.functional}
    names |= {"class_names": list(CLASSES), "classes": list(CLASSES), "num_classes": len(CLASSES)}
    return names | {"device": torch.device("cpu"), "__few__": few}
