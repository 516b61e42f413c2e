"""The report says what its run says: three made-up runs, one of them bad, the committed ones, and bad input."""

import html
import json
import re
from collections import Counter
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest
import torch
from torchvision import models

from helpers.commands import report
from helpers.common.errors import ParameterError, RunError
from helpers.common.text import duration, listed, small
from helpers.evaluation.predictions import Predictions
from helpers.evaluation.published import FAMILIES, PAPER
from helpers.recipe import Recipe
from helpers.report import build
from helpers.report.comparison import clearest, most_telling
from helpers.report.integrity import CHANGED
from helpers.report.markup import written
from helpers.runs.finished import read_run
from helpers.runs.history import Epoch, History
from helpers.runs.results import analysis_numbers, summarize
from tests.tiny import a_run

ROOT = Path(__file__).parents[2]
FLOWERS = ("daisy", "dandelion", "rose", "sunflower", "tulip")
COMMITTED = sorted(path.parent for path in (ROOT / "report" / "results").glob("*/results.json"))


def finished_run(folder, recipe, classes=FLOWERS, right=18, each=20, train=80, accuracies=None):
    """A run that classified ``right`` of ``each`` validation photos per class; wrong ones are called the next class."""
    run = a_run(folder, recipe)
    labels = torch.arange(len(classes)).repeat_interleave(each)
    wrong = torch.arange(len(labels)) % each >= right
    called = torch.where(wrong, (labels + 1) % len(classes), labels)
    predictions = Predictions(torch.nn.functional.one_hot(called, len(classes)) * 4.0, labels)
    last = predictions.accuracy
    accuracies = accuracies or [last * share for share in (0.5, 0.8, 0.97, 1.0, 0.99, 0.98)]
    rates = [0.01 * 0.5**i for i in range(len(accuracies))]
    rows = [Epoch(i, rates[i], 1.5 / (i + 1), a + 0.01, 1.6 / (i + 1), a) for i, a in enumerate(accuracies)]
    history, run.epoch_seconds = History(rows), [61.0] * len(rows)
    names = [f"{classes[label]}/{i:03}.jpg" for i, label in enumerate(labels.tolist())]
    split = [("train", name) for name in classes for _ in range(train)] + [("val", classes[i]) for i in labels.tolist()]
    lines = [f'x{i}.jpg,"{name}",{side}' for i, (side, name) in enumerate(split)]
    (run.folder / "split.csv").write_text("\n".join(["name,class,subset", *lines]), encoding="utf-8")
    audit = SimpleNamespace(photos=_Counted(classes, len(split)), unreadable=(), duplicates=((1, 2),))
    audit.cross_class_duplicates = ()
    (run.folder / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    environment = {"python": "3.11.7", "packages": {"torch": "2.14.1", "torchvision": "0.29.2"}, "device": "cpu"}
    environment |= {"device_name": "A Processor, 2 threads", "precision": "float32", "seed": 7, "deterministic": True}
    environment |= {"git_commit": "0123456789abcdef", "data_fingerprint": "fedcba9876543210"}
    (run.folder / "environment.json").write_text(json.dumps(environment))
    run.save_history(history)
    run.save_predictions(predictions, names, tuple(classes))
    run.save_results(summarize(run, audit, history, predictions))
    return run.folder


class _Counted(SimpleNamespace):
    """As much of a PhotoSet as ``summarize`` asks for."""

    def __init__(self, classes, number):
        super().__init__(classes=tuple(classes), number=number)

    def __len__(self):
        return self.number


def real(**changes):
    return Recipe(dataset="photos/flower_photos", weights="imagenet", **changes)


@pytest.fixture
def good(tmp_path):
    return finished_run(tmp_path / "good", real())


MARKS = {"cite", "ref", "math", "code"}


def text_of(content):
    """Every word of the story, marks apart, a line for each block and cell."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and "code" in content:
        return content["code"]
    if isinstance(content, dict) and not MARKS & content.keys():
        shown = {key: value for key, value in content.items() if key not in ("kind", "label", "files", "alt", "name")}
        return "\n".join(map(text_of, shown.values()))
    if isinstance(content, list | tuple):
        sentence = any(isinstance(each, dict) and MARKS & each.keys() for each in content)
        return ("" if sentence else "\n").join(map(text_of, content))
    return ""


def said_by(folder, **options):
    return text_of(build.compose(folder, **options)[1])


AUTHOR = {"author": "A. U. Thor", "email": "a@b.c", "course": "ECE371"}
# For tests of words: drawing takes seconds.
BLANK = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
BLANKS = dict.fromkeys(("curves.svg", "rates.svg", "confusion.svg", "augmentation.svg"), BLANK)


def printed(folder, **options):
    """The words of the typeset document, through typst's own HTML."""
    _, content = build.compose(folder, **options)
    with build.laid_out(content | AUTHOR, BLANKS) as compiler:
        page = compiler.compile(format="html").decode()
    words = re.sub(r"<[^>]*>", " ", re.sub(r"<(style|svg|math|script)\b.*?</\1>", "", page, flags=re.S))
    return re.sub(r"[\s\u202f]+", " ", html.unescape(words).replace("\u200b", "").replace("\u202f%", "%"))


def test_a_good_run(good):
    text = said_by(good)
    assert "Fine-Tuning ResNet-18 to Tell Five Kinds of Flowers Apart" in text
    assert "classifies 90 of 100 validation photos correctly: 90.00%, with a 95 % interval of 82.6% to 94.5%" in text
    assert "pretrained on ImageNet" in text
    assert "poor" not in text
    assert "learned nothing" not in text
    assert "training took 6 min 6 s, 1 min 1 s an epoch" in text.lower()
    assert "5 classes, from flower_photos; 400 to train on and 100 to validate" in text
    assert "found 0 unreadable files, 1 case of a photo that lies in its class more than once and 0 cases" in text
    assert build.DEMO not in text


def test_the_flowers_folders_may_be_in_the_plural(tmp_path):
    plurals = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    text = said_by(finished_run(tmp_path / "plural", real(), plurals))
    assert "Fine-Tuning ResNet-18 to Tell Five Kinds of Flowers Apart" in text
    assert "This run beside the published one" in text


def test_a_bad_run_is_called_bad_where_a_reader_looks(tmp_path):
    flat = [0.2, 0.19, 0.2, 0.2, 0.2, 0.19]
    _, content = build.compose(finished_run(tmp_path / "bad", real(), right=4, accuracies=flat))
    plain = "the network has learned nothing that could be used"
    assert plain in text_of(content["abstract"])
    conclusion = text_of(content["sections"][-1])
    assert plain in conclusion
    assert "reaches 20.00% of 100 validation photos" in conclusion
    text = text_of(content)
    assert "fails on its own training photos" in text
    assert "surer than it is right" not in text  # that is said by the calibration, which knows what chance does
    assert "Of the network's 80 mistakes, 80 have a probability above 90%" in text
    assert "below the published 96.49%" in text


def test_a_demo_says_so_and_nothing_of_imagenet(tmp_path):
    folder = finished_run(tmp_path / "demo", Recipe.from_preset("demo"))
    text = said_by(folder)
    assert "Training ResNet-18 from Random Weights to Tell Five Kinds of Drawn Flowers Apart" in text
    assert "nothing about real flowers" in text
    assert "ImageNet" not in text
    assert "pretrained" not in text
    assert "published 96" not in text
    with build.laid_out(build.compose(folder)[1] | AUTHOR, BLANKS) as compiler:
        notices = json.loads(compiler.query("<notice>", field="value"))
        pages = json.loads(compiler.query("<last>", field="value"))[0]
    assert notices == [build.DEMO] * pages
    assert pages >= 3


def test_backbone_weights_and_freezing_come_from_the_run(tmp_path):
    frozen = Recipe.from_preset(
        "fast", dataset="my.zip", backbone="squeezenet1_1", weights="/secret/place/some-imagenet.pth"
    )
    text = said_by(finished_run(tmp_path / "a", frozen, ("cat", "dog"), right=19))
    assert "Telling Two Classes of Photos Apart with a Frozen SqueezeNet 1.1" in text
    assert "(file some-imagenet.pth)" in text
    assert "secret" not in text
    assert "linear probe" in text
    assert "does without augmentation" in text
    assert "Of its 723,522 parameters, new head included, 1,026 are trained" in text  # 512 * 2 + 2
    assert "ResNet-18" in said_by(finished_run(tmp_path / "b", real(), ("cat", "dog")))
    weights = Recipe(dataset="x", weights="mine.pth")
    assert "ImageNet" not in said_by(finished_run(tmp_path / "c", weights))


def test_overfitting_and_restlessness_are_seen(tmp_path):
    folder = finished_run(tmp_path / "a", real(), accuracies=[0.5, 0.9, 0.7, 0.88, 0.6, 0.86])
    rows = History.read(folder)
    rows[-1] = rows[-1]._replace(train_accuracy=1.0, val_loss=1.2)
    run = a_run(folder, real())
    run.save_history(rows)
    results = json.loads((folder / "results.json").read_text())
    run.save_results(results | {"last_train_accuracy": 1.0, "generalization_gap": 1.0 - 0.86, "last_val_loss": 1.2})
    text = said_by(folder)
    assert "It was lowest in epoch 4 with 0.320, and is 275% above that at the end, though accuracy holds" in text
    assert "has not come to rest" in text
    assert "learn its photos by heart" in text


def test_a_network_that_gets_worse_is_not_said_to_grow_too_sure(tmp_path):
    falling = [0.5, 0.9, 0.88, 0.85, 0.8, 0.6]
    folder = finished_run(tmp_path / "a", real(), accuracies=falling)
    rows = History.read(folder)
    rows[-1] = rows[-1]._replace(val_loss=1.2)
    run = a_run(folder, real())
    run.save_history(rows)
    run.save_results(json.loads((folder / "results.json").read_text()) | {"last_val_loss": 1.2})
    text = said_by(folder)
    assert "and is 275% above that at the end." in text
    assert "too sure" not in text


BEST = Recipe.from_preset("best", dataset="photos/flower_photos", weights="imagenet")


def test_the_preset_best_is_told_as_it_was_run(tmp_path):
    text = said_by(finished_run(tmp_path / "best", BEST))
    assert "by three methods in this order" in text
    assert "RandomResizedCrop to at least 35% of the photo; RandomHorizontalFlip with probability 0.5; Color" in text
    assert "of hue by ±0.03 turns" in text
    assert "methods, RandomRotation and RandomVerticalFlip are set to do nothing" in text
    assert "±0°" not in text
    assert "this recipe does without RandomRotation and RandomVerticalFlip" in text
    assert "backbone trained *\nall but its first 60% of stages\nyes" in text
    assert "augmentation *\nthree methods\nfive methods" in text
    assert "Here the first 60% of the stages stay as they are, and the rest is then fine-tuned" in text
    assert "gently" not in text
    assert "Before the rest is trained, the head is fitted" in text
    assert "everything is trained" not in text
    assert "(smoothed)" in text
    assert "sees each photo as it is and mirrored, and its answers are averaged" in text
    assert "fine-tuned but for its first stages on 400 photos" in text
    seed = said_by(finished_run(tmp_path / "seed", real()))
    assert "by five methods in this order" in seed
    assert "RandomHorizontalFlip and RandomVerticalFlip with probabilities 0.5 and 0.5" in seed
    assert "backbone trained\nyes\nyes" in seed
    assert "The rest is fine-tuned along with it" in seed
    assert "do nothing" not in seed


def test_a_single_colour_is_the_only_one_named(tmp_path):
    plain = {"contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    assert "ColorJitter of brightness by factors within 1 ± 0.2." in said_by(
        finished_run(tmp_path / "a", real(**plain))
    )
    none = said_by(finished_run(tmp_path / "b", real(**plain, brightness=0.0, horizontal_flip=0.0)))
    assert "by three methods in this order (): RandomRotation by up to ±30°; CenterCrop to 448 px" in none
    assert "RandomHorizontalFlip and ColorJitter are set to do nothing" in none


def test_the_best_epoch_is_never_said_to_be_free_of_choice(good):
    abstract = text_of(build.compose(good)[1]["abstract"])
    assert "82.6% to 94.5%; the epoch was chosen on these photos" in abstract
    assert "which no choice of an epoch has flattered" in abstract
    assert not re.search("unbiased|not flattered|generalizes", said_by(good))


def with_intervals(folder):
    """The same results with what the analysis adds to them."""
    results = json.loads((folder / "results.json").read_text())
    ends = {"precision": [0.699, 0.972], "recall": None, "f1": None}
    rows = [{"name": score["name"], **ends, "recall": [0.6991, 0.9721]} for score in results["class_scores"]]
    a_run(folder, real()).save_results(results | {"class_intervals": rows})
    return folder


def test_scores_have_the_intervals_that_the_results_hold(good, tmp_path):
    assert "rose\n20\n90.0\n90.0\n90.0" in said_by(good)
    text = said_by(with_intervals(good))
    assert "rose\n20\n90.0 (69.9–97.2)\n90.0 (69.9–97.2)\n90.0" in text
    assert "per cent, with 95 % intervals" in text
    long = finished_run(tmp_path / "long", real(), ("black-eyed susan flower", "rose"))
    assert "rose\n20\n90.0\n90.0 (69.9–97.2)\n90.0" in said_by(with_intervals(long))


def test_one_verdict_of_confidence_is_left(tmp_path):
    folder = finished_run(tmp_path / "a", real())
    results = json.loads((folder / "results.json").read_text())
    a_run(folder, real()).save_results(results | analysis_numbers(read_run(folder).predictions))
    text = said_by(folder)
    assert "Of the network's 10 mistakes, 10 have a probability above 90%" in text
    assert "3.2 points more than it is right" in text  # e⁴ / (e⁴ + 4) = 93.2 %, and 90 % are right
    assert "no reason to distrust them" in text
    assert "surer than it is right" not in text


NUMBER = re.compile(r"(?<![\w.])[+−-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?(?:·?10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
# What no run holds: AlexNet's 1.2 million photos, 95 % intervals, probabilities above 90%, the example photo's
# 320 × 240 px, factors around 1, and the first epoch's name.
CONSTANTS = {"1.2", "95", "90%", "320", "240", "1", "0"}


class Known(set):
    """Every number that a run's files hold or that follows from them, as people may write it."""

    def learn(self, value):
        if isinstance(value, dict):
            self.learn(list(value.values()))
        elif isinstance(value, list | tuple):
            for each in value:
                self.learn(each)
        elif isinstance(value, str):
            self.update(NUMBER.findall(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            self.update({f"{value:,}", f"{value}"})
        elif isinstance(value, float):
            formats = (":.0%", ":.1%", ":.2%", ":g", ":.2f", ":.3f", ":.4f", ":.1f")
            self.update(("{" + how + "}").format(value) for how in formats)
            self.update({f"{100 * value:.1f}", f"{100 * value:.2f}", small(value)})


def known_numbers(folder):
    """From the files alone: nothing that the report computes is used here."""
    results, recipe, environment = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("results", "recipe", "environment")
    )
    known = Known(CONSTANTS)
    known.learn([results, recipe, environment, PAPER, Recipe().to_dict()])
    history = [[float(v) for v in line.split(",")] for line in (folder / "history.csv").read_text().split()[1:]]
    known.learn([history, min(row[4] for row in history), len(history) - 1])
    known.learn([int(row[0]) for row in history])
    n, right, seconds = results["val_photos"], results["best_val_correct"], results["epoch_seconds"]
    known.learn([duration(s) for s in (results["training_seconds"], seconds[0], median(seconds), median(seconds[1:]))])
    known.learn([duration(PAPER["training_seconds"]), 0.9464, 0.9767])  # Wilson's interval of 550 in 570
    # What follows: one photo's share, photos that the best epoch flatters by, the largest class, mistakes, widths.
    known.learn([1 / n, results["best_flatters_by"] * n, max(s["photos"] for s in results["class_scores"]) / n])
    known.learn([n - right, 1 - results["best_val_accuracy"], results["interval_high"] - results["interval_low"]])
    rows = [line.split(",") for line in (folder / "predictions.csv").read_text().splitlines()[1:]]
    sure = [max(map(float, row[3:])) for row in rows]
    known.learn([[row[0] for row in rows], sure, sum(sure) / n, abs(sum(sure) / n - right / n)])
    known.learn(len(results["classes"]))
    known.learn(sum(s > 0.9 and row[1] != row[2] for s, row in zip(sure, rows, strict=True)))
    sides = Counter(tuple(line.rsplit(",", 2)[1:]) for line in (folder / "split.csv").read_text().splitlines()[1:])
    known.learn([list(sides.values()), *([sides[name, "train"] + sides[name, "val"]] for name in results["classes"])])
    crop = recipe["crop_size"]
    known.learn([min(320, crop) * min(240, crop) / crop**2, environment["git_commit"][:12]])
    network = models.get_model(results["backbone"], num_classes=len(results["classes"]))
    head = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    known.learn([sum(p.numel() for p in network.parameters()), sum(p.numel() for p in head.parameters())])
    blocks = [
        sum(p.numel() for p in block.parameters()) for block in getattr(network, "features", [])
    ]  # of MobileNetV2
    known.learn(
        sum(p.numel() for p in network.parameters())
        - sum(blocks[: int(recipe.get("freeze_fraction", 0) * len(blocks))])
    )
    known.learn([head.in_features, 1000, *map(int, re.findall(r"\d+", results["backbone"] + PAPER["backbone"]))])
    return known


def unknown_numbers(folder, known):
    text = said_by(folder).replace(json.loads((folder / "environment.json").read_text())["data_fingerprint"][:12], "")
    return sorted(set(NUMBER.findall(text)) - known)


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_every_number_is_the_runs(folder):
    assert unknown_numbers(folder, known_numbers(folder)) == []


def test_numbers_of_another_run_would_be_noticed():
    known = known_numbers(ROOT / "report" / "results" / "fast-mobilenet_v2")
    assert len(unknown_numbers(ROOT / "report" / "results" / "demo-resnet18", known)) > 25


# What stands on paper ------------------------------------------------------------------------------------------


def test_all_that_is_said_is_printed(good):
    text = printed(good)
    without_references = re.sub(r"\[\d+\]|Fig\.\s\d+|Table\s[IVX]+", "", text)
    paper = re.sub(r"\s", "", without_references)
    content = build.compose(good)[1]
    del content["source"]  # stands in the page's foot, which HTML has none of
    lines = text_of(content).replace("'", "’").split("\n")
    assert len(lines) > 150
    for line in lines:
        assert re.sub(r"\s", "", line) in paper
    assert "K. He, X. Zhang, S. Ren, and J. Sun, “Deep residual learning for image recognition,”" in text


GAINS = {"seed": 0.0, "fast": -0.002, "best": 0.035}
ROWS = [
    {
        "recipe": name,
        "backbone": "resnet18",
        "folds": 5,
        "seeds": 1,
        "fold_rule": "StratifiedGroupKFold",
        "photos": 500,
        "train_photos": 400,
        "accuracy_mean": 0.9 + gain,
        "accuracy_low": 0.88 + gain,
        "accuracy_high": 0.92 + gain,
        "difference_mean": gain,
        "difference_low": gain - 0.01,
        "difference_high": gain + 0.01,
        "seconds_per_run": 321.4,
        "image_size": 224,
        "epochs": 25,
        "settings": {},
        "commit": "abc",
        "cost": "224 px, 25 epochs",
    }
    for name, gain in {**GAINS, **{f"seed + {i}": i / 500 for i in range(12)}}.items()
]


@pytest.fixture
def comparison(tmp_path):
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps(ROWS))
    return path


def test_a_comparison_is_told_and_still_fits_in_four_pages(good, comparison, tmp_path):
    text = said_by(good, comparison=comparison)
    assert "the recipe “best” gains +3.50 points on the seed recipe (95 % interval +2.50 to +4.50)" in text
    assert "the seed recipe, the published one, reaches 90.00%" in text
    # best, and "seed + 6" to "seed + 11" with 1.2 points and more, each ± 1
    assert "Of 14 compared, 7 are better than it, 0 worse and 7 undecided" in text
    assert "the presets and the clearest are shown" in text
    assert "comparison with 14 other recipes" in text
    assert text.count("As the best of 14 compared, it was chosen by its result on these same photos") == 3
    _, content = build.compose(good, comparison=comparison)
    for place in (content["abstract"], content["sections"][-1]):
        assert "gains +3.50 points" in text_of(place)
        assert "part of its lead is luck" in text_of(place)
    done = build.build(good, tmp_path / "with.pdf", comparison=comparison)
    assert done.main_pages <= build.LIMIT
    assert "cross-validation, on the same folds" not in said_by(good)


def test_a_comparison_without_a_winner_says_so(good, tmp_path):
    rows = [ROWS[0], ROWS[1]]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    text = said_by(good, comparison=tmp_path / "rows.json")
    assert "the recipe “fast” cannot be told to be better than the seed recipe" in text
    assert "As the best of" not in text
    (tmp_path / "rows.json").write_text(json.dumps([ROWS[0], ROWS[1], ROWS[4]]))
    text = said_by(good, comparison=tmp_path / "rows.json")
    assert "none of the 2 recipes compared can be told to be better than the seed recipe" in text
    assert "Of 2 compared, 0 are better than it, 0 worse and 2 undecided" in text
    assert "the clearest are shown" not in text


def test_rows_as_a_comparison_writes_them_have_their_cost_from_their_settings(good, tmp_path):
    rows = [{name: value for name, value in row.items() if name != "cost"} for row in ROWS[:3]]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert "on 500 photos (224 px, 25 epochs)" in said_by(good, comparison=tmp_path / "rows.json")


def test_the_abstract_names_the_best_of_those_that_are_decided(good, tmp_path):
    wide = ROWS[1] | {"recipe": "wide", "difference_mean": 0.06, "difference_low": -0.01, "difference_high": 0.13}
    (tmp_path / "rows.json").write_text(json.dumps([ROWS[0], wide, ROWS[2]]))
    abstract = text_of(build.compose(good, tmp_path / "rows.json")[1]["abstract"])
    assert "the recipe “best” gains +3.50 points" in abstract
    assert "wide" not in abstract


def test_the_whole_comparison_of_one_backbone_is_taken_and_its_clearest_rows_are_shown():
    other = [row | {"backbone": "vgg16", "photos": 9999} for row in ROWS]
    taken = most_telling([*other, *ROWS], "resnet18", "f")
    assert {row["backbone"] for row in taken} == {"resnet18"}
    assert len(taken) == len(ROWS)
    names = [row["recipe"] for row in clearest(taken)]
    assert len(names) == 10
    assert names[0] == "best"
    assert {"seed", "fast", "seed + 11", "seed + 6"} <= set(names)
    assert most_telling(other, "resnet18", "f")[0]["backbone"] == "vgg16"


def test_of_several_comparisons_the_one_of_best_at_the_highest_cost_is_taken():
    def cost(**changes):
        return [row | {"cost": str(changes)} | changes for row in ROWS]

    curve = [row | {"train_photos": 40} for row in ROWS]
    assert {row["train_photos"] for row in most_telling([*curve, *ROWS], "resnet18", "f")} == {400}
    wide = cost(image_size=112, photos=9999)
    assert most_telling([*wide, *ROWS], "resnet18", "f")[0]["image_size"] == 224
    assert most_telling([*cost(epochs=30), *ROWS], "resnet18", "f")[0]["epochs"] == 30
    without_best = [row for row in cost(epochs=30) if row["recipe"] != "best"]
    assert most_telling([*without_best, *ROWS], "resnet18", "f")[0]["epochs"] == 25
    assert most_telling([*cost(photos=501), *ROWS], "resnet18", "f")[0]["photos"] == 501


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "nothing with the seed"),
        ([{"recipe": "a"}], "damaged"),
        ([3], "damaged"),
        ([ROWS[0], ROWS[1] | {"difference_low": None}], "damaged"),
    ],
)
def test_rows_that_are_none_are_named(rows, message):
    with pytest.raises(ParameterError, match=message):
        most_telling(rows, "resnet18", "comparison.json")


def test_screen_readers_can_read_it(good):
    with build.laid_out(build.compose(good)[1] | AUTHOR, BLANKS) as compiler:
        assert compiler.compile(format="pdf", pdf_standards=["ua-1"])  # typst refuses what the standard forbids


def test_the_same_run_gives_the_same_bytes(good, tmp_path):
    for name in ("a.pdf", "b.pdf"):
        build.build(good, tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")


NASTY = ("#cat_$x$ @a [he2016] <fig-curves> `q` {n}", 'dog\\ $1 *b* // "q" &lt; ‰', "a" * 200)


@pytest.mark.parametrize(
    "classes",
    [NASTY[:2], [f"{NASTY[i % 3]} {i}" for i in range(17)], [f"species {i}" for i in range(150)]],
    ids=["2 classes", "17 with long names", "150"],
)
def test_any_classes_can_be_set(tmp_path, classes):
    folder = finished_run(tmp_path / "a", real(), classes, right=2, each=3, train=4)
    done = build.build(folder, tmp_path / "a.pdf")
    assert done.main_pages <= build.LIMIT
    if len(classes) == 2:
        text = printed(folder)
        assert NASTY[0] in text
        assert NASTY[1] in text


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "lr": 1e-4, "schedule": "onecycle", "label_smoothing": 0.1, "ema_decay": 0.99},
        {"optimizer": "adam", "mixup": 0.2, "cutmix": 1.0, "random_erasing": 0.25, "auto_augment": "trivial"},
        {
            "optimizer": "rmsprop",
            "crop": "random_resized",
            "freeze_fraction": 0.5,
            "frozen_norms": True,
            "head_lr": 0.01,
        },
        {"nesterov": False, "schedule": "cosine", "warmup_epochs": 2},
        {"nesterov": False, "momentum": 0.0, "teacher": "fast", "linear_probe_first": True},
        {"auto_augment": "imagenet", "test_flip": True},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_every_setting_that_was_used_is_told(tmp_path, changes):
    text = printed(finished_run(tmp_path / "a", real(**changes), ("a", "b")))
    words = {
        "adamw": "AdamW",
        "onecycle": "in one cycle",
        "label_smoothing": "for the validation loss too: a share of 0.1",
        "ema_decay": "moving average of the weights (decay 0.99)",
        "mixup": "MixUp [",
        "cutmix": "CutMix [",
        "random_erasing": "random rectangle is blanked",
        "trivial": "TrivialAugment [",
        "imagenet": "AutoAugment [",
        "rmsprop": "RMSProp [",
        "random_resized": "at least 25% of the photo",
        "freeze_fraction": "the first 50%, rounded down to whole ones, stay",
        "frozen_norms": "statistics [",
        "head_lr": "rate of its own, 0.01",
        "warmup_epochs": "rising over the first 2 epochs",
        "teacher": "distillation [",
        "linear_probe_first": "the head is fitted to the backbone’s features",
        "test_flip": "as it is and mirrored",
    }
    for name, value in changes.items():
        for key in (name, value):
            assert words.get(key, "") in text


# Input that is none --------------------------------------------------------------------------------------------


def edit(folder, **changes):
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_unfinished_run_is_named(good, tmp_path, capsys):
    (good / "results.json").unlink()
    assert report.main([str(good), "--output", str(tmp_path / "a.pdf")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("RunError")
    assert "holds a run that is not finished: the command that began it continues it" in error
    assert not (tmp_path / "a.pdf").exists()


def test_an_edited_number_is_refused_and_if_wanted_anyway_every_page_says_so(good, tmp_path):
    edit(good, training_seconds=3.0)
    with pytest.raises(RunError, match=r"results\.json was changed after the run wrote it.*run again; --force makes"):
        build.build(good, tmp_path / "a.pdf")
    with build.laid_out(build.compose(good, force=True)[1] | AUTHOR, BLANKS) as compiler:
        notices = json.loads(compiler.query("<notice>", field="value"))
        assert notices == [CHANGED] * json.loads(compiler.query("<last>", field="value"))[0]


def test_results_without_checksums_get_a_footnote(good):
    results = json.loads((good / "results.json").read_text())
    del results["checksums"]
    (good / "results.json").write_text(json.dumps(results))
    _, content = build.compose(good)
    assert content["notice"] is None
    assert "earlier version, which left no checksums" in text_of(content["footnote"])
    assert "agrees with results.json" in text_of(content["footnote"])


@pytest.mark.parametrize(
    ("name", "value", "file"),
    [
        ("best_val_accuracy", 0.99, "history.csv"),
        ("last_five_mean", 0.99, "history.csv"),
        ("epochs", 7, "history.csv"),
        ("best_val_correct", 97, "predictions.csv"),
        ("interval_low", 0.9, "its number of correct photos"),
    ],
)
def test_removing_the_checksums_does_not_hide_an_edited_number(good, name, value, file):
    results = json.loads((good / "results.json").read_text())
    del results["checksums"]
    (good / "results.json").write_text(json.dumps(results | {name: value}))
    with pytest.raises(RunError, match=f"says another .* than {re.escape(file)}: its numbers are not the run's"):
        build.compose(good)
    _, content = build.compose(good, force=True)
    assert content["notice"] == CHANGED
    assert "do not agree with each other" in text_of(content["footnote"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "ten"),
        ("interval_low", None),
        ("confusion", [[1]]),
        ("class_scores", [{}] * 5),
        ("classes", "daisy"),
        ("demo", "no"),
        ("epoch_seconds", None),
        ("class_intervals", [{"name": "daisy"}] * 5),
        ("calibration", {"ece": 0.1}),
        ("val_photos", 0),
        ("backbone", 3),
    ],
)
def test_damaged_results_are_named(good, name, value):
    edit(good, **{name: value})
    with pytest.raises(RunError, match=f"results.json is damaged or of another version: '{name}'"):
        build.compose(good, force=True)


@pytest.mark.parametrize("name", ["recipe.json", "history.csv"])
def test_missing_files_are_named(good, name):
    (good / name).unlink()
    with pytest.raises(RunError, match=name):
        build.compose(good)


def test_what_a_copy_left_out_is_left_out_of_the_report(good):
    (good / "split.csv").unlink()
    (good / "environment.json").unlink()
    text = said_by(good)
    assert "does not say on what machine" in text
    assert "Photos of each class" not in text
    (good / "split.csv").write_text("name,class,subset\na.jpg,daisy,val\n")
    with pytest.raises(RunError, match=r"split\.csv has 0 photos to train on and 1 to validate on"):
        said_by(good)


def test_a_demo_is_not_compared(tmp_path, comparison):
    folder = finished_run(tmp_path / "demo", Recipe.from_preset("demo"))
    with pytest.raises(ParameterError, match="is of real photos, the run of drawn ones"):
        build.compose(folder, comparison)


def test_the_command_writes_the_pdf_and_says_how_long_it_is(good, tmp_path, capsys):
    output = tmp_path / "new" / "report.pdf"
    assert report.main([str(good), "--output", str(output), "--author", "#me_$"]) == 0
    assert re.search(r"report\.pdf: [23] pages of text, [34] with references", capsys.readouterr().out)
    assert output.stat().st_size > 20_000


# The parts -----------------------------------------------------------------------------------------------------


def test_what_typst_refuses_and_a_place_that_cannot_be_written_are_user_errors(good, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "draw_figures", lambda facts: BLANKS)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        build.build(good, tmp_path / "file" / "report.pdf")
    monkeypatch.setattr(build, "draw_figures", lambda facts: {})
    with pytest.raises(RunError, match="typst could not set the report"):
        build.build(good, tmp_path / "report.pdf")


def test_marks_are_ours_and_values_are_text():
    pieces = written("See [he2016] and <fig-curves>: {x} has $theta$ `code`.", x="[he2016] $x$ `y` {z} <fig-a>")
    assert pieces == [
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


def test_numbers_are_written_as_people_write_them():
    assert [small(x) for x in (0.01, 0.001, 1e-6, 6.156e-5, 0.0)] == ["0.01", "0.001", "10⁻⁶", "6.16·10⁻⁵", "0"]
    assert [duration(s) for s in (0.07, 8.13, 59.97, 60, 1285.6)] == [
        "70 ms",
        "8.1 s",
        "1 min 0 s",
        "1 min 0 s",
        "21 min 26 s",
    ]
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_every_reference_is_complete_and_every_citation_has_one():
    text = (ROOT / "report" / "references.bib").read_text(encoding="utf-8")
    entries = dict(re.findall(r"@\w+\{(\w+),\n(.*?)\n\}", text, re.S))
    assert len(entries) == text.count("@")
    needed = {
        "lecun1998",
        "krizhevsky2012",
        "krizhevsky2017",
        "simonyan2014",
        "he2016",
        "srivastava2014",
        "sutskever2013",
    }
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "helpers").glob("report*.py"))
    cited = set(re.findall(r"\[([a-z]+\d{4})\]", sources)) | {paper for *_, paper in FAMILIES} | {"torchvision2016"}
    assert needed <= cited
    assert cited == set(entries)
    for key, fields in entries.items():
        assert all(re.search(rf"^  {name}\s*=", fields, re.M) for name in ("author", "title", "year")), key
        assert re.search(r"^  (journal|booktitle|url|note)\s*=", fields, re.M), key
