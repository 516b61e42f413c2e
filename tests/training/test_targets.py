"""Targets: blended, pasted, seconded by a teacher; probabilities all the time."""

import dataclasses

import pytest
import torch
from torch import nn

from helpers.common import files, tensors
from helpers.common.errors import ParameterError, RunError
from helpers.training import targets
from tests.tiny import a_run, random_model, tiny_recipe

CLASSES = ("a", "b", "c")


def batch(n=8):
    labels = torch.arange(n) % 3
    images = labels.view(-1, 1, 1, 1).float().expand(n, 3, 16, 16).contiguous()
    return images, labels


def made(tmp_path, **changes):
    return targets.Targets(a_run(tmp_path, tiny_recipe(**changes)), CLASSES)


def test_without_anything_labels_pass_unchanged(tmp_path):
    images, labels = batch()
    ((seen, wanted),) = made(tmp_path)([(images, labels)])
    assert seen is images
    assert wanted is labels


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_targets_say_how_much_of_each_class_the_picture_shows(tmp_path, name):
    """Every class is a grey of its own, so the picture's mean grey follows from the shares."""
    mix = made(tmp_path, **{name: 1.0})
    torch.manual_seed(3)
    changed = 0
    for images, wanted in mix([batch(), batch(), batch()]):
        assert torch.allclose(wanted.sum(1), torch.ones(8))
        assert torch.allclose(images.mean((1, 2, 3)), wanted @ torch.arange(3.0), atol=1e-5)
        changed += int((wanted.max(1).values < 0.999).sum())
        if name == "mixup":
            assert all(len(image.unique()) == 1 for image in images)
    assert changed > 3


def test_the_same_seed_mixes_the_same_and_both_kinds_occur(tmp_path):
    mix = made(tmp_path, mixup=1.0, cutmix=1.0)
    kinds = set()
    for seed in range(12):
        torch.manual_seed(seed)
        ((first, wanted),) = mix([batch()])
        torch.manual_seed(seed)
        ((second, again),) = mix([batch()])
        assert torch.equal(first, second)
        assert torch.equal(wanted, again)
        kinds.add(max(len(image.unique()) for image in first))
    assert kinds >= {1, 2}  # blended to one grey, or pasted: two greys


def test_a_lone_photo_is_left_alone(tmp_path):
    ((_, wanted),) = made(tmp_path, mixup=1.0)([batch(1)])
    assert wanted.tolist() == [0]


@pytest.fixture
def teacher(tmp_path):
    folder = tmp_path / "teacher"
    folder.mkdir()
    model = random_model("squeezenet1_1", 3, 0.5)
    tensors.save_tensors(folder / "best_model.pth", model.state_dict())
    facts = {"backbone": "squeezenet1_1", "classes": list(CLASSES), "dropout": 0.5, "image_size": 32, "val_resize": 32}
    mean, std = [list(numbers) for numbers in (targets.IMAGENET_MEAN, targets.IMAGENET_STD)]
    files.write_json(folder / "best_model.json", facts | {"mean": mean, "std": std, "epoch": 0, "val_accuracy": 0.5})
    return folder


def test_a_teacher_seconds_the_truth_on_the_very_same_pictures(tmp_path, teacher):
    settings = {"teacher": str(teacher), "teacher_weight": 0.25, "teacher_temperature": 3.0}
    images = torch.randn(4, 3, 32, 32)
    labels = torch.tensor([0, 1, 2, 0])
    seconded = made(tmp_path, **settings)
    ((seen, wanted),) = seconded([(images, labels)])
    said = (seconded.teacher(images) / 3).softmax(1)
    assert seen is images
    assert torch.allclose(wanted, 0.75 * nn.functional.one_hot(labels, 3) + 0.25 * said, atol=1e-6)
    assert not wanted.requires_grad
    assert not seconded.teacher.training


def test_a_teacher_of_other_classes_is_refused_with_the_reason(tmp_path, teacher):
    run = a_run(tmp_path, tiny_recipe(teacher=str(teacher)))
    with pytest.raises(ParameterError, match=r"knows a, b, c; these photos are of b, a: a teacher of the same classes"):
        targets.Targets(run, ("b", "a"))


def test_a_teacher_that_saw_other_pictures_is_refused(tmp_path, teacher):
    facts = files.json.loads((teacher / "best_model.json").read_text())
    files.write_json(teacher / "best_model.json", facts | {"mean": [0, 0, 0]})
    with pytest.raises(ParameterError, match="normalized in another way"):
        targets.Targets(a_run(tmp_path, tiny_recipe(teacher=str(teacher))), CLASSES)


def test_a_teacher_that_is_not_there_is_named(tmp_path):
    run = dataclasses.replace(a_run(tmp_path, tiny_recipe(teacher="nowhere")))
    with pytest.raises(RunError, match="nowhere holds no saved model"):
        targets.Targets(run, CLASSES)
