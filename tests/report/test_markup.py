"""Marks in our sentences, and values in which they stay text."""

from helpers.report.markup import literal, paragraph, pieces, revealed


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
    assert paragraph("One.", "", {"Two.": 0.1, "No.": 0.0, "": True}, "Three.")["pieces"] == ["One. Two. Three."]
