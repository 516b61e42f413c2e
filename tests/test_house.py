"""The house rules: short files, a front door for each room, imperative docstrings, one name for one thing."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "helpers").rglob("*.py"))
ROOMS = sorted(path.parent for path in FILES if path.name == "__init__.py" and path.parent != ROOT / "helpers")
# How a docstring begins that is not a command: in lower case, with an article, a plural, or "Writes".
NOT_IMPERATIVE = re.compile(r"[^A-Z]|(The|An?|With|Whether|What|Which|How|Where|Each|Mean)\b|[A-Za-z]*[^s]s\b")
PROTOCOL = {"main", "add_arguments", "run"}  # of commands


def definitions(path, kinds=(ast.FunctionDef, ast.ClassDef)):
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


def noun_docstrings(path):
    """List the functions whose docstring is not a command; a property's says what it is."""
    found = []
    for function in definitions(path, ast.FunctionDef):
        is_property = any(getattr(each, "id", "").endswith("property") for each in function.decorator_list)
        if not is_property and NOT_IMPERATIVE.match(ast.get_docstring(function) or "Say nothing"):
            found.append(function.name)
    return found


def shared_names(paths):
    """Map each public name to the files that define it, if there are several; figures are named like what they show."""
    places = defaultdict(list)
    for path in paths:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.stem)
    return {name: where for name, where in places.items() if len(where) > 1 and name not in PROTOCOL}


def test_files_are_short():
    assert [path.name for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_docstrings_are_imperative():
    assert {path.name: found for path in FILES if (found := noun_docstrings(path))} == {}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_a_room_has_a_front_door_that_names_what_is_inside(room):
    door = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(door.splitlines()) >= 3, "what lives here, and in which order to read it"
    named = set(re.findall(r"[a-z_]+", door))
    inside = {path.stem for path in room.iterdir() if not path.name.startswith("__")}
    if room.name != "commands":  # which lists them for --help
        assert sorted(inside - named) == []


def test_every_folder_is_a_room():
    folders = {path.parent for path in FILES}
    assert folders == {*ROOMS, ROOT / "helpers"}


def test_a_public_name_means_one_thing():
    drawn = [path for path in FILES if path.parent.name == "plots" or path.stem in ("run_figures", "plots")]
    assert shared_names(path for path in FILES if path not in drawn) == {}


def test_what_breaks_the_rules_is_found(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text('def f():\n    """The answer."""\n\ndef g():\n    """Returns it."""\n')
    assert noun_docstrings(tmp_path / "a.py") == ["f", "g"]
    assert shared_names(tmp_path.glob("*.py")).keys() == {"f", "g"}
