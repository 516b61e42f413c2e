"""Title, abstract, introduction and conclusion follow the run."""

import re

from helpers.recipe import Recipe
from helpers.report import build
from tests.report.made_up import finished_run, real, said_by, text_of


def test_a_good_run(good_text):
    assert "Fine-Tuning ResNet-18 to Classify Five Kinds of Flowers" in good_text
    assert "classifies 90 of 100 validation photos correctly: 90.00% (95 % interval 82.6–94.5%)" in good_text
    assert "pretrained on ImageNet" in good_text
    assert "poor" not in good_text
    assert "nothing shows that the network does better" not in good_text
    assert build.DEMO not in good_text


def test_the_flowers_folders_may_be_in_the_plural(tmp_path):
    text = said_by(finished_run(tmp_path / "a", real(), ("daisy", "dandelion", "roses", "sunflowers", "tulips")))
    assert "Fine-Tuning ResNet-18 to Classify Five Kinds of Flowers" in text
    assert "This run and the published one" in text


def test_a_bad_run_is_called_bad_where_a_reader_looks(tmp_path):
    flat = [0.2, 0.19, 0.2, 0.2, 0.2, 0.19]
    content = build.compose(finished_run(tmp_path / "bad", real(), right=4, accuracies=flat))[1]
    conclusion = text_of(content["sections"][-1])
    for place in (text_of(content["abstract"]), conclusion):
        assert "20.00% (95 % interval 13.3–28.9%)" in place
    assert "Always predicting the largest class would be right" in text_of(content["abstract"])
    assert "The result is poor: before anything else is tried" in conclusion
    assert "the learning rate, the weights and the photos should be checked" in conclusion
    text = text_of(content)
    assert "Of the network's 80 mistakes, 80 have a probability above 90%" in text
    assert "below the published 96.49%" in text


def test_a_demo_says_so_and_whether_it_was_pretrained(tmp_path):
    text = said_by(finished_run(tmp_path / "demo", Recipe.from_preset("demo")))
    assert "Fine-Tuning MobileNetV2 to Classify Five Kinds of Drawn Flowers" in text
    assert "pretrained on ImageNet" in text
    random = said_by(finished_run(tmp_path / "random", Recipe.from_preset("demo", weights="none")))
    assert "Training MobileNetV2 from Scratch to Classify Five Kinds of Drawn Flowers" in random
    assert "pretrained" not in random
    for each in (text, random):
        assert "says nothing about real flowers" in each
        assert "published 96" not in each


def test_the_best_epoch_is_never_said_to_be_free_of_choice(good_content, good_text):
    abstract = text_of(good_content["abstract"])
    assert (
        "As this epoch was chosen on the same photos, we also report the mean of the last five epochs, 85." in abstract
    )
    assert not re.search("unbiased|not flattered|generalizes", good_text)


def test_of_one_epoch_no_mean_is_told(tmp_path):
    text = said_by(finished_run(tmp_path / "a", real(), accuracies=[0.9]))
    assert "mean of the last" not in text
    assert "The only epoch has losses of 1.500 (training) and 1.600 (validation)" in text


def test_freezing_and_the_first_fit_are_told_in_the_introduction(tmp_path):
    best = Recipe.from_preset("best", dataset="photos/flower_photos", weights="imagenet")
    text = said_by(finished_run(tmp_path / "best", best))
    assert "Here the first 60% of the stages stay frozen, and the others are fine-tuned." in text
    assert "Before fine-tuning, the new head is fitted" in text
    frozen = Recipe.from_preset("fast", dataset="my.zip", backbone="squeezenet1_1", weights="/secret/imagenet.pth")
    text = said_by(finished_run(tmp_path / "a", frozen, ("cat", "dog"), right=19))
    assert "Classifying Photos into Two Classes with a Frozen SqueezeNet 1.1" in text
    assert "Here all other layers stay frozen." in text
    assert "Trained on 160 photos, SqueezeNet 1.1 classifies" in text
    assert "secret" not in text


def test_the_introduction_of_the_published_recipe(good_text):
    assert "Here all other layers are fine-tuned." in good_text


def test_no_sentence_is_said_twice(good, rows_file):
    """Abstract, text and conclusion tell the same result, each in its own words."""
    text = text_of(build.compose(good, rows_file())[1])
    sentences = [each.strip() for line in text.split("\n") for each in re.split(r"[.:;] (?=[A-Z])", line)]
    long = [each for each in sentences if len(each.split()) > 7]
    assert len(long) > 60
    assert sorted(each for each in set(long) if long.count(each) > 1) == []
