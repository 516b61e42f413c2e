"""Marks in our sentences, and values in which they stay text."""

from helpers.common.text import duration, listed, scientific
from helpers.report.markup import literal, paragraph, pieces, revealed, told


def test_marks_are_ours_and_values_are_text():
    value = literal("[he2016] $x$ `y` {z} <fig-a>")
    found = revealed(pieces(f"See [he2016] and <fig-curves>: {value} has $theta$ `code`."))
    assert found == [
        "See ",
        {"cite": "he2016"},
        " and ",
        {"ref": "fig-curves"},
        ": [he2016] $x$ `y` {z} <fig-a> has ",
        {"math": "theta"},
        " ",
        {"code": "code"},
        ".",
    ]


def test_strings_are_made_literal_wherever_they_stand():
    value = {"names": ["$a$", ("<b-c>", 3)], "none": None}
    assert pieces("".join(literal(value)["names"][0])) == [literal("$a$")]
    assert revealed(literal(value)) == {"names": ["$a$", ["<b-c>", 3]], "none": None}


def test_a_sentence_is_told_if_its_condition_holds():
    assert told("a", "", {"b": 0.1, "c": 0.0, "": True}) == ["a", "b"]
    assert paragraph("One.", {"Two.": False}, "Three.")["pieces"] == ["One. Three."]


def test_numbers_are_written_as_people_write_them():
    assert [scientific(x) for x in (0.01, 0.001, 1e-6, 6.156e-5, 0.0)] == ["0.01", "0.001", "10⁻⁶", "6.16·10⁻⁵", "0"]
    seconds = [duration(s) for s in (0.07, 8.13, 59.97, 60, 1285.6)]
    assert seconds == ["70 ms", "8.1 s", "1 min 0 s", "1 min 0 s", "21 min 26 s"]
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
