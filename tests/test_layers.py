"""Imports in ``helpers/`` run downhill: a room imports from the rooms below it, never from those above."""

from pathlib import Path

import grimp
import pytest

LAYERS = (
    "commands",
    "report",
    {"inference", "comparison"},
    {"training", "plots"},
    "runs",
    "evaluation",
    {"data", "models"},
    "recipe",
    "common",
)
HELPERS = Path(__file__).parent.parent / "helpers"


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("helpers", cache_dir=None)


def uphill(graph):
    """Imports against the direction of ``LAYERS``."""
    found = graph.find_illegal_dependencies_for_layers(layers=LAYERS, containers={"helpers"})
    return sorted(f"{each.importer} -> {each.imported}" for each in found)


def test_imports_run_downhill(graph):
    assert uphill(graph) == []


def test_an_uphill_import_is_found(graph):
    graph.add_import(importer="helpers.data.split", imported="helpers.training.loop")
    assert uphill(graph) == ["helpers.data -> helpers.training"]
    graph.remove_import(importer="helpers.data.split", imported="helpers.training.loop")


def test_every_room_is_a_layer():
    rooms = {path.stem for path in HELPERS.iterdir() if not path.name.startswith("__")}
    layers = {name for layer in LAYERS for name in (layer if isinstance(layer, set) else {layer})}
    assert rooms == layers


def test_helpers_has_few_entries():
    assert len([path for path in HELPERS.iterdir() if not path.name.startswith("__")]) <= 12
