"""Text for people, by examples."""

import html
import re

import pytest
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from helpers.common import text


def test_an_unknown_name_comes_with_similar_ones_or_with_what_there_is():
    assert text.did_you_mean("roze", ["rose", "tulip"]) == ": did you mean 'rose'?"
    assert text.did_you_mean("tulis", ["tulip", "tulips"]) == ": did you mean 'tulips' or 'tulip'?"
    assert text.did_you_mean("x", ["rose", "tulip"]) == ": known are rose, tulip"
    assert text.did_you_mean("x", iter(["rose"]), "name a flower") == ": name a flower"


def test_a_missing_path_comes_with_a_similar_one_beside_it(tmp_path):
    (tmp_path / "flowers").mkdir()
    assert text.did_you_mean_path(tmp_path / "flovers") == f": did you mean {tmp_path / 'flowers'}?"
    assert text.did_you_mean_path(tmp_path / "x") == ""
    assert text.did_you_mean_path(tmp_path / "nowhere" / "x", "check the path") == ": check the path"


def test_columns_are_aligned():
    rows = [("name", "n"), ("a", "10"), ("long name", "5")]
    assert text.align(rows, right=(1,)).splitlines() == ["name        n", "a          10", "long name   5"]


def test_letters_of_two_columns_are_aligned_too():
    """The last is an e and an accent of its own."""
    rows = [("雏菊", "8"), ("daisy", "10"), ("ローズ", "7"), ("e\u0301", "6")]
    lines = ["雏菊     8", "daisy   10", "ローズ   7", "e\u0301        6"]
    assert text.align(rows, right=(1,)).splitlines() == lines


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0.07, "70 ms"), (8.1, "8.1 s"), (59.96, "1 min 0 s"), (813, "13 min 33 s")],
)
def test_durations(seconds, words):
    assert text.duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (0.01, "0.01"), (0.001, "0.001"), (6.156e-5, "6.16·10⁻⁵"), (1e-6, "10⁻⁶")]
)
def test_learning_rates(value, words):
    assert text.scientific(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.5, "50%"), (0.98, "98%"), (0.998, "99.8%"), (0.99991, "99.99%"), (1.0, "> 99.99%"), (0.0002, "0.02%")]
    + [(0.0, "< 0.01%"), (0.004, "0.4%"), (0.006, "1%")],
)
def test_probabilities_are_told_from_certainty(share, words):
    assert text.percent(share) == words


def test_names_and_numbers_in_a_sentence():
    assert text.listed(["a"]) == "a"
    assert text.listed(["a", "b", "c"]) == "a, b and c"
    assert (text.counted(1, "photo"), text.counted(1285, "photo")) == ("1 photo", "1,285 photos")
    assert (text.spelled(3), text.spelled(1285)) == ("three", "1,285")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("caf\udce9", "caf\\xe9"),
        ("a\x1b[31mred\x07", "a\\x1b[31mred\\x07"),
        ("two\nlines\r\t", "two\\nlines\\x0d\\x09"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("gpj.\u2067exe\u2028", "gpj.\\u2067exe\\u2028"),
        ("\ud800", "\\ud800"),
        ("雏菊 é 👩‍🌾", "雏菊 é 👩‍🌾"),
    ],
)
def test_a_name_is_one_line_of_text_that_a_terminal_does_not_obey(name, shown):
    assert text.printable(name) == shown
    assert text.printable(shown) == shown


PAYLOADS = (
    '<img src=x onerror="alert(1)">',
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://a.b/c.png)",
    "*a* **b** __c__ _d_ `e` ~~f~~",
    "$x^2$ \\(y\\) \\begin{align}z",
    "a | b",
    "&lt;b&gt;",
    "<http://a.b> www.a.b a@b.c",
    "x\n\n# h\n\n- i",
    "</span><b>",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_of_a_name_is_that_name_and_nothing_else(payload):
    """As nbconvert renders it; ``test_browser`` has JupyterLab's own renderer."""
    page = MarkdownWithMath(renderer=IPythonRenderer(escape=False)).render(f"**Title.** {text.as_markdown(payload)}")
    assert re.findall(r"<(?!/?(?:span|strong|p)>)[^>]*>", page) == []
    words = html.unescape(re.sub(r"</?(span|strong|p)>", "", page)).strip()
    assert words == f"Title. {text.printable(payload)}"
