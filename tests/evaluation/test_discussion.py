"""The discussion's sentences follow the numbers: three runs, one of them bad."""

from helpers.evaluation.discussion import discuss
from helpers.evaluation.published import are_the_flowers, species
from helpers.evaluation.statistics import wilson_interval

GOOD = {
    "demo": False,
    "backbone": "resnet18",
    "photos": 2848,
    "classes": ["daisy", "rose", "dandelion", "sunflower", "tulip"],
    "confusion": [[280, 5, 0, 0, 0], [7, 278, 0, 0, 0], *[[0] * 5] * 3],
    "class_scores": [
        {"name": "daisy", "photos": 285, "recall": 280 / 285},
        {"name": "rose", "photos": 285, "recall": 278 / 285},
    ],
    "best_epoch": 17,
    "best_val_correct": 558,
    "best_val_accuracy": 558 / 570,
    "val_photos": 570,
    "interval_low": 0.9634,
    "interval_high": 0.9881,
    "last_five_mean": 0.9754,
    "best_flatters_by": 558 / 570 - 0.9754,
    "last_five_spread": 1 / 570,
    "last_train_accuracy": 0.99,
    "last_val_accuracy": 0.9754,
    "generalization_gap": 0.0146,
}
BAD = GOOD | {
    "confusion": [[100, 185, 0, 0, 0], [150, 135, 0, 0, 0], *[[0] * 5] * 3],
    "best_val_correct": 235,
    "best_val_accuracy": 235 / 570,
    "interval_low": 0.373,
    "interval_high": 0.453,
    "last_five_spread": 0.2,
    "generalization_gap": 0.4,
    "class_scores": [
        {"name": "daisy", "photos": 285, "recall": 100 / 285},
        {"name": "rose", "photos": 285, "recall": 135 / 285},
    ],
}
DEMO = GOOD | {
    "demo": True,
    "classes": ["daisy", "rose"],
    "confusion": [[285, 0], [0, 285]],
    "generalization_gap": -0.05,
}


def test_a_good_run():
    text = discuss(GOOD)
    assert "558 of 570 validation photos correctly: 97.89%" in text
    assert "lies inside this interval" in text
    assert "Most often a rose is called a daisy (7 photos)" in text
    assert "found least reliably is rose: 97.5% of its 285" in text
    assert "training has come to rest" in text
    assert "is small for a network" in text
    assert "white seed head" in text


def test_another_backbone_or_other_photos_are_pointed_out():
    assert "other conditions" not in discuss(GOOD)
    assert "this is MobileNetV2's on 1,607: other conditions" in discuss(
        GOOD | {"backbone": "mobilenet_v2", "photos": 1607}
    )


def test_a_bad_run_is_not_praised():
    text = discuss(BAD)
    assert "lies below the published 96.49%" in text
    assert "has not come to rest" in text
    assert "by heart" in text
    assert "daisy is called a rose (185 photos)" in text
    assert "right on 50.0%: this cannot be told from it, the network has learned nothing" in text


def test_a_poor_run_is_called_poor():
    text = discuss(GOOD | {"best_val_accuracy": 0.7, "interval_low": 0.66, "interval_high": 0.74})
    assert "more than the 50.0% of always naming the largest class, but 30.0%" in text
    assert "a poor result" in text
    lost = {"last_train_accuracy": 0.3, "last_val_accuracy": 0.31, "generalization_gap": -0.01}
    assert "fails on its own training photos" in discuss(GOOD | lost)


def test_other_classes_are_not_compared_with_flowers():
    text = discuss(GOOD | {"classes": ["cat", "dog"], "confusion": [[280, 5], [7, 278]]})
    assert "published" not in text
    assert "dandelion" not in text


def test_short_runs_are_not_said_to_have_five_epochs():
    assert "The last 3 epochs average" in discuss(GOOD | {"epochs": 3})
    assert "best and the worst of the last 3 epochs" in discuss(GOOD | {"epochs": 3})
    assert "one epoch only: nothing was chosen" in discuss(GOOD | {"epochs": 1})


def test_a_demo_run_is_never_passed_off_as_flowers():
    text = discuss(DEMO)
    assert "nothing about real flowers" in text
    assert "published" not in text
    assert "every validation photo is classified correctly" in text
    assert "Nothing points to overfitting" in text


ANALYSED = GOOD | {
    "class_intervals": [{"name": "daisy", "recall": [0.959, 0.993]}, {"name": "rose", "recall": [0.95, 0.988]}],
    "calibration": {
        "ece": 0.021,
        "ece_by_chance_low": 0.008,
        "ece_by_chance_high": 0.019,
        "mean_confidence": 0.99,
        "loss": 0.15,
        "temperature": 1.5,
        "temperature_is_bounded": False,
        "ece_after": 0.01,
        "loss_after": 0.12,
    },
}


def test_results_of_earlier_versions_are_discussed_without_the_analysis():
    assert "believed" not in discuss(GOOD)
    assert "Which class is hard" not in discuss(GOOD)


def test_too_sure_a_network_is_said_to_be():
    text = discuss(ANALYSED)
    assert "99.0% sure of its answers, 1.1 points more than it is right" in text
    assert "would show 0.8% to 1.9% on so few photos, so they are too high on the whole" in text
    assert "is 1.50 (softer than the network)" in text
    assert "temperatures lower the loss (0.150 before, 0.120 after)" in text


def test_an_error_that_chance_explains_is_none_and_too_few_mistakes_fit_no_temperature():
    calibration = ANALYSED["calibration"] | {"ece": 0.015, "temperature_is_bounded": True, "temperature": 0.05}
    text = discuss(ANALYSED | {"calibration": calibration})
    assert "no reason to distrust them" in text
    assert "too few mistakes" in text
    assert "0.05" not in text


def test_no_temperature_mends_what_says_nothing():
    calibration = ANALYSED["calibration"] | {"temperature_is_bounded": True, "temperature": 20.0}
    text = discuss(ANALYSED | {"calibration": calibration})
    assert "No temperature mends them" in text
    assert "too few mistakes" not in text


def classes(*right, photos=100):
    """Results of so many classes, with so many right of each one's photos, as the run writes them."""
    names = [f"class {i}" for i in range(len(right))]
    return ANALYSED | {
        "classes": names,
        "confusion": [[0] * len(right) for _ in right],
        "class_scores": [
            {"name": n, "photos": photos, "recall": k / photos} for n, k in zip(names, right, strict=True)
        ],
        "class_intervals": [
            {"name": n, "recall": list(wilson_interval(k, photos))} for n, k in zip(names, right, strict=True)
        ],
    }


def test_a_class_is_called_harder_only_if_the_intervals_do_not_meet():
    assert "do not settle which class is the harder one" in discuss(ANALYSED)
    assert "do not meet, not even widened for being the extremes of 2 classes (Bonferroni): the difference" in discuss(
        classes(80, 99)
    )
    assert "more than chance" in discuss(classes(80, 99))
    assert "None by these photos: 90.0% of every class are found" in discuss(classes(90, 90, 90))
    none = [{"name": "daisy", "recall": None}, {"name": "rose", "recall": [0.90, 0.96]}]
    assert "Too few classes" in discuss(ANALYSED | {"class_intervals": none})


def test_extremes_of_many_classes_have_to_lie_further_apart():
    # Of 100 photos, for 1 - 0.05 / k confidence: 80 reach up to 87.4 % with k = 2, 89.3 % with k = 20.
    # 97 reach down to 90.4 % and 86.7 %.
    two, twenty = discuss(classes(80, 97)), discuss(classes(80, 97, *[90] * 18))
    assert "more than chance" in two
    assert "more than chance" not in twenty
    assert "do not meet, but they do when widened for being the extremes of 20 classes (Bonferroni)" in twenty


PLURALS = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]  # the folders of flower_photos as downloaded


def test_the_flowers_are_known_by_their_folders_in_the_plural_too():
    assert species(["Roses", "tulip", "dandelion"]) == {"rose", "tulip", "dandelion"}
    assert are_the_flowers(PLURALS)
    assert are_the_flowers(GOOD["classes"])
    assert not are_the_flowers([*PLURALS, "rose"])
    assert not are_the_flowers(PLURALS[:4])
    text = discuss(GOOD | {"classes": PLURALS})
    assert "the published 96.49%" in text.lower()
    assert "Most often a dandelion is called a daisy" in text
    roses = [[0, 3, 0, 0, 0], [0] * 5, [0, 0, 0, 0, 7], *[[0] * 5] * 2]
    assert "Most often a rose is called a tulip" in discuss(GOOD | {"classes": PLURALS, "confusion": roses})
    assert "white seed head" in text
