"""The method tells what the recipe did: every setting that was used, and no other."""

import pytest

from helpers.recipe import Recipe
from helpers.report import build
from helpers.report.method import WIDTH
from helpers.runs.changes import save_changes
from helpers.runs.environment import read_environment, save_environment
from tests.report.made_up import finished_run, printed, real, said_by
from tests.report.test_tables import table_of


def test_the_published_recipe(good_text):
    assert "by five methods in this order" in good_text
    assert (
        "RandomHorizontalFlip with probability 0.5; RandomVerticalFlip with probability 0.5; ColorJitter with"
        in good_text
    )
    assert "a photo of 320 × 240 px fills only 38% of the training image" in good_text
    assert "does not use" not in good_text
    assert "All 11,179,077 parameters are trained" in good_text


def test_the_preset_best(tmp_path):
    best = Recipe.from_preset("best", dataset="photos/flower_photos", weights="imagenet")
    text = said_by(finished_run(tmp_path / "best", best))
    assert "by three methods in this order" in text
    assert "RandomResizedCrop to at least 35% of the photo; RandomHorizontalFlip with probability 0.5; Color" in text
    assert "brightness 0.2, contrast 0.2, saturation 0.2 and hue 0.03" in text
    assert "±0°" not in text
    assert "This recipe does not use RandomRotation and RandomVerticalFlip" in text
    assert "Gradients are clipped to a norm of 5" in text
    assert "black border" not in text
    assert "Before fine-tuning, the new head is fitted" in text
    assert "Predictions are averaged over each photo and its mirror image" in text


def test_the_preset_fast(tmp_path):
    fast = Recipe.from_preset("fast", dataset="my.zip", backbone="squeezenet1_1", weights="/secret/some-imagenet.pth")
    text = said_by(finished_run(tmp_path / "fast", fast, ("cat", "dog"), right=19))
    assert "(file some-imagenet.pth)" in text
    assert "There is no augmentation: training photos are prepared like validation photos" in text
    assert "Of the 723,522 parameters, 1,026 are trained" in text  # 512 * 2 + 2
    assert "The backbone is frozen" in text


def test_a_single_color_is_the_only_one_named(tmp_path):
    plain = {"contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    assert "ColorJitter with brightness 0.2. The" in said_by(finished_run(tmp_path / "a", real(**plain)))
    none = said_by(finished_run(tmp_path / "b", real(**plain, brightness=0.0, horizontal_flip=0.0)))
    assert "by three methods in this order (): RandomRotation by up to ±30°; CenterCrop to 448 px" in none
    assert "does not use RandomHorizontalFlip and ColorJitter" in none


def test_weights_from_an_unknown_file_are_not_said_to_be_imagenets(tmp_path):
    text = said_by(finished_run(tmp_path / "c", Recipe(dataset="x", weights="mine.pth")))
    assert "starts from weights pretrained (file mine.pth)" in text
    assert "pretrained on other photos" in text
    assert "pretrained on ImageNet" not in text


def test_what_a_cell_changed_is_what_the_report_describes(tmp_path):
    run = finished_run(tmp_path / "d", real())
    changes = {"optimizer": "Adam(lr=0.0003) over 514 parameters", "loss": "MultiMarginLoss(margin=2)"}
    save_changes(run, changes | {"train_transform": "Compose( RandomCrop(size=(9, 9)) )", "schedule": "Mine()"})
    text = said_by(run)
    assert "the optimizer is not the recipe's. It was changed by hand: Adam(lr=0.0003) over 514 parameters." in text
    assert "changed by hand: MultiMarginLoss(margin=2)." in text
    assert "changed by hand: Compose( RandomCrop(size=(9, 9)) )." in text
    assert "The learning rate follows a schedule of its own" in text
    for untrue in ("Nesterov momentum [", "cross-entropy, averaged", "augmented anew", "every 7 epochs: it is"):
        assert untrue not in text
    rows = table_of(build.compose(run)[1], "tab-recipe")
    changed = {"optimizer", "lr", "momentum", "weight decay", "schedule", "augmentation", "image size"}
    assert {name.removesuffix(" *") for name, (ours, _) in rows.items() if ours == "changed by hand"} >= changed
    assert rows["epochs"] == ["25", "25"]
    assert "CenterCrop(size=(448, 448))" not in text
    assert "Transforms of validation photos" in text
    assert "Changed by hand: optimizer, loss, train transform and schedule" in text


def test_a_head_of_ones_own_is_not_described_as_the_recipes(tmp_path):
    run = finished_run(tmp_path / "a", real())
    save_changes(run, {"head": "fc: Sequential(Linear(512, 64), ReLU(), Linear(64, 5))"})
    text = said_by(run)
    assert "changed by hand: fc: Sequential(Linear(512, 64), ReLU(), Linear(64, 5))." in text
    for untrue in ("is replaced by dropout", "11,179,077", "Linear(512 → 5)"):
        assert untrue not in text


def test_the_transforms_are_listed_as_torchvision_prints_them(good_content):
    (lines,) = [b["lines"] for s in good_content["sections"] for b in s["blocks"] if b.get("label") == "lst-transforms"]
    assert lines[:4] == ["# training", "RandomRotation(degrees=[-30.0, 30.0])", "CenterCrop(size=(448, 448))",
                         "RandomHorizontalFlip(p=0.5)"]  # fmt: skip
    assert lines[lines.index("# validation") + 1 :][:2] == ["Resize(size=[256])", "CenterCrop(size=(224, 224))"]
    assert "Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])" in " ".join(map(str.strip, lines))
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize(
    "told",
    [
        {
            "optimizer": ("adamw", "AdamW ["),
            "schedule": ("onecycle", "in one cycle ["),
            "label_smoothing": (0.1, "a share of 0.1 of each label over all classes, in the validation loss too"),
            "ema_decay": (0.99, "moving average of the weights with decay 0.99 ["),
        },
        {
            "optimizer": ("adam", "Adam ["),
            "mixup": (0.2, "MixUp ["),
            "cutmix": (1.0, "CutMix ["),
            "random_erasing": (0.25, "rectangle is erased with probability 0.25 ["),
            "auto_augment": ("trivial", "TrivialAugment ["),
        },
        {
            "optimizer": ("rmsprop", "with momentum 0.9, learning rate"),
            "crop": ("random_resized", "at least 25% of the photo"),
            "freeze_fraction": (0.5, "The first 50% of the stages, rounded down to whole stages, are frozen"),
            "frozen_norms": (True, "keeps the statistics of the initial weights"),
            "head_lr": (0.01, "its own learning rate, 0.01"),
        },
        {
            "nesterov": (False, "descent with momentum ["),
            "schedule": ("cosine", "half a cosine ["),
            "warmup_epochs": (2, "of 2 epochs"),
        },
        {
            "nesterov": (False, "by stochastic gradient descent,"),
            "momentum": (0.0, " = 0.0005 and, at the start, learning rate"),
            "teacher": ("fast", "distillation ["),
            "linear_probe_first": (True, "the new head is fitted to the backbone’s features ["),
        },
        {"auto_augment": ("imagenet", "AutoAugment ["), "test_flip": (True, "each photo and its mirror image")},
        {"clip_norm": (2.5, "clipped to a norm of 2.5")},
    ],
    ids=lambda told: next(reversed(told)),
)
def test_every_setting_that_was_used_is_told(tmp_path, told):
    changes = {name: value for name, (value, _) in told.items()}
    text = printed(finished_run(tmp_path / "a", real(**changes), ("a", "b")))
    for _, words in told.values():
        assert words in text


def test_own_validation_and_batches_are_not_described_as_the_recipes(tmp_path):
    run = finished_run(tmp_path / "a", real())
    save_changes(run, {"val_transform": "Compose( Resize(size=[9, 9]) )", "batch_size": "8"})
    text = said_by(run)
    assert "the val transform is not the recipe's. It was changed by hand: Compose( Resize(size=[9, 9]) )." in text
    assert " of 8 photos," in text
    for untrue in ("shorter side is resized", "are normalized per channel", " of 32 photos,"):
        assert untrue not in text
    assert table_of(build.compose(run)[1], "tab-recipe")["batch size *"] == ["changed by hand", "32 (assumed)"]


def test_layers_frozen_by_hand_are_not_said_to_be_trained(tmp_path):
    run = finished_run(tmp_path / "a", real(freeze_fraction=0.5))
    save_changes(run, {"freezing": "2,565 of 11,179,077 parameters are trained"})
    text = said_by(run)
    assert (
        "the freezing is not the recipe's. It was changed by hand: 2,565 of 11,179,077 parameters are trained." in text
    )
    assert build.compose(run)[1]["title"] == "Classifying Five Kinds of Flowers with ResNet-18"
    for untrue in ("parameters are trained for", "are fine-tuned", "of the stages", "All 11,179,077"):
        assert untrue not in text


def test_changed_code_is_not_said_to_be_the_commits(tmp_path):
    run = finished_run(tmp_path / "a", real())
    assert "made with commit" in said_by(run)
    facts = read_environment(run)
    save_environment(run, facts | {"git_commit": "0123456789abcdef+changes"})
    assert "made with commit 0123456789ab and uncommitted changes to its code on photos" in said_by(run)


def test_a_run_whose_transforms_are_both_changed_has_a_report_without_their_listing(tmp_path):
    run = finished_run(tmp_path / "a", real())
    save_changes(run, {"train_transform": "Compose( A() )", "val_transform": "Compose( B() )"})
    text = said_by(run)
    assert "train transform is not the recipe's. It was changed by hand: Compose( A() )" in text
    assert "val transform is not the recipe's. It was changed by hand: Compose( B() )" in text
    assert "torchvision prints them" not in text
