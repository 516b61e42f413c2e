"""What is claimed follows the intervals, and no further."""

import pytest

from helpers.comparison import verdicts
from helpers.comparison.results import Comparison, conditions_of
from tests.comparison.made_up import PUBLISHED, ROWS, photos_of, row, rows_of, some_photos


def compared(photos, *names):
    rows = rows_of(photos, *names)
    return Comparison(conditions_of(rows[0]), rows, photos)


def test_an_interval_above_below_and_around_zero():
    assert [verdicts.verdict(each) for each in ROWS[1:]] == ["better", "worse", "undecided"]
    text = verdicts.summary(ROWS)
    assert text.startswith("Against `published`, by 95 % bootstrap intervals: ")
    assert text.endswith(": **better** fast; **worse** CutMix; **undecided** 1 more.")
    assert "**worse** none" in verdicts.summary(ROWS[:2])


def test_the_table_lists_what_did_not_help_and_the_settings_as_stored():
    rows = [*ROWS[:2], ROWS[2] | {"settings": {"cutmix": 1.0, "l2_sp": 0.01}}, ROWS[3]]
    lines = verdicts.table(rows).splitlines()
    assert [line.split(" |")[0] for line in lines[2:]] == ["| fast", "| MixUp", "| published", "| CutMix"]
    assert "| `cutmix` 1.0, `l2_sp` 0.01 |" in lines[5]  # also what is no longer a setting
    assert lines[5].endswith("| -3.00 (-4.00 to -2.00) | worse | 100 |")
    second = [row("published", 0.8, 0.0, backbone="b"), row("fast", 0.7, -0.1, backbone="b", seconds_per_run=9)]
    lines = verdicts.table([row("fast", 0.93, 0.03, seconds_per_run=8.74), *ROWS[2:]], second=second).splitlines()
    assert lines[2].endswith("| +3.00 (+2.00 to +4.00) | better | -10.00 (-11.00 to -9.00) | worse | 8.74 |")
    assert len({line.count("|") for line in lines}) == 1


def test_agreement_and_contradiction_are_told_apart():
    first = [
        *ROWS,
        row("published + Adam", 0.9, -0.005),
        row("published + cosine", 0.92, 0.02),
        row("best - MixUp", 0.9, 0.02),
    ]
    second = [
        PUBLISHED,
        row("fast", 0.92, 0.02),
        row("published + CutMix", 0.93, 0.03),
        row("published + cosine", 0.9, -0.005),
    ]
    text = verdicts.agreement(Comparison(None, first), Comparison(None, second))
    assert "**Better with both backbones**: fast." in text
    assert "**Worse with both**: none." in text
    assert "**Better with one, worse with the other**: CutMix." in text
    assert "cosine" not in text


def test_a_pair_is_better_only_if_both_intervals_say_so():
    photos = some_photos()
    assert verdicts.discordant(photos, "published", "best") == (15, 0)
    assert verdicts.discordant(photos, "published", "fast") == (10, 10)
    text = verdicts.claim(photos, "published", "best")
    assert text.startswith("**best** against **published**: better, +15.00 points; 95 % interval")
    assert text.endswith("best alone is right on 15 photos, published alone on 0 (McNemar: p = 6.1e-05).")
    assert verdicts.decide(photos, "best", "published")[0] == "worse"
    assert verdicts.decide(photos, "published", "fast")[0] == "undecided"
    for each in photos:  # all of the gain comes from one of the five folds
        each["best"] = each["published"] if each["fold"] else 1.0
    assert verdicts.verdict(rows_of(photos, "best")[0]) == "better"
    decided, gain, folds = verdicts.decide(photos, "published", "best")
    assert decided == "undecided"
    assert gain.low > 0 > folds.low


def test_means_over_seeds_get_no_mcnemar():
    photos = photos_of(published=[0.5, 1] * 20, fast=[1, 1] * 20)
    assert verdicts.discordant(photos, "published", "fast") is None
    assert "McNemar" not in verdicts.claim(photos, "published", "fast")
    assert "Holm" not in verdicts.limits(compared(photos, "published", "fast"))


def test_ablations_are_compared_with_best():
    comparison = compared(some_photos(), "published", "best", "best - MixUp")
    found = verdicts.ablations(comparison)
    assert [each["recipe"] for each in found] == ["best", "best - MixUp"]
    assert found[0]["difference_mean"] == 0
    assert found[1]["difference_mean"] == pytest.approx(-0.25)
    assert "**worse** without MixUp" in verdicts.summary(found, "best")
    assert verdicts.ablations(compared(some_photos(), "published", "best")) == []


def test_limits_by_hand():
    photos = some_photos()
    gains = [row(n, 0.95 if n == "best" else 0.8, 0.1, half=0.02, photos=100) for n in ("best", "fast")]
    comparison = Comparison(conditions_of(PUBLISHED), [row("published", 0.8, 0.0, photos=100), *gains], photos)
    text = verdicts.limits(comparison)
    assert "With 100 photos, half an interval is 2.00 points wide in the median (2.00 to 2.00)" in text
    assert "one that gains 2.86 points" in text
    assert "To see half a point four times in five, about 3,300 photos are needed" in text  # 100 · (1.43 · 2 / 0.5)²
    assert "0.1 of 2 intervals would exclude zero by chance; 2 do" in text
    assert "among all 2 McNemar tests at 5 %, 1 stays significant: best." in text
    assert "**One seed.**" in text
    assert "Taking best apart" not in text
    assert verdicts.limits(Comparison()) == ""


def test_the_ablations_of_best_are_corrected_for_their_number():
    correct = {"published": [0] * 40 + [1] * 60, "best": [1] * 100, "best - MixUp": [0] * 20 + [1] * 80}
    correct |= {"best - cosine": [0] * 6 + [1] * 94, "best - Adam": [1] * 94 + [0] * 6}
    photos = photos_of(**correct)
    names = [name for name in photos[0] if name not in ("name", "class", "scene", "fold")]
    part = verdicts.limits(compared(photos, *names)).split("**Taking best apart.**")[1]
    # Two lose six photos and gain none: p = 2 · 0.5⁶ = .031 each, below 5 % but for the correction.
    assert "0.2 of 3 intervals would exclude zero by chance; 3 do." in part
    assert "among all 3 McNemar tests at 5 %, 1 stays significant: without MixUp." in part


def test_a_change_undone_is_named_without_a_double_negative():
    names = ("best - no rotation", "best - less hue jitter", "best - cosine", "published + no rotation")
    assert list(map(verdicts.short_name, names)) == [
        "with rotation",
        "full hue jitter",
        "without cosine",
        "no rotation",
    ]
