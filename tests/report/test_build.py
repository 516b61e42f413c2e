"""Typesetting: all is printed, in the same bytes each time, whatever the names; errors name the cause."""

import re
from pathlib import Path

import pytest
from matplotlib import font_manager

from helpers.commands import main
from helpers.common.errors import RunError
from helpers.evaluation.published import FAMILIES
from helpers.plots.style import fallback_fonts
from helpers.recipe import Recipe
from helpers.report import build
from tests.report.made_up import AUTHOR, BLANKS, edit_results, finished_run, printed, real, text_of, typeset

ROOT = Path(__file__).parents[2]
NASTY = ("#cat_$x$ @a [he2016] <fig-curves> `q` {n}", 'dog\\ $1 *b* // "q" &lt; ‰', "a" * 200)


def test_all_that_is_said_is_printed(good, good_content):
    text = printed(good)
    without_references = re.sub(r"\[\d+\]|Fig\.\s\d+|Table\s[IVX]+|Listing\s\d", "", text)
    paper = re.sub(r"\s", "", without_references)
    # The source stands in the page's foot, which HTML has none of.
    lines = text_of({key: value for key, value in good_content.items() if key != "source"}).replace("'", "’")
    assert len(lines.split("\n")) > 150
    for line in lines.split("\n"):
        assert re.sub(r"\s|\[\d+\]", "", line) in paper  # torchvision's [256] reads like a reference
    assert "K. He, X. Zhang, S. Ren, and J. Sun, “Deep residual learning for image recognition,”" in text


def test_screen_readers_can_read_it(good_content):
    with build.typesetter(good_content | AUTHOR, BLANKS) as compiler:
        assert compiler.compile(format="pdf", pdf_standards=["ua-1"])  # typst refuses what the standard forbids


def test_the_command_writes_the_same_bytes_each_time_and_says_how_many_pages(good, tmp_path, capsys):
    first, second = tmp_path / "new" / "a.pdf", tmp_path / "b.pdf"
    assert main(["report", str(good), "--output", str(first), "--author", "#me_$"]) == 0
    assert re.search(r"a\.pdf: [23] pages of text, [34] with references\n$", capsys.readouterr().out)
    build.build(good, second, author="#me_$")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"%PDF-")
    assert 20_000 < first.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "classes",
    [[f"{NASTY[i % 3]} {i}" for i in range(17)], [f"species {i}" for i in range(150)]],
    ids=["17 with long names", "150"],
)
def test_many_classes_fit(tmp_path, classes):
    folder = finished_run(tmp_path / "a", real(augmentation=False), classes, right=2, each=3, train=4)
    assert build.build(folder, tmp_path / "a.pdf").main_pages <= build.LIMIT


def test_no_name_is_taken_for_markup(tmp_path):
    text = printed(finished_run(tmp_path / "a", real(), NASTY[:2], right=2, each=3, train=4))
    assert NASTY[0] in text
    assert NASTY[1] in text


def test_without_an_author_there_is_no_empty_line_and_the_command_says_so(
    good, good_content, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(build, "draw_figures", lambda facts: BLANKS)
    assert main(["report", str(good), "--output", str(tmp_path / "a.pdf")]) == 0
    assert "names no author: add --author" in capsys.readouterr().out


def test_number_and_school_of_the_author_are_printed(good_content):
    def pdf(**changes):
        with build.typesetter(good_content | AUTHOR | changes, BLANKS) as compiler:
            return compiler.compile(format="pdf")

    assert len({pdf(), pdf(student_id=""), pdf(school="")}) == 3


def test_the_command_hands_number_and_school_on(good, tmp_path, monkeypatch):
    handed = {}
    monkeypatch.setattr(build, "build", lambda *args, **options: handed.update(options) or build.Report(args[1], 1, 1))
    assert main(["report", str(good), "--output", str(tmp_path / "a.pdf"), "--student-id", "7", "--school", "X"]) == 0
    assert (handed["student_id"], handed["school"]) == ("7", "X")


def test_what_typst_refuses_and_a_file_that_cannot_be_written_are_user_errors(good, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "draw_figures", lambda facts: BLANKS)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        build.build(good, tmp_path / "file" / "report.pdf")
    monkeypatch.setattr(build, "draw_figures", lambda facts: {})
    with pytest.raises(RunError, match="typst could not typeset the report"):
        build.build(good, tmp_path / "report.pdf")


def test_an_unfinished_run_is_named(copied, tmp_path, capsys):
    (copied / "results.json").unlink()
    assert main(["report", str(copied), "--output", str(tmp_path / "a.pdf")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("RunError")
    assert str(copied) in error
    assert not (tmp_path / "a.pdf").exists()


def test_the_text_is_as_large_as_leaves_no_few_references_alone(monkeypatch, tmp_path):
    run, comparison = ROOT / "report" / "results" / "published-mobilenet_v2", ROOT / "report/results/comparison.json"
    pictures, typesetter, tried = build.draw_figures(build.compose(run)[0]), build.typesetter, []

    def spy(content, figures):
        tried.append(content["size"])
        return typesetter(content, figures)

    monkeypatch.setattr(build, "draw_figures", lambda facts: pictures)
    monkeypatch.setattr(build, "typesetter", spy)
    assert build.build(run, tmp_path / "a.pdf", comparison).pages == 3
    assert 1 < len(tried) <= len(build.SIZES)
    assert tried == list(build.SIZES[: len(tried)])
    monkeypatch.setattr(build, "SIZES", (11,))
    assert build.build(run, tmp_path / "b.pdf", comparison).pages == 4  # where no size fits, the first


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "ten"),
        ("interval_low", None),
        ("confusion", [[1]]),
        ("confusion", [["many"] * 5] * 5),
        ("class_scores", [{}] * 5),
        ("classes", 5),
        ("epoch_seconds", None),
        ("class_intervals", [{"name": "daisy"}] * 5),
        ("calibration", {"ece": 0.1}),
        ("val_photos", 0),
        ("backbone", 3),
    ],
)
def test_damaged_results_are_named_even_if_forced(copied, tmp_path, name, value):
    edit_results(copied, **{name: value})
    with pytest.raises(
        RunError, match=rf"a file in {copied} is damaged|split.csv has|results.json is damaged: {name} = .*; run again"
    ):
        build.build(copied, tmp_path / "a.pdf", force=True)


def test_a_demo_is_labeled_on_every_page(tmp_path):
    content = build.compose(finished_run(tmp_path / "demo", Recipe.from_preset("demo")))[1]
    pages = typeset(content, "<last>")[0]
    assert pages >= 3
    assert typeset(content, "<notice>") == [build.DEMO] * pages


def test_every_reference_is_complete_and_every_citation_has_one():
    text = (ROOT / "report" / "references.bib").read_text(encoding="utf-8")
    entries = dict(re.findall(r"@\w+\{(\w+),\n(.*?)\n\}", text, re.S))
    assert len(entries) == text.count("@")
    files = [*(ROOT / "helpers" / "report").glob("*.py"), ROOT / "report" / "results" / "dataset.json"]
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    cited = set(re.findall(r"\[([a-z]+\d{4})\]", sources)) | {paper for *_, paper in FAMILIES} | {"torchvision2016"}
    needed = "lecun1998 krizhevsky2012 krizhevsky2017 simonyan2014 he2016 srivastava2014 sutskever2013"
    assert set(needed.split()) <= cited
    assert cited == set(entries)
    for key, fields in entries.items():
        assert all(re.search(rf"^  {name}\s*=", fields, re.M) for name in ("author", "title", "year")), key
        assert re.search(r"^  (journal|booktitle|url|note)\s*=", fields, re.M), key


def test_an_authors_name_that_no_font_has_is_told(good, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    fallback_fonts.cache_clear()
    build.build(good, tmp_path / "r.pdf", author="\u5f35\u5049")
    fallback_fonts.cache_clear()
    assert "no installed font has '\u5049\u5f35'" in capsys.readouterr().err
    build.build(good, tmp_path / "r.pdf", author="Zhang Wei")
    assert capsys.readouterr().err == ""
