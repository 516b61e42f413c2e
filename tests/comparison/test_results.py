"""Beyond the baseline: sentences follow the tables, and what is missing is named. All tables here are made up."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest

from helpers.common.errors import ParameterError, RunError
from helpers.common.notebook import show_markdown
from helpers.comparison import narrative, plots, results, verdicts
from helpers.comparison.folds import FOLD_RULE
from helpers.evaluation import label_errors
from helpers.evaluation.label_errors import Suspect
from helpers.plots import answers

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "beyond_the_baseline.ipynb"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def row(name, accuracy=0.9, gain=None, half=0.01, **more):
    """A row of comparison.json; ``gain`` is the difference to seed with an interval of ``half`` to each side."""
    numbers = {"recipe": name, "backbone": "mobilenet_v2", "folds": 5, "seeds": 1, "photos": 1000, "train_photos": 800}
    numbers |= {"fold_rule": FOLD_RULE}
    numbers |= {"accuracy_mean": accuracy, "accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02}
    ends = (None, None, None) if gain is None else (gain, gain - half, gain + half)
    numbers |= dict(zip(("difference_mean", "difference_low", "difference_high"), ends, strict=True))
    numbers |= {"seconds_per_run": 100.0, "image_size": 96, "epochs": 6, "cost": "96 px, 6 epochs", "settings": {}}
    return numbers | {"commit": COMMIT, "machine": "abacus"} | more


SEED = row("seed", 0.90, 0.0, half=0.0)
ROWS = [SEED, row("fast", 0.93, 0.03), row("seed + CutMix", 0.87, -0.03), row("seed + MixUp", 0.905, 0.005)]


def photos_of(**right):
    """Rows of photos.csv: every photo a scene of its own, classes in turn."""
    number = len(next(iter(right.values())))
    facts = [{"name": f"{i}.jpg", "class": ("rose", "tulip")[i % 2], "scene": str(i)} for i in range(number)]
    return [fact | {name: float(each[i]) for name, each in right.items()} for i, fact in enumerate(facts)]


def asked_rows(photos, *names):
    """The rows whose numbers these photos give."""
    gains = results.against(photos, "seed", names)
    means = {name: results.right(photos, name).mean() for name in names}
    ends = ("difference_mean", "difference_low", "difference_high")
    return [row(n, means[n], photos=len(photos)) | dict(zip(ends, gains[n], strict=True)) for n in names]


def some_photos():
    """100 photos: seed is wrong about 0 to 19, best about 0 to 4, fast about 10 to 29; best - MixUp about 0 to 29."""
    where = np.arange(100)
    wrong = {"seed": where < 20, "best": where < 5, "fast": (where >= 10) & (where < 30), "best - MixUp": where < 30}
    return photos_of(**{name: 1 - each for name, each in wrong.items()})


def test_an_interval_above_below_and_around_zero():
    assert [verdicts.verdict(each) for each in ROWS[1:]] == ["better", "worse", "undecided"]
    better, worse, undecided = verdicts.verdicts(ROWS).splitlines()
    assert "(1 of 3): fast +3.00 (+2.00 to +4.00)." in better
    assert "(1 of 3): seed + CutMix -3.00 (-4.00 to -2.00)." in worse
    assert "(1 of 3): seed + MixUp. Their intervals hold zero" in undecided
    assert "none." in verdicts.verdicts(ROWS[:2]).splitlines()[1]


def test_the_table_lists_what_did_not_help_too():
    lines = verdicts.table(ROWS).splitlines()
    assert [line.split(" |")[0] for line in lines[2:]] == ["| fast", "| seed + MixUp", "| seed", "| seed + CutMix"]
    assert lines[5].endswith("| -3.00 (-4.00 to -2.00) | worse | 100 |")
    costs = [row("seed", 0.9, 0.0, seconds_per_run=seconds) for seconds in (1491.3, 8.74)]
    assert [line.split()[-2] for line in verdicts.table(costs).splitlines()[2:]] == ["1,491", "8.7"]


def test_two_recipes_photo_by_photo():
    photos = some_photos()
    assert results.discordant(photos, "seed", "best") == (15, 0)
    assert results.discordant(photos, "seed", "fast") == (10, 10)
    text = verdicts.pair(photos, "seed", "best")
    assert "+15.00 points" in text
    assert "15 photos are right with best alone, 0 with seed alone; McNemar's p = 6.1e-05" in text
    assert text.endswith("Chance alone hardly does that.")
    assert verdicts.pair(photos, "seed", "fast").endswith("p = 1. That could be chance.")


def test_means_over_seeds_get_no_mcnemar():
    photos = photos_of(seed=[0.5, 1] * 20, fast=[1, 1] * 20)
    assert results.discordant(photos, "seed", "fast") is None
    assert "McNemar" not in verdicts.pair(photos, "seed", "fast")
    rows = asked_rows(photos, "seed", "fast")
    text = verdicts.limits(photos, rows)
    assert "Counted in photos" not in text
    assert "Holm" not in text


def test_what_best_needs_is_told_by_taking_it_away():
    photos = some_photos()
    rows = asked_rows(photos, "seed", "best", "best - MixUp")
    without = verdicts.ablation(photos, rows)
    assert [each["recipe"] for each in without] == ["best", "best - MixUp"]
    assert without[0]["difference_mean"] == 0
    assert without[1]["difference_mean"] == pytest.approx(-0.25)
    assert verdicts.needed(without) == "By their intervals it needs: MixUp."
    assert verdicts.needed([without[0], row("best - MixUp", 0.9, 0.001)]) == "Undecided is whether it needs: MixUp."
    assert verdicts.needed([row("best - MixUp", 0.9, 0.1)]) == "By their intervals it is better without: MixUp."
    assert verdicts.ablation(photos, rows[:2]) == []


def test_settings_of_best_are_explained():
    text = verdicts.best_settings(row("best", settings={"mixup": 0.2, "gone": 1}))
    assert "| `mixup` | 0.0 | 0.2 | blend pairs of photos" in text
    assert "| `gone` | – | 1 | a setting of another version |" in text


def test_every_change_is_explained_by_its_settings():
    rows = [SEED, row("fast", settings={"frozen_backbone": True}), row("seed + MixUp", settings={"mixup": 0.2})]
    text = verdicts.meanings([*rows, row("seed + Adam", settings={"optimizer": "adam", "lr": 1e-4})])
    assert text.count("\n") == 4
    assert "| MixUp | `mixup` | 0.0 | 0.2 | blend pairs of photos" in text
    assert "| Adam | `optimizer` | sgd | adam | " in text
    assert "|  | `lr` | 0.001 | 0.0001 | step size at the start |" in text


def test_the_time_of_a_recipe_stands_beside_its_own_epochs():
    text = narrative.cost([row("best", 0.97, epochs=8, image_size=224, cost="224 px, 25 epochs")])
    assert "**best** (mobilenet_v2, 224 px, 8 epochs): 97.00%" in text


def test_a_preset_that_has_changed_since_is_pointed_out(monkeypatch):
    monkeypatch.setitem(verdicts.PRESETS, "best", {"mixup": 0.2, "epochs": 30})
    assert "has changed" not in verdicts.best_settings(row("best", settings={"mixup": 0.2}))
    assert "changed since this was run: `mixup`, `cutmix`." in verdicts.best_settings(
        row("best", settings={"cutmix": 1.0})
    )


def test_the_smallest_difference_by_hand():
    photos = some_photos()
    text = verdicts.limits(photos, [SEED, *(row(n, 0.9, 0.1, half=0.02, photos=100) for n in ("best", "fast"))])
    assert "100 photos were held out" in text
    assert "2.00 points in the median of these 2 comparisons" in text
    assert "it has to gain 2.86 points" in text
    assert "about 1,600 photos would be needed" in text  # 100 · (2 / 0.5)²
    # best and seed disagree about 15 photos: 12 to 3 gives p = 0.035, 11 to 4 gives 0.12
    assert "best and seed disagree about 15 of 100 photos" in text
    assert "at least 9 more of them than the other, 9.00 points" in text
    assert "0.1 would leave out zero if no change did anything; 2 do" in text
    assert "leaves 1; no longer among them: fast." in text
    assert "compared with the same trainings of seed" in text
    assert "One seed" in text


def test_too_few_photos_to_decide_anything():
    photos = photos_of(seed=[0] * 3 + [1] * 97, fast=[1] * 100)
    text = verdicts.limits(photos, asked_rows(photos, "seed", "fast"))
    assert "So few cannot decide anything" in text


def test_rows_of_other_conditions_are_not_mixed():
    other = [row("seed", 0.8, 0.0, cost="224 px, 25 epochs"), row("fast", backbone="squeezenet1_1")]
    short = row("fast", 0.7, -0.2, train_photos=80)
    groups = results.groups([*other, *ROWS, short])
    assert [len(each) for each in groups.values()] == [4, 1, 1]
    assert short not in next(iter(groups.values()))
    assert results.compared([row("fast")]) == []
    assert results.curves([*ROWS, short]) == [ROWS[1], short]
    assert results.curves(ROWS) == []
    assert [each["recipe"] for each in results.presets([*other, *ROWS, short])] == ["seed", "fast", "seed", "fast"]


def test_photos_belong_to_the_rows_whose_numbers_they_give():
    photos = some_photos()
    mine = asked_rows(photos, "seed", "best")
    found = results.main_comparison(results.Committed(Path(), ROWS, [photos], [], {}))
    assert (found.rows, found.photos) == (ROWS, [])
    found = results.main_comparison(
        results.Committed(
            Path(), [*ROWS, *(each | {"cost": "x", "image_size": 300} for each in mine)], [[], photos], [], {}
        )
    )
    assert [each["accuracy_mean"] for each in found.rows] == pytest.approx([0.8, 0.95])
    assert found.photos == photos
    empty = results.Committed(Path(), [], [], [], {})
    assert results.main_comparison(empty) == results.widest(empty) == (None, [], [])


def test_the_main_comparison_is_the_costliest_with_best_and_the_widest_has_most_rows():
    few = [row("seed", 0.8, 0.0, cost="small", image_size=32), row("best", 0.9, 0.1, cost="small", image_size=32)]
    many = [*few, row("seed + MixUp", 0.8, 0.0, cost="small", image_size=32)]
    costly = [each | {"cost": "full", "image_size": 224} for each in few]
    without = [each | {"cost": "more", "image_size": 500} for each in (few[0], many[2])]
    found = results.Committed(Path(), [*many, *costly, *without], [], [], {})
    assert results.main_comparison(found).rows == costly
    assert results.widest(found).rows == many


def test_where_the_baseline_fails():
    photos = some_photos()
    doubt = [Suspect("3.jpg", "tulip", "rose", 0.0, 1.0), Suspect("70.jpg", "rose", "tulip", 0.0, 1.0)]
    text = narrative.where_it_fails(photos, ["seed", "best", "best - MixUp"], doubt)
    assert "wrong about 20 of 100 photos (20.0%)" in text
    assert "overlap: that may be chance" in text
    assert "5 photos are wrong with every one of the 3 recipes" in text
    assert "1 of them are among the photos whose label is in doubt" in text
    one_class = photos_of(seed=[0, 1] * 50)
    assert "lie apart" in narrative.where_it_fails(one_class, ["seed"], [])


@pytest.mark.parametrize(("last", "words"), [(0.95, "lie apart"), (0.91, "overlap: by them alone, nothing is decided")])
def test_the_end_of_a_learning_curve(last, words):
    rows = [row("fast", last), row("fast", 0.9, train_photos=300), row("fast", 0.5, train_photos=80)]
    text = narrative.curve(rows)
    assert text.startswith(f"- **fast**: 50.0% with 80 photos, {last:.1%} with 800. The last step, from 300, brought")
    assert words in text
    assert "versions of the code" not in text
    older = [rows[0], rows[1] | {"commit": "1234567" + 33 * "0"}, rows[2]]
    assert f"of different versions of the code: {COMMIT[:7]}, 1234567." in narrative.curve(older)


def test_the_better_buy():
    rows = [row("best", 0.95), row("fast", 0.94, seconds_per_run=5.0), row("seed", 0.8, seconds_per_run=1.0)]
    text = narrative.cost(rows)
    assert "Most accurate is **best** (mobilenet_v2, 96 px, 6 epochs): 95.00% for 100 s of training" in text
    assert "**fast** (mobilenet_v2, 96 px, 6 epochs): 94.00% for 5.0 s of training, 5% of that" in text
    assert "With one backbone alone" in text
    alone = narrative.cost([rows[0], rows[2] | {"backbone": "squeezenet1_1"}])
    assert "No cheaper one of these has an interval that reaches into its own." in alone
    assert "backbone alone" not in alone


SEARCH = {
    "preset": "best",
    "changed": {},
    "backbone": "mobilenet_v2",
    "cost": "96 px, 6 epochs",
    "commit": COMMIT,
    "machine": "abacus",
    "importances": {"lr": 0.8, "dropout": 0.2},
    "trials": [
        {"trial": 2, "state": "pruned", "accuracy": 0.99, "folds": 1, "settings": {"lr": 0.1, "dropout": 0.1}},
        {"trial": 0, "state": "complete", "accuracy": 0.9, "folds": 3, "settings": {"lr": 0.01, "dropout": 0.5}},
        {"trial": 1, "state": "complete", "accuracy": 0.8, "folds": 3, "settings": {"lr": 0.02, "dropout": 0.4}},
    ],
}


def test_a_search_is_told_with_what_it_is_worth():
    text = narrative.searched(SEARCH)
    assert "3 trials around `best`, mobilenet_v2 at 96 px, 6 epochs: 2 finished, 1 given up after their" in text
    assert "ran away" not in text
    assert "with which the search began" not in text
    assert "The best, trial 0, is right about 90.00%" in text  # not the one that was given up
    assert "chosen among 2 on these same photos" in text
    assert "goes with `lr`, `dropout`. From 2 trials of 2 settings that is a hint" in text
    assert "nothing to say" in narrative.searched(SEARCH | {"trials": SEARCH["trials"][:1]})
    start = [each | {"start": True} if each["trial"] == 1 else each for each in SEARCH["trials"]]
    text = narrative.searched(SEARCH | {"trials": [*start, {**start[0], "trial": 3, "state": "diverged"}]})
    assert "1 given up after their first folds, 1 of which a training ran away." in text
    assert "`best` itself, with which the search began, is right about 80.00% here" in text


def test_suspects_are_a_table():
    found = [Suspect(f"{i}.jpg", "rose", "tulip", 0.01, 0.98) for i in range(20)]
    lines = narrative.suspect_table(found).splitlines()
    assert lines[0].startswith("20 photos look more like another class")
    assert "most often (20) one in `rose/` looks like a tulip" in lines[0]
    assert len(lines) == 4 + 12
    assert lines[-1] == "| 11.jpg | rose | tulip | 98.0% | 1.0% |"


def test_the_conclusion_follows_the_intervals():
    conditions = results.conditions_of(SEED)

    def said(*rows):
        comparison = results.Comparison(conditions, [SEED, *rows], [])
        return narrative.conclusion(comparison, comparison)

    changes = [row("seed + MixUp", 0.9, 0.0), row("seed + CutMix", 0.9, -0.02), row("best - MixUp", 0.9, 0.02)]
    text = said(row("best", 0.93, 0.03), row("fast", 0.87, -0.03), *changes)
    assert "With mobilenet_v2, 96 px, at most 6 epochs, the published recipe is right about 90.0% of" in text
    assert "`best` is right about 93.0%: 3.0 points more, between 2.0 and 4.0. That is a difference." in text
    assert "`fast` is right about 87.0%: 3.0 points less, between 2.0 and 4.0. That is a difference, the wrong" in text
    assert (
        "Of 2 single changes (mobilenet_v2, 96 px, at most 6 epochs), 0 made it better by their intervals and 1 worse"
        in text
    )
    assert "1 worse; 1 cannot be told from it" in text
    assert "ResNet-18" in text.split("Not tried here")[1]
    undecided = said(row("best", 0.905, 0.005))
    assert "anything from -0.5 to +1.5 fits: nothing is decided" in undecided
    assert "single changes" not in undecided


def test_where_numbers_come_from():
    text = narrative.provenance(results.Committed(Path(), ROWS, [], [], {}))
    assert f"| mobilenet_v2, 96 px, at most 6 epochs | 1,000 | 5 × 1 | {FOLD_RULE} | 4 | 0123456 | abacus |" in text
    assert "none of these are, but mobilenet_v2's" in text
    dirty = [row("seed", 0.9, 0.0, backbone="resnet18", photos=2848, commit=f"{COMMIT}+changes, {'f' * 40}")]
    text = narrative.provenance(results.Committed(Path(), dirty, [], [], {}))
    assert "0123456+changes, fffffff" in text
    assert "published" not in text


def test_what_is_missing_is_named_with_its_command():
    empty = results.Committed(Path(), [], [], [], {})
    said = [narrative.provenance(empty), narrative.where_it_fails([], [], []), narrative.curve([])]
    said += [narrative.cost([]), narrative.searched({}), narrative.suspect_table([])]
    said += [narrative.conclusion(results.main_comparison(empty), results.widest(empty))]
    for text in said:
        assert text.startswith("*This part has not been run yet.*")
        assert ".venv/bin/python -m helpers " in text


def test_damaged_results_are_named(tmp_path):
    (tmp_path / "trials.json").write_text("[]")
    with pytest.raises(
        RunError, match=r"trials\.json is missing, damaged, or of another version .* --trials 0 writes it again"
    ):
        results.read(tmp_path)


def cells():
    return [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]


def parameters(**given):
    namespace = {}
    exec(next(source for source in cells() if source.startswith("results:")), namespace)
    return namespace | given


def test_the_parameters_are_checked():
    found = results.read_parameters(parameters(), ROOT)
    assert (found.recipe.image_size, found.recipe.val_resize) == (64, 73)
    assert (found.results, found.photos) == (ROOT / "report" / "results", None)
    wrong = {"folds": 1, "image_size": "64", "results": "nowhere", "photos": "nowhere", "preset": "fastt"}
    for name, value in wrong.items():
        with pytest.raises(ParameterError, match=name):
            results.read_parameters(parameters(**{name: value}), ROOT)
    with pytest.raises(ParameterError, match="parameter 'resultz' is unknown"):
        results.read_parameters(parameters(resultz="x", In=["# Parameters\nresultz = 'x'"]), ROOT)


def write_results(folder, photos):
    photos = [each | {"searched": each["best"]} for each in photos]
    names = ("seed", "best", "fast", "best - MixUp", "searched")
    rows = asked_rows(photos, *names)
    rows += [rows[2] | {"train_photos": 80}, *(each | {"backbone": "squeezenet1_1"} for each in rows[:3])]
    (folder / "comparison.json").write_text(json.dumps(rows))
    lines = [",".join(["name", "class", "scene", *names])]
    lines += [",".join(f"{value:g}" if isinstance(value, float) else value for value in p.values()) for p in photos]
    (folder / "photos-mobilenet_v2.csv").write_text("\n".join(lines) + "\n")
    (folder / "trials.json").write_text(json.dumps(SEARCH))
    label_errors.write_suspects(folder / "suspects.csv", [Suspect("3.jpg", "tulip", "rose", 0.0, 1.0)])


@pytest.mark.parametrize("complete", [True, False])
def test_the_sections_about_results_run_with_all_of_them_and_with_none(tmp_path, monkeypatch, complete):
    """The notebook's own cells, without the live comparison before them."""
    if complete:
        write_results(tmp_path, some_photos())
    said = []
    monkeypatch.setattr("helpers.common.notebook.display", lambda shown: said.append(shown.data))
    sources = cells()
    start = next(i for i, source in enumerate(sources) if "comparison_results.read(" in source)
    namespace = {"show_markdown": show_markdown, "plots": plots, "comparison_results": results}
    namespace |= {"verdicts": verdicts, "answer_plots": answers}
    namespace["parameters"] = results.read_parameters(parameters(results=str(tmp_path)), ROOT)
    for source in sources[start:]:
        exec(source, namespace)
    missing = [text for text in said if "has not been run yet" in text]
    assert len(said) >= 11
    assert not missing if complete else len(missing) >= 9
