"""Fuzzed parameters, layouts and files: a result, or a message that names the input; no other exception, no hang.

2,000 cases, the same each time; ``FUZZ=20000`` (``make faults``) tries as many others.
"""

import contextlib
import dataclasses
import io
import json
import os
import shutil
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from helpers.commands.parameters import parameters_of
from helpers.common import tensors as tensors_module
from helpers.common.errors import ParameterError, PhotosError, RunError, UserError, WeightsError
from helpers.common.files import write_json
from helpers.data.audit import audit_photos
from helpers.data.decode import load_photo
from helpers.data.image_folder import find_photos
from helpers.data.sources import archives
from helpers.data.split import read_split, split_photos, write_split
from helpers.models.weights import load_into, read_weights
from helpers.recipe import PRESETS, Recipe
from helpers.runs.folders import default_name, plan_run
from helpers.runs.history import Epoch, History
from helpers.runs.saving import load_best_model
from tests.conftest import colourful

CASES = int(os.environ.get("FUZZ", "2000"))


def fuzz(share):
    """Try this share of the cases; none may take longer than 10 seconds."""
    return settings(
        max_examples=int(CASES * share),
        derandomize="FUZZ" not in os.environ,
        database=None,
        deadline=10_000,
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def works_or_raises(*kinds, naming):
    """Let the block work, or raise one of these errors with a message that contains one of ``naming``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's and zipfile's
            yield
    except kinds as error:
        text = str(error)
        text.encode()
        assert any(name in text for name in naming), f"{naming} not named: {text}"
        assert len(text) > 15
        assert "\nTraceback" not in text


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


# ---------------------------------------------------------------------------------------------- parameters

NAMES = [field.name for field in dataclasses.fields(Recipe)]
words = st.text(max_size=12) | st.sampled_from(
    ["auto", "cpu", "seed", "demo", "fast", "none", "imagenet", "true", "1e3"]
)
numbers = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 0.5, 16, 10**30, float("nan"), float("inf")])
values = (
    st.none()
    | st.booleans()
    | numbers
    | words
    | st.lists(numbers, max_size=2)
    | st.dictionaries(words, words, max_size=1)
)


@fuzz(0.2)
@given(st.dictionaries(st.sampled_from(NAMES) | words, values, max_size=5))
def test_parameters(parameters):
    preset = parameters.pop("preset", "seed")
    with works_or_raises(ParameterError, naming=[*map(str, parameters), *map(repr, parameters), "preset"]):
        recipe = Recipe.from_preset(preset if isinstance(preset, str) else repr(preset), **parameters)
        assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
        assert recipe.preset in PRESETS
        assert default_name(recipe) not in ("", ".", "..")
        assert recipe.differences() is not None
        with folder() as root, works_or_raises(RunError, naming=["run", "work_dir", recipe.work_dir]):
            inside = dataclasses.replace(recipe, work_dir="work")
            assert plan_run(inside, root).resolve().is_relative_to((root / "work").resolve())


@fuzz(0.1)
@given(st.binary(max_size=60) | st.text("{}[]&*!?|>-:,#%@`'\"\n\t 0123456789abcé", max_size=60).map(str.encode))
def test_parameter_files(content):
    with folder() as home:
        (home / "p.yaml").write_bytes(content)
        with works_or_raises(ParameterError, naming=["p.yaml"]):
            found = parameters_of(SimpleNamespace(file=[str(home / "p.yaml")], parameter=[], data=None))
            with works_or_raises(ParameterError, naming=[*map(repr, found), *found]):
                Recipe.from_preset(**({"preset": "demo"} | {k: v for k, v in found.items() if v is not None}))


# ------------------------------------------------------------------------------------------------- layouts

PHOTO = io.BytesIO()
colourful((20, 16)).save(PHOTO, "JPEG")
folders = st.sampled_from(
    ["", "train", "val", "rose", "tulip", "train/rose", "train/tulip", "val/rose", "val/tulip", "a/b/c"]
)
files = st.sampled_from(
    ["1.jpg", "2.jpg", "3.PNG", ".hidden.jpg", "notes.txt", "train.txt", "val.txt", "classes.txt", "labels.csv", "x"]
)
odd = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
contents = st.sampled_from([PHOTO.getvalue(), PHOTO.getvalue()[:90], b"", b"rose/1.jpg 0\n", b"rose\ntulip\n"])
contents |= st.just(b"image,label\n1.jpg,rose\n2,rose\n")


@fuzz(0.2)
@given(st.dictionaries(st.tuples(folders | odd, files | odd.map(lambda name: name + ".jpg")), contents, max_size=14))
def test_layouts(tree):
    with folder() as home:
        for (below, name), content in tree.items():
            with contextlib.suppress(OSError):  # "..", or a file where a folder should be
                (home / below).mkdir(parents=True, exist_ok=True)
                (home / below / name).write_bytes(content)
        with works_or_raises(PhotosError, naming=[str(home), "class '"]):
            audit = audit_photos(find_photos(home), workers=1)
            assert list(audit.photos.names) == sorted(audit.photos.names) or "train" in audit.photos.subsets
            str(audit).encode()
            split = split_photos(audit, 0.8, 0)
            assert not set(split.train) & set(split.val)
            assert {audit.photos.labels[i] for i in split.train} == set(range(len(audit.photos.classes)))


@fuzz(0.1)
@given(
    st.binary(max_size=50) | st.text("rosetulip/12.jpg \t\n\\é", max_size=60).map(str.encode),
    st.sampled_from(["train.txt", "val.txt", "classes.txt"]),
)
def test_lists(content, name):
    with folder() as home:
        for place in ("train/rose", "train/tulip", "val/rose", "val/tulip"):
            (home / place).mkdir(parents=True)
            (home / place / "1.jpg").write_bytes(PHOTO.getvalue())
        (home / name).write_bytes(content)
        with works_or_raises(PhotosError, naming=[name, str(home / "train"), str(home / "val"), "class "]):
            photos = find_photos(home)
            assert photos.classes in (("rose", "tulip"), ("tulip", "rose"))


@fuzz(0.1)
@given(
    st.binary(max_size=50) | st.text('image,label;split\t12.jpgrostuval"\n\\é', max_size=80).map(str.encode),
    st.sampled_from([b"", b"image,label\n", b"1.jpg,a\n2.jpg,a\n3.jpg,b\n4.jpg,b\n", b"id;split;class\n1;val;a\n"]),
)
def test_tables_of_labels(content, before):
    with folder() as home:
        for i in range(1, 5):
            (home / f"{i}.jpg").write_bytes(PHOTO.getvalue())
        (home / "labels.csv").write_bytes(before + content)
        with works_or_raises(PhotosError, naming=["labels.csv", str(home)]):
            photos = find_photos(home)
            assert min(photos.counts().values()) >= 2


# --------------------------------------------------------------------------------------------------- files


def picture(kind):
    buffer = io.BytesIO()
    options = {"save_all": True, "append_images": [colourful((20, 16), 1)]} if kind in ("GIF", "MPO") else {}
    if kind in ("JPEG", "PNG", "WEBP"):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    colourful((20, 16)).save(buffer, kind, **options)
    return buffer.getvalue()


PICTURES = [picture(kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "MPO", "AVIF")]


@st.composite
def damaged(draw, originals):
    """One of the originals with bytes flipped, removed, inserted or repeated."""
    content = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        how = draw(st.sampled_from(["byte", "byte", "cut", "remove", "insert", "repeat"]))
        if how == "byte" and content:
            content[place] = draw(st.integers(0, 255))
        elif how == "cut":
            del content[place:]
        elif how == "remove":
            del content[place : place + draw(st.integers(1, 40))]
        elif how == "insert":
            content[place:place] = draw(st.binary(max_size=20))
        else:
            content += content[place : place + 200]
    return bytes(content)


@fuzz(0.15)
@given(damaged(PICTURES), st.sampled_from(["a.jpg", "a.png", "a.gif", "a.tif"]))
def test_pictures(content, name):
    with folder() as home:
        (home / name).write_bytes(content)
        with works_or_raises(PhotosError, naming=[name]):
            assert load_photo(home / name).mode == "RGB"


def packed():
    entries = {f"{name}/{i}.jpg": PHOTO.getvalue() for name in ("rose", "tulip") for i in range(2)}
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as file:
            for name, content in entries.items():
                file.writestr(name, content)
        yield ".zip", buffer.getvalue()
    for mode in ("w", "w:gz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as file:
            for name, content in entries.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        yield ".tgz", buffer.getvalue()


@fuzz(0.1)
@given(st.one_of(*(st.tuples(st.just(suffix), damaged([content])) for suffix, content in packed())))
def test_archives(archive):
    suffix, content = archive
    with folder() as home:
        (home / f"a{suffix}").write_bytes(content)
        with works_or_raises(PhotosError, naming=[f"a{suffix}"]):
            target = archives.unpack(home / f"a{suffix}", home / "cache")
            assert all(path.resolve().is_relative_to(target.resolve()) for path in target.rglob("*"))
        assert {path.name for path in home.iterdir()} <= {f"a{suffix}", "cache"}


STATE = {"conv.weight": torch.arange(12.0).reshape(4, 3), "conv.bias": torch.zeros(4, dtype=torch.float16)}


def tensors():
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(STATE, buffer, _use_new_zipfile_serialization=new)
        yield buffer.getvalue()


@fuzz(0.05)
@given(damaged([*tensors(), save(STATE)]), st.sampled_from(["a.pth", "a.safetensors"]))
def test_weights(content, name):
    model = torch.nn.Sequential()
    model.add_module("conv", torch.nn.Linear(3, 4))
    model.add_module("head", torch.nn.Linear(4, 2))
    with folder() as home:
        (home / name).write_bytes(content)
        with works_or_raises(WeightsError, naming=[name]):
            load_into(model, read_weights(home / name), str(home / name))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("run")
    for name in ("rose", "tulip"):
        (home / "photos" / name).mkdir(parents=True)
        for i in range(3):
            colourful((20, 16), i).save(home / "photos" / name / f"{i}.jpg")
    audit = audit_photos(find_photos(home / "photos"))
    write_split(home / "split.csv", audit.photos, split_photos(audit, 0.8, 0))
    History([Epoch(1, 0.1, 0.5, 0.5, 0.4, 0.6)]).save(home)
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    tensors_module.save_tensors(home / "best_model.pth", network.state_dict())
    write_json(home / "recipe.json", Recipe().to_dict())
    facts = {"backbone": "alexnet", "classes": ["rose", "tulip"], "dropout": 0.5, "image_size": 64, "val_resize": 64}
    write_json(home / "best_model.json", facts | {"mean": [0, 0, 0], "std": [1, 1, 1], "epoch": 0, "val_accuracy": 0.5})
    return home


@fuzz(0.1)
@given(st.data())
def test_files_of_a_run(run_folder, data):
    name = data.draw(st.sampled_from(["split.csv", "history.csv", "best_model.pth", "recipe.json", "best_model.json"]))
    content = data.draw(damaged([(run_folder / name).read_bytes()]))
    photos = find_photos(run_folder / "photos")
    with folder() as home:
        shutil.copytree(run_folder, home / "demo-mobilenet_v2", ignore=shutil.ignore_patterns("photos"))
        run = home / "demo-mobilenet_v2"
        (run / name).write_bytes(content)
        with works_or_raises(UserError, naming=[name]):
            if name == "split.csv":
                read_split(run / name, photos)
            elif name == "history.csv":
                History.read(run)
            elif name == "best_model.pth":
                tensors_module.load_tensors(run / name)
            elif name == "recipe.json":
                assert plan_run(Recipe(dataset="demo", run="demo-mobilenet_v2", work_dir="."), home).is_relative_to(
                    home
                )
            else:
                load_best_model(run)
