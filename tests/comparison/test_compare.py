"""The table of comparisons: its rows are what they say, its numbers those of the folds."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from helpers.commands import main
from helpers.common.device import pick_precision
from helpers.common.errors import DivergedError, ParameterError, RunError
from helpers.comparison import folds, plots, recipes
from helpers.comparison.compare import chosen, compare, judge
from helpers.comparison.folds import FOLD_RULE, plan
from helpers.comparison.table import as_text, merge, mistakes_of, read, read_photos
from helpers.data.loading import canvases
from helpers.data.loading.loaders import make_loaders
from helpers.data.near_duplicates import group_scenes
from helpers.evaluation.predictions import predict
from helpers.recipe import PRESETS, Recipe
from helpers.runs import locks
from helpers.runs.history import Epoch
from helpers.runs.saving import load_best_model
from helpers.training.loop import fit
from tests.comparison.test_cross_validation import ROOT, audit, recipe  # noqa: F401 (a fixture)

SEED = Recipe.from_preset("seed", backbone="mobilenet_v2")


def test_every_change_alone_is_a_valid_recipe_that_differs_in_nothing_else():
    table = recipes.recipes_to_compare(SEED)
    for name, change in recipes.CHANGES.items():
        row, seed = table[f"seed + {name}"].to_dict(), SEED.to_dict()
        assert {key for key in row if row[key] != seed[key]} == set(change), name


def test_the_table_begins_with_the_seed_and_holds_the_presets():
    table = recipes.recipes_to_compare(SEED)
    assert next(iter(table)) == "seed"
    assert set(PRESETS) - {"demo"} <= set(table)
    assert {each.backbone for each in table.values()} == {"mobilenet_v2"}


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "squeezenet1_1"])
def test_whoever_teaches_is_a_row(backbone):
    table = recipes.recipes_to_compare(Recipe.from_preset("seed", backbone=backbone))
    teachers = {recipe.teacher for recipe in table.values()} - {""}
    assert teachers
    assert teachers <= set(table)


def test_each_change_of_the_best_can_be_taken_away():
    table = recipes.recipes_to_compare(SEED)
    without = [name for name in table if name.startswith("best - ")]
    assert "best - cosine" in without
    assert "best - one cycle" not in without  # best has a schedule of its own, but not this one
    for name in without:
        row, best = table[name].to_dict(), table["best"].to_dict()
        change = recipes.CHANGES[name.removeprefix("best - ")]
        idle = {"crop_scale"} if "crop" in change else set()  # has no effect without random crops
        assert {key for key in row if row[key] != best[key]} == set(change) | idle
        assert all(row[key] == getattr(SEED, key) for key in change)


@pytest.mark.parametrize(
    ("backbone", "left_out"),
    [("mobilenet_v2", set()), ("vgg11", {"frozen batch-norm statistics"})]
    + [("squeezenet1_1", {"frozen batch-norm statistics", "linear probe first"})],
)
def test_changes_that_would_do_nothing_are_no_rows(backbone, left_out):
    table = recipes.recipes_to_compare(Recipe.from_preset("seed", backbone=backbone))
    assert {name for name in recipes.CHANGES if f"seed + {name}" not in table} == left_out
    in_best = {"frozen batch-norm statistics", "linear probe first"}
    assert {name for name in in_best if f"best - {name}" not in table} == left_out


def test_cheaper_recipes_shrink_in_proportion():
    small = recipes.scaled_down(SEED, 1 / 2, 10)
    assert (small.image_size, small.val_resize, small.eval_image_size) == (112, 128, 0)
    assert (small.epochs, small.lr_step) == (10, 3)
    assert recipes.scaled_down(SEED, 1, 25) is SEED
    for name, row in recipes.recipes_to_compare(SEED).items():
        assert recipes.scaled_down(row, 1 / 2, 10).epochs == min(row.epochs, 10), name


def test_cheaper_recipes_show_the_network_the_same_parts_of_a_photo():
    """A crop in the photo's own pixels may not shrink with the pictures, or what is compared is another recipe."""
    photo = Image.new("RGB", (320, 240), "white")
    seen = []
    for each in (SEED, recipes.scaled_down(SEED, 1 / 2, 10)):
        canvas = canvases.train_canvas(photo, each)
        seen.append((canvas > 127).mean())
    assert seen[0] == pytest.approx(seen[1], abs=0.01)
    assert seen[0] < 0.3  # the black border


def test_rows_join_those_of_other_costs_and_replace_their_own(tmp_path):
    path = tmp_path / "rows.json"
    first = {"recipe": "seed", "backbone": "b", "cost": "x", "accuracy_mean": 0.5, "fold_rule": FOLD_RULE}
    merge(path, [first, first | {"cost": "y"}])
    merge(path, [first | {"accuracy_mean": 0.6}])
    assert read(path) == [first | {"cost": "y"}, first | {"accuracy_mean": 0.6}]


def test_rows_of_other_folds_are_refused_by_name(tmp_path):
    path = tmp_path / "rows.json"
    first = {"recipe": "seed", "backbone": "b", "cost": "x", "fold_rule": FOLD_RULE}
    path.write_text(json.dumps([first | {"fold_rule": "drawn by lot"}]))
    with pytest.raises(ParameterError, match=r"rows\.json holds rows of other folds \('drawn by lot', now"):
        merge(path, [first])
    assert len(read(path)) == 1
    assert main(["compare", "-p", "dataset", "demo", "--output", str(path)]) == 1  # before anything is trained


def test_a_learning_curve_has_rows_for_each_share(audit, tmp_path):  # noqa: F811
    table = {"other": recipe(tmp_path)}
    half, _ = compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1, 2), (0,), 0.5)
    whole, _ = compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1, 2), (0,))
    assert half[0]["train_photos"] < whole[0]["train_photos"] < half[0]["photos"] == whole[0]["photos"]
    assert half[0]["difference_mean"] is None
    assert "other" in as_text(half)


def test_another_row_can_be_the_one_that_the_others_are_compared_with(audit, tmp_path):  # noqa: F811
    table = {"plain": recipe(tmp_path), "other": recipe(tmp_path, lr=0.05)}
    rows, _ = compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1, 2), (0,), base="plain")
    assert [row["difference_mean"] for row in rows] == [
        0,
        pytest.approx(rows[1]["accuracy_mean"] - rows[0]["accuracy_mean"]),
    ]
    assert "to plain" in as_text(rows, "plain").splitlines()[0]


def test_rows_are_chosen_by_name():
    names = [name for name in recipes.recipes_to_compare(SEED) if chosen(name, ["fast", "seed + C*"])]
    assert names == ["fast", "seed + CutMix"]


def test_the_numbers_are_those_of_the_folds(audit, tmp_path):  # noqa: F811
    table = {"seed": recipe(tmp_path), "other": recipe(tmp_path, lr=0.05)}
    numbers, results = compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1, 2), (0,))
    first, second = json.loads((tmp_path / "cv" / "comparison.json").read_text())
    assert [first, second] == numbers
    assert first["difference_mean"] == first["difference_low"] == first["difference_high"] == 0
    assert second["difference_mean"] == pytest.approx(second["accuracy_mean"] - first["accuracy_mean"])
    assert second["settings"] == {"lr": 0.05}
    assert first["photos"] == len(audit.photos)
    assert first["accuracy_mean"] == results["seed"].right.mean()
    photos = read_photos(tmp_path / "cv" / "photos.csv")
    assert [row["seed"] for row in photos] == results["seed"].right.tolist()
    mistakes = mistakes_of(photos, "other")
    assert sum(asked for _, asked in mistakes.values()) == len(audit.photos)
    assert sum(wrong for wrong, _ in mistakes.values()) == pytest.approx((1 - results["other"].right).sum())
    keys = {"recipe", "backbone", "folds", "seeds", "photos", "accuracy_mean", "accuracy_low", "accuracy_high"}
    keys |= {"difference_mean", "difference_low", "difference_high", "seconds_per_run", "commit", "machine"}
    assert keys <= set(first)
    assert "other" in as_text(numbers)
    figure = plots.differences(numbers)
    assert [label.get_text().split()[0] for label in figure.axes[0].get_yticklabels()] == ["other"]


def test_a_taught_row_learns_from_the_same_fold_of_its_teacher(audit, tmp_path):  # noqa: F811
    table = {"seed": recipe(tmp_path), "pupil": recipe(tmp_path, teacher="seed", teacher_weight=1.0)}
    with pytest.raises(ParameterError, match="taught by 'seed', which is not among the rows"):
        compare({"pupil": table["pupil"]}, audit, tmp_path / "cv", ROOT, 3, (0, 1), (0,))
    compare({"seed": table["seed"]}, audit, tmp_path / "cv", ROOT, 3, (0, 1), (0,))
    assert not list((tmp_path / "cv").glob("**/best_model.pth"))
    before = (tmp_path / "cv" / "seed" / "fold-1-seed-0" / "predictions.csv").read_text()
    compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1), (0,))
    assert (tmp_path / "cv" / "seed" / "fold-1-seed-0" / "predictions.csv").read_text() == before  # as a first run
    models = sorted(path.relative_to(tmp_path / "cv").as_posix() for path in tmp_path.glob("cv/**/best_model.pth"))
    assert models == ["seed/fold-0-seed-0/kept/best_model.pth", "seed/fold-1-seed-0/kept/best_model.pth"]
    facts = json.loads((tmp_path / "cv" / "pupil" / "fold-1-seed-0" / "fold.json").read_text())
    assert facts["recipe"]["teacher"].endswith("seed/fold-1-seed-0/kept")
    # What is kept is the last epoch's model, which made the predictions; not the best one.
    scenes = group_scenes(audit)
    job = plan(table["seed"], audit, tmp_path / "cv" / "seed", 3, (0,), (1,), scenes, 1.0)[0]
    feeds = make_loaders(audit, job.split, job.recipe, torch.device("cpu"))
    found = predict(load_best_model(job.place / "kept"), feeds.val, pick_precision("auto", torch.device("cpu")))
    said = [line.split(",")[2] for line in before.splitlines()[1:]]
    assert [audit.photos.classes[i] for i in found.predicted] == said


def test_rows_that_only_ask_otherwise_train_nothing_and_say_the_same(audit, tmp_path, monkeypatch):  # noqa: F811
    asked = {"test_flip": True, "eval_image_size": 48, "val_resize": 48}
    table = {"seed": recipe(tmp_path), "other": recipe(tmp_path, lr=0.05), "looks": recipe(tmp_path, **asked)}
    assert recipes.shares_training_with(table) == {"looks": "seed"}
    with monkeypatch.context() as patch:
        ran, fit = [], folds.fit
        patch.setattr(folds, "fit", lambda *args: (ran.append(args[5].folder.parent.name), fit(*args))[1])
        numbers, _ = compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1), (0,))
    assert ran == ["seed", "seed", "other", "other"]
    compare({"looks": table["looks"]}, audit, tmp_path / "trained", ROOT, 3, (0, 1), (0,))
    for fold in ("fold-0-seed-0", "fold-1-seed-0"):
        said, trained = ((tmp_path / name / "looks" / fold / "predictions.csv") for name in ("cv", "trained"))
        assert said.read_text() == trained.read_text()
        assert said.read_text() != (tmp_path / "cv" / "seed" / fold / "predictions.csv").read_text()
    assert numbers[2]["seconds_per_run"] == numbers[0]["seconds_per_run"] > 0
    # When all is finished, no model is needed any more, and nothing is trained again to have one.
    shutil.rmtree(tmp_path / "cv" / "seed" / "fold-0-seed-0" / "kept")
    monkeypatch.setattr(folds, "fit", None)
    assert compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1), (0,))[0] == numbers


def test_a_model_is_kept_only_when_its_training_is_finished(audit, tmp_path):  # noqa: F811
    """A fold that is trained again, for its model, holds the best model so far meanwhile: not the one to be asked."""
    table = {"seed": recipe(tmp_path), "looks": recipe(tmp_path, test_flip=True)}
    compare({"seed": table["seed"]}, audit, tmp_path / "cv", ROOT, 3, (0,), (0,))
    place = tmp_path / "cv" / "seed" / "fold-0-seed-0"
    shutil.copytree(place, tmp_path / "before")
    job = plan(table["seed"], audit, tmp_path / "cv" / "seed", 3, (0,), (0,), group_scenes(audit), 1.0)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "fit", stopped_after_an_epoch)
        with pytest.raises(KeyboardInterrupt):
            folds.run(job, audit, ROOT, keep_model=True)
    assert (place / "best_model.pth").exists()
    assert folds.is_finished(place)
    assert not folds.is_finished(place, keep_model=True)
    compare(table, audit, tmp_path / "cv", ROOT, 3, (0,), (0,))
    compare({"looks": table["looks"]}, audit, tmp_path / "trained", ROOT, 3, (0,), (0,))
    said, trained = (tmp_path / name / "looks" / "fold-0-seed-0" / "predictions.csv" for name in ("cv", "trained"))
    assert said.read_text() == trained.read_text()
    assert (place / "predictions.csv").read_text() == (tmp_path / "before" / "predictions.csv").read_text()


def stopped_after_an_epoch(model, feeds, criterion, optimizer, schedule, run, log):
    def stop(text):
        if text.startswith("Epoch 1/"):
            run.save_best(model.state_dict(), Epoch(0, 0.1, 1.0, 0.5, 1.0, 0.5), feeds.classes)
            raise KeyboardInterrupt

    return fit(model, feeds, criterion, optimizer, schedule, run, stop)


def test_another_recipes_models_are_not_asked(audit, tmp_path):  # noqa: F811
    compare({"seed": recipe(tmp_path)}, audit, tmp_path / "cv", ROOT, 3, (0,), (0,))
    table = {"seed": recipe(tmp_path), "looks": recipe(tmp_path, test_flip=True)}
    compare(table, audit, tmp_path / "cv", ROOT, 3, (0,), (0,))
    shutil.rmtree(tmp_path / "cv" / "looks")
    other = {name: replace(each, lr=0.5) for name, each in table.items()}
    with pytest.raises(RunError, match=r"seed.fold-0-seed-0 holds another recipe \(lr = 0\.001, now 0\.5\)"):
        compare(other, audit, tmp_path / "cv", ROOT, 3, (0,), (0,))
    assert not (tmp_path / "cv" / "looks" / "fold-0-seed-0" / "fold.json").exists()


def test_without_augmentation_the_size_at_test_is_that_of_training():
    plain = Recipe.from_preset("fast", backbone="mobilenet_v2")
    table = {"fast": plain, "larger": replace(plain, eval_image_size=256), "mirrored": replace(plain, test_flip=True)}
    assert recipes.shares_training_with(table) == {"mirrored": "fast"}


def test_doubtful_labels_are_judged_by_the_most_accurate_that_believes_labels_wholly():
    accuracies = {"seed": (0.9, {}), "fast": (0.95, {}), "smoothed": (0.97, {"label_smoothing": 0.1})}
    accuracies |= {name: (0.98, {name: 0.2}) for name in ("mixup", "cutmix")} | {"taught": (0.99, {"teacher": "fast"})}
    results = {
        name: SimpleNamespace(recipe=Recipe(**settings), accuracy=SimpleNamespace(mean=accuracy))
        for name, (accuracy, settings) in accuracies.items()
    }
    assert judge(results) == "fast"
    assert judge({"smoothed": results["smoothed"], "mixup": results["mixup"]}) == "mixup"


def test_a_recipe_that_runs_away_gets_no_row_and_the_others_do(audit, tmp_path, capsys, monkeypatch):  # noqa: F811
    table = {"seed": recipe(tmp_path), "wild": recipe(tmp_path, lr=1e30), "other": recipe(tmp_path, lr=0.05)}
    table |= {"looks": replace(table["wild"], test_flip=True), "taught": recipe(tmp_path, teacher="wild")}
    for _ in range(2):
        numbers, results = compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1), (0,))
        assert [row["recipe"] for row in numbers] == list(results) == ["seed", "other"]
        said = capsys.readouterr().err
        assert "wild gets no row: the training loss is no longer a number: lower lr" in said
        assert "looks gets no row: the training loss is no longer a number" in said
        assert "taught gets no row: its teacher 'wild' ran away" in said
        assert not [path for path in locks._held if path.is_relative_to(tmp_path)]  # another process may go on
        monkeypatch.setattr(folds, "fit", None)  # what ran away is not tried again
    with pytest.raises(DivergedError, match="wild, with which the others are to be compared, ran away"):
        compare(table, audit, tmp_path / "cv", ROOT, 3, (0, 1), (0,), base="wild")


def test_a_comparison_in_which_all_ran_away_says_so(grow, tmp_path, capsys):
    root = grow({"rose": 8, "tulip": 8})
    command = ["--data", str(root), "--folds", "2", "--image-size", "32", "--epochs", "1", "--shares", "0.5"]
    command += ["-p", "work_dir", str(tmp_path), "-p", "backbone", "squeezenet1_1", "-p", "weights", "none"]
    command += ["-p", "lr", "1e30", "--rows", "seed + MixUp", "--photos", str(tmp_path / "photos.csv")]
    assert main(["compare", *command]) == 1
    assert "every training diverged" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compare", "search"])
def test_an_unknown_backbone_is_named(command, grow, tmp_path, capsys):
    options = ["--data", str(grow({"rose": 8, "tulip": 8})), "-p", "work_dir", str(tmp_path)]
    assert main([command, *options, "-p", "backbone", "resnet18x"]) == 1
    assert "backbone 'resnet18x' is unknown to torchvision: did you mean" in capsys.readouterr().err


def test_changes_of_use_are_asked_of_the_recipe_without_them():
    same = recipes.shares_training_with(recipes.recipes_to_compare(SEED))
    at_test = ("flip TTA", "larger test images")
    expected = {f"seed + {name}": "seed" for name in at_test}
    assert same == expected | {
        f"best - {name}": "best" for name in at_test if f"best - {name}" in recipes.recipes_to_compare(SEED)
    }


def test_the_command_names_wrong_rows_and_photos(capsys):
    assert main(["compare", "-p", "dataset", "demo", "--rows", "nonsense", "-p", "epochz", "3"]) == 1
    assert "parameter 'epochz' is unknown" in capsys.readouterr().err
    assert main(["compare", "-p", "dataset", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "1"], "--folds 1: must be at least 2"),
        (["--seeds", "0"], "--seeds 0: must be at least 1"),
        (["--epochs", "0"], "--epochs 0: must be at least 1"),
        (["--image-size", "0"], "--image-size 0: must be at least 16"),
        (["--folds", "3", "--only", "1", "3"], "--only 3: the folds are 0 to 2"),
        (["-p", "image_size", "128"], "image_size would change some rows and not others: use --image-size"),
    ],
)
def test_the_command_names_what_it_cannot_compare(capsys, options, message):
    assert main(["compare", "-p", "dataset", "demo", *options]) == 1
    assert message in capsys.readouterr().err


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"comparison\.json cannot be read .*python -m helpers compare writes it"):
        read(tmp_path / "comparison.json")
