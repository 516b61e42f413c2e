"""Which recipes are compared, and what they cost."""

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from helpers.common.errors import ParameterError
from helpers.comparison import recipes
from helpers.comparison.results import finished_trials, read_trials
from helpers.data.loading import canvases
from helpers.recipe import PRESETS, Recipe
from tests.comparison.made_up import SEARCH
from tests.conftest import ROOT

PUBLISHED = Recipe.from_preset("published", backbone="mobilenet_v2")
COMPARED = recipes.recipes_to_compare(PUBLISHED)


def test_every_change_alone_is_a_valid_recipe_that_differs_in_nothing_else():
    for name, change in recipes.CHANGES.items():
        row, seed = COMPARED[f"published + {name}"].to_dict(), PUBLISHED.to_dict()
        differing = {key for key in row if row[key] != seed[key]}
        assert set(change) <= differing, name
        lost = {key: row[key] for key in differing - set(change)}  # without an effect beside the change
        assert all(value == getattr(Recipe(), key) for key, value in lost.items()), name


def test_the_published_recipe_comes_first_and_the_presets_are_compared():
    assert next(iter(COMPARED)) == "published"
    assert set(PRESETS) - {"demo"} <= set(COMPARED)
    assert {each.backbone for each in COMPARED.values()} == {"mobilenet_v2"}


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "squeezenet1_1"])
def test_teachers_are_compared(backbone):
    table = recipes.recipes_to_compare(Recipe.from_preset("published", backbone=backbone))
    teachers = {recipe.teacher for recipe in table.values()} - {""}
    assert teachers
    assert teachers <= set(table)


def test_each_change_of_the_best_can_be_taken_away():
    without = [name for name in COMPARED if name.startswith("best - ")]
    assert "best - cosine" in without
    assert "best - one cycle" not in without  # best has a schedule of its own, but not this one
    for name in without:
        row, best = COMPARED[name], COMPARED["best"]
        change = recipes.CHANGES[name.removeprefix("best - ")]
        assert all(getattr(row, key) == getattr(PUBLISHED, key) != getattr(best, key) for key in change)


@pytest.mark.parametrize(
    ("backbone", "left_out"),
    [("mobilenet_v2", set()), ("vgg11", {"frozen batch-norm statistics"})]
    + [("squeezenet1_1", {"frozen batch-norm statistics", "linear probe first"})],
)
def test_changes_without_effect_are_left_out(backbone, left_out):
    table = recipes.recipes_to_compare(Recipe.from_preset("published", backbone=backbone))
    assert {name for name in recipes.CHANGES if f"published + {name}" not in table} == left_out
    in_best = {"frozen batch-norm statistics", "linear probe first"}
    assert {name for name in in_best if f"best - {name}" not in table} == left_out


def test_cheaper_recipes_shrink_in_proportion():
    small = recipes.scaled_down(PUBLISHED, 1 / 2, 10)
    assert (small.image_size, small.val_resize, small.eval_image_size) == (112, 128, 0)
    assert (small.epochs, small.lr_step) == (10, 3)
    assert recipes.scaled_down(PUBLISHED, 1, 25) is PUBLISHED
    for name, row in COMPARED.items():
        assert recipes.scaled_down(row, 1 / 2, 10).epochs == min(row.epochs, 10), name


def test_cheaper_recipes_show_the_network_the_same_parts_of_a_photo():
    """A crop in the photo's own pixels may not shrink with the images, or what is compared is another recipe."""
    photo = Image.new("RGB", (320, 240), "white")
    shown = [
        (canvases.train_canvas(photo, each) > 127).mean()
        for each in (PUBLISHED, recipes.scaled_down(PUBLISHED, 1 / 2, 10))
    ]
    assert shown[0] == pytest.approx(shown[1], abs=0.01)
    assert shown[0] < 0.3  # the black border


def test_changes_of_prediction_share_the_training_of_the_recipe_without_them():
    at_test = ("flip TTA", "larger test images")
    expected = {f"published + {name}": "published" for name in at_test} | {f"best - {name}": "best" for name in at_test}
    assert recipes.shares_training_with(COMPARED) == expected


def test_without_augmentation_the_size_at_test_is_that_of_training():
    plain = Recipe.from_preset("fast", backbone="mobilenet_v2")
    table = {"fast": plain, "larger": replace(plain, eval_image_size=256), "flip": replace(plain, test_flip=True)}
    assert recipes.shares_training_with(table) == {"flip": "fast"}


def test_the_winner_of_a_search_is_its_preset_with_the_best_finished_trials_settings():
    found = recipes.winner(SEARCH | {"changed": {"clip_norm": 2.0}}, backbone="mobilenet_v2")
    expected = {"lr": 0.01, "dropout": 0.5, "clip_norm": 2.0, "schedule": "cosine", "backbone": "mobilenet_v2"}
    assert found == Recipe.from_preset("best", **expected)
    assert recipes.recipes_to_compare(PUBLISHED, SEARCH)["searched"].lr == 0.01
    assert "searched" not in COMPARED
    squeezenet = Recipe.from_preset("published", backbone="squeezenet1_1")
    assert recipes.recipes_to_compare(squeezenet, SEARCH)["searched"].linear_probe_first is False
    with pytest.raises(ParameterError, match="no trial of the search is finished"):
        recipes.winner(SEARCH | {"trials": SEARCH["trials"][:1]})


def test_a_winner_that_used_a_setting_since_removed_is_refused_by_name():
    trial = {"trial": 14, "state": "complete", "accuracy": 0.99, "settings": {"layer_decay": 0.7}}
    with pytest.raises(ParameterError, match="'layer_decay' is unknown"):
        recipes.winner(SEARCH | {"trials": [trial]})


def test_the_winner_of_the_committed_search_can_be_trained():
    committed = read_trials(ROOT / "report" / "results" / "trials.json")
    tried, found = finished_trials(committed)[0]["settings"], recipes.winner(committed).to_dict()
    assert {name: found[name] for name in tried} == tried


def parameters(**given):
    notebook = nbformat.read(ROOT / "notebooks" / "beyond_the_baseline.ipynb", as_version=4)
    namespace = {}
    exec(next(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])), namespace)
    return namespace | given


def test_the_notebooks_parameters_are_checked():
    recipe, results, photos = recipes.read_parameters(parameters(), ROOT)
    assert (recipe.image_size, recipe.val_resize) == (64, 73)
    assert (results, photos) == (Path(ROOT) / "report" / "results", None)
    wrong = {"image_size": "64", "results": "nowhere", "photos": "nowhere", "preset": "fastt"}
    for name, value in wrong.items():
        with pytest.raises(ParameterError, match=name):
            recipes.read_parameters(parameters(**{name: value}), ROOT)
    with pytest.raises(ParameterError, match="parameter 'resultz' is unknown"):
        recipes.read_parameters(parameters(resultz="x", In=["# Parameters\nresultz = 'x'"]), ROOT)
