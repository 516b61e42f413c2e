"""The discussion's sentences follow from the numbers: a good run, a bad one and a demo."""

from helpers.evaluation.discussion import discuss, last_epochs
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
    "epochs": 25,
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
    assert "most frequent one is rose predicted as daisy (7 photos of 285)" in text
    assert "Recall ranges from 97.5% (rose; 95.0% to 98.8%) to 98.2% (daisy; 95.9% to 99.3%)" in text
    # Half of 98.81 − 96.34. Of 556 of 570 Wilson's interval ends at 98.5 %, below 99 %.
    assert (
        "lie 0.18 points (1 of 570 photos), less than half the width of one epoch's 95 % interval (1.2 points)." in text
    )
    assert "95 % interval of 95.9% to 98.5%. The former lies above the interval: the network fits its" in text
    assert "says nothing about yellow dandelions" in text
    assert "white seed head" in text


def test_another_backbone_or_other_photos_are_pointed_out():
    assert "not directly comparable" not in discuss(GOOD)
    assert "this one MobileNetV2's on 1,607, so they are not directly comparable" in discuss(
        GOOD | {"backbone": "mobilenet_v2", "photos": 1607}
    )


def test_a_bad_run_is_not_praised():
    text = discuss(BAD)
    assert "lies below the published 96.49%" in text
    assert "more than half the width of one epoch's 95 % interval" in text
    assert "daisy predicted as rose (185 photos of 285)" in text
    assert "right on 50.0% of the photos: nothing shows that the network does better" in text


def test_a_poor_result_is_named():
    text = discuss(GOOD | {"best_val_accuracy": 0.7, "interval_low": 0.66, "interval_high": 0.74})
    assert "better than always predicting the largest class (50.0%), but a poor result: 30.0%" in text


def test_what_a_single_run_cannot_tell_is_not_judged():
    """Neither convergence, nor what would help: after one epoch on 48 photos, a threshold has said both."""
    for accuracies in ((0.3, 0.31), (0.998, 0.97), (0.9, 0.97)):
        changed = dict(zip(("last_train_accuracy", "last_val_accuracy"), accuracies, strict=True))
        text = discuss(GOOD | changed | {"last_five_spread": 3 / 570})
        assert not any(word in text for word in ("converged", "more photos", "promising", "is small", "underfits"))
    assert "these photos show no gap" in discuss(GOOD | {"last_train_accuracy": 0.98})
    assert "lies below the interval, as augmentation and dropout in training can make it" in discuss(
        GOOD | {"last_train_accuracy": 0.9}
    )


def test_other_classes_are_not_compared_with_flowers():
    text = discuss(GOOD | {"classes": ["cat", "dog"], "confusion": [[280, 5], [7, 278]]})
    assert "published" not in text
    assert "dandelion" not in text


def test_short_runs_have_no_five_last_epochs():
    assert "The mean over the last three epochs is" in discuss(GOOD | {"epochs": 3})
    assert "best and the worst of the last three epochs" in discuss(GOOD | {"epochs": 3})
    assert last_epochs({"epochs": 1}) == "the only epoch"  # on the console
    assert "last 1" not in discuss(GOOD | {"epochs": 1})


def test_a_demo_run_is_never_passed_off_as_flowers():
    text = discuss(DEMO)
    assert "nothing about real flowers" in text
    assert "published" not in text
    assert "every validation photo is classified correctly" in text


def test_overconfidence_is_named():
    text = discuss(GOOD)
    assert "mean probability of 99.0%, 1.1 points above the accuracy" in text
    assert "would score 0.8% to 1.9%, so it is miscalibrated (overconfident on average)" in text
    assert "fits best is 1.50" in text
    assert "changes the loss from 0.150 to 0.120 and the calibration error from 2.1% to 1.0%" in text
    worse = GOOD["calibration"] | {"loss": 0.202, "loss_after": 0.202, "ece_after": 0.03}
    text = discuss(GOOD | {"calibration": worse})
    assert "the loss from 0.202 to 0.202 and the calibration error from 2.1% to 3.0%" in text


def test_label_smoothing_is_named_as_the_cause_of_underconfidence_only():
    modest = GOOD | {"calibration": GOOD["calibration"] | {"mean_confidence": 0.86, "ece": 0.148}}
    cause = "(underconfident on average), as label smoothing makes it"
    assert cause in discuss(modest | {"label_smoothing": 0.1})
    assert cause not in discuss(modest | {"label_smoothing": 0.0})
    assert "smoothing" not in discuss(GOOD | {"label_smoothing": 0.1})


def test_an_error_within_chance_is_not_criticized_and_few_mistakes_fit_no_temperature():
    calibration = GOOD["calibration"] | {"ece": 0.015, "temperature_is_bounded": True, "temperature": 0.05}
    text = discuss(GOOD | {"calibration": calibration})
    assert "nothing shows that it is miscalibrated" in text
    assert "No temperature can be fitted" in text
    assert "0.05" not in text


def classes(*right, photos=100):
    """Results of so many classes, with so many right of each one's photos, as the run writes them."""
    names = [f"class {i}" for i in range(len(right))]
    return GOOD | {
        "classes": names,
        "confusion": [[0] * len(right) for _ in right],
        "class_scores": [
            {"name": n, "photos": photos, "recall": k / photos} for n, k in zip(names, right, strict=True)
        ],
        "class_intervals": [
            {"name": n, "recall": list(wilson_interval(k, photos))} for n, k in zip(names, right, strict=True)
        ],
    }


def test_a_class_is_harder_only_if_the_intervals_are_disjoint():
    assert "overlap: these photos do not show which class is harder" in discuss(GOOD)
    assert (
        "widened, because these are the extremes of 2 classes (Bonferroni), they still do not: the difference is signif"
        in discuss(classes(80, 99))
    )
    none = [{"name": "daisy", "recall": None}, {"name": "rose", "recall": [0.90, 0.96]}]
    assert "Too few classes" in discuss(GOOD | {"class_intervals": none})


def test_extremes_of_many_classes_have_to_lie_further_apart():
    # Of 100 photos, for 1 - 0.05 / k confidence: 80 reach up to 87.4 % with k = 2, 89.3 % with k = 20.
    # 97 reach down to 90.4 % and 86.7 %.
    two, twenty = discuss(classes(80, 97)), discuss(classes(80, 97, *[90] * 18))
    assert "the difference is significant" in two
    assert "extremes of 20 classes (Bonferroni), they do: it may be due to chance" in twenty


PLURALS = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]  # the folders of flower_photos as downloaded


def test_the_flowers_are_known_by_their_folders_in_the_plural_too():
    assert species(["Roses", "tulip", "dandelion"]) == {"rose", "tulip", "dandelion"}
    assert are_the_flowers(PLURALS)
    assert are_the_flowers(GOOD["classes"])
    assert not are_the_flowers([*PLURALS, "rose"])
    assert not are_the_flowers(PLURALS[:4])
    text = discuss(GOOD | {"classes": PLURALS})
    assert "the published 96.49%" in text.lower()
    assert "white seed head" in text
