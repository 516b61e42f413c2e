"""The second notebook's sentences follow the results, and what is missing is named. All results are made up."""

import json

import nbformat
import pytest

from helpers.common.notebook import show_markdown
from helpers.comparison import narrative, plots, verdicts
from helpers.comparison.results import (
    FOLD_RULE,
    Comparison,
    Results,
    conditions_of,
    mistakes_by_class,
    read_results,
    write_photos,
)
from helpers.evaluation.label_errors import Suspect, write_suspects
from tests.comparison.made_up import COMMIT, ROWS, SEARCH, row, rows_of, some_photos
from tests.conftest import ROOT


def test_where_numbers_come_from():
    text = narrative.provenance(Results(ROWS))
    line = f"| mobilenet_v2, 96 px, at most 6 epochs | abc | 1,000 | 5 × 1 | {FOLD_RULE} | 4 | 0123456 | abacus |"
    assert line in text
    assert "these: MobileNetV2, 1,000." in text
    moved = [row("fast", 0.9, 0.0), row("published", 0.9, 0.0, machine="abacus; slide rule")]
    assert "| abacus; slide rule |" in narrative.provenance(Results(moved))
    dirty = [row("published", 0.9, 0.0, backbone="resnet18", photos=2848, commit=f"{COMMIT}+changes, {'f' * 40}")]
    text = narrative.provenance(Results(dirty))
    assert "0123456+changes, fffffff" in text
    assert "published" not in text


def test_where_the_baseline_fails():
    photos = some_photos()
    doubt = [Suspect("3.jpg", "tulip", "rose", 0.0, 1.0), Suspect("70.jpg", "rose", "tulip", 0.0, 1.0)]
    rows = rows_of(photos, "published", "best", "best - MixUp")
    text = narrative.where_it_fails(Comparison(conditions_of(rows[0]), rows, photos), doubt)
    assert "misclassifies 20 of 100 photos (20.0%), most often" in text
    assert "All 3 recipes get the same 5 photos wrong; the labels of 1 of these are in doubt" in text
    for each in photos[:2]:  # published was right in one of three trainings
        each["published"] = 1 / 3
    rows = [each | {"seeds": 3} for each in rows_of(photos, "published", "best", "best - MixUp")]
    text = narrative.where_it_fails(Comparison(conditions_of(rows[0]), rows, photos), doubt)
    assert "misclassifies 19.3 of 100 photos (19.3%), in the mean of 3 trainings, most often" in text
    assert "the same 3 photos wrong in every training;" in text


@pytest.mark.parametrize(("last", "words"), [(0.95, "do not overlap"), (0.91, "overlap: undecided")])
def test_the_end_of_a_learning_curve(last, words):
    rows = [row("fast", last), row("fast", 0.9, train_photos=300), row("fast", 0.5, train_photos=80)]
    text = narrative.learning_curve(rows)
    assert text.startswith(f"- **fast**: {last:.1%} with 800 photos, {100 * (last - 0.9):+.1f} points over 300; the")
    assert words in text
    assert "several versions" not in text
    older = [rows[0], rows[1] | {"commit": "1234567" + 33 * "0"}, rows[2]]
    assert f"from several versions: {COMMIT[:7]}, 1234567." in narrative.learning_curve(older)


def test_a_search_is_told_with_what_it_is_worth():
    text = narrative.search_summary(SEARCH)
    assert (
        "2 of 3 trials finished (1 pruned, 0 diverged), around `best` with mobilenet_v2, 96 px, 6 epochs (folds:"
        in text
    )
    assert "The best, trial 0, is right on 90.00%" in text  # not the one that was pruned
    assert "Chosen from all 3 on these same photos, that is optimistic" in text
    assert "settings are `lr` and `dropout`; from so few trials" in text
    assert "The best" not in narrative.search_summary(SEARCH | {"trials": SEARCH["trials"][:1]})
    start = [each | {"start": True} if each["trial"] == 1 else each for each in SEARCH["trials"]]
    text = narrative.search_summary(SEARCH | {"trials": [*start, {**start[0], "trial": 3, "state": "diverged"}]})
    assert "2 of 4 trials finished (1 pruned, 1 diverged)" in text
    assert "held out, `best` on 80.00%. Chosen" in text


def test_suspects_are_a_table():
    found = [Suspect(f"{i}.jpg", "rose", "tulip", 0.01, 0.98) for i in range(20)]
    lines = narrative.suspect_table(found).splitlines()
    assert lines[0] == "20 labels are in doubt, most often (20) a photo in `rose/` that resembles a tulip."
    assert sum(line.startswith("| ") for line in lines) == 1 + 12
    assert "| 11.jpg | rose | tulip | 98.0% | 1.0% |" in lines


def test_the_conclusion_follows_the_intervals():
    photos = some_photos()
    rows = [each | {"image_size": 224, "cost": "full"} for each in rows_of(photos, "published", "best", "fast")]
    text = narrative.conclusion(Results([*ROWS, *rows], [photos]))
    assert "With mobilenet_v2, full, the published recipe is right on 80.0% of 100 photos held out." in text
    assert "`best`, +15.0 points, is **better**. `fast`, +0.0 points, is **undecided**." in text
    assert "Of 2 single changes (mobilenet_v2, 96 px, at most 6 epochs), by their bootstrap intervals 0 are" in text
    assert "0 are better, 1 worse" in text
    assert "single changes" not in narrative.conclusion(Results(rows, [photos]))


def test_what_is_missing_is_named_with_its_command():
    said = [narrative.provenance(Results()), narrative.where_it_fails(Comparison(), []), narrative.learning_curve([])]
    said += [narrative.search_summary({}), narrative.suspect_table([])]
    said += [narrative.conclusion(Results())]
    for text in said:
        assert text.startswith("*This part has not been run yet.*")
        assert ".venv/bin/python -m helpers " in text


def write_results(folder, photos):
    photos = [each | {"searched": each["best"]} for each in photos]
    names = ("published", "best", "fast", "best - MixUp", "searched")
    rows = rows_of(photos, *names)
    rows += [rows[2] | {"train_photos": 80}, *(each | {"backbone": "squeezenet1_1"} for each in rows[:3])]
    (folder / "comparison.json").write_text(json.dumps(rows))
    write_photos(folder / "photos-mobilenet_v2.csv", photos)
    (folder / "trials.json").write_text(json.dumps(SEARCH))
    write_suspects(folder / "suspects.csv", [Suspect("3.jpg", "tulip", "rose", 0.0, 1.0)])


@pytest.mark.parametrize("complete", [True, False])
def test_the_sections_about_results_run_with_all_of_them_and_with_none(tmp_path, monkeypatch, complete):
    """The notebook's own cells, without the live comparison before them."""
    if complete:
        write_results(tmp_path, some_photos())
    said = []
    monkeypatch.setattr("helpers.common.notebook.display", lambda shown: said.append(shown.data))
    cells = nbformat.read(ROOT / "notebooks" / "beyond_the_baseline.ipynb", as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    namespace = {"show_markdown": show_markdown, "plots": plots, "verdicts": verdicts, "read_results": read_results}
    namespace |= {"mistakes_by_class": mistakes_by_class, "show_figure": lambda figure, description: None}
    exec(next(source for source in sources if source.startswith("results:")), namespace)
    namespace |= {"results_folder": tmp_path, "photos_folder": None}
    for source in sources[next(i for i, source in enumerate(sources) if "read_results(" in source) :]:
        exec(source, namespace)
    missing = [text for text in said if "has not been run yet" in text]
    assert len(said) >= 8
    assert not missing if complete else len(missing) >= 7
