"""Targets: labels, blended labels, and a teacher's predictions."""

import dataclasses

import pytest
import torch

from helpers.common import files, tensors
from helpers.common.errors import ParameterError, RunError
from helpers.training import targets
from tests.tiny import a_run, random_model, tiny_recipe

CLASSES = ("a", "b", "c")


def batch(n=8):
    labels = torch.arange(n) % 3
    images = labels.view(-1, 1, 1, 1).float().expand(n, 3, 16, 16).contiguous()
    return images, labels


def mixed(batches, **changes):
    return targets.mix_batches(iter(batches), tiny_recipe(**changes), len(CLASSES))


def test_without_mixing_labels_pass_unchanged():
    images, labels = batch()
    ((seen, wanted),) = mixed([(images, labels)])
    assert seen is images
    assert wanted is labels


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_targets_say_how_much_of_each_class_the_picture_shows(name):
    """Every class is a grey of its own, so the picture's mean grey follows from the shares."""
    torch.manual_seed(3)
    changed = 0
    for images, wanted in mixed([batch(), batch(), batch()], **{name: 1.0}):
        assert torch.allclose(wanted.sum(1), torch.ones(8))
        assert torch.allclose(images.mean((1, 2, 3)), wanted @ torch.arange(3.0), atol=1e-5)
        changed += int((wanted.max(1).values < 0.999).sum())
        if name == "mixup":
            assert all(len(image.unique()) == 1 for image in images)
    assert changed > 3


def test_the_same_seed_mixes_the_same_and_both_kinds_occur():
    kinds = set()
    for seed in range(12):
        torch.manual_seed(seed)
        ((first, wanted),) = mixed([batch()], mixup=1.0, cutmix=1.0)
        torch.manual_seed(seed)
        ((second, again),) = mixed([batch()], mixup=1.0, cutmix=1.0)
        assert torch.equal(first, second)
        assert torch.equal(wanted, again)
        kinds.add(max(len(image.unique()) for image in first))
    assert kinds >= {1, 2}  # blended to one grey, or pasted: two greys


def test_a_single_photo_is_not_mixed():
    ((_, wanted),) = mixed([batch(1)], mixup=1.0)
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


def make_teacher(tmp_path, folder, weight, temperature):
    settings = {"teacher": str(folder), "teacher_weight": weight, "teacher_temperature": temperature}
    return targets.Teacher(a_run(tmp_path, tiny_recipe(**settings)), CLASSES)


def test_distillation_softens_both_sides_and_scales_by_the_squared_temperature(tmp_path, teacher):
    """Hinton et al. (2015), written out: sums over classes of p log(p / q), the mean over photos."""
    images, logits, loss = torch.randn(4, 3, 32, 32), torch.randn(4, 3, requires_grad=True), torch.tensor(0.7)
    made = make_teacher(tmp_path, teacher, 0.25, 3.0)
    p, q = ((each / 3).softmax(1).detach() for each in (made.model(images), logits))
    divergence = sum(float((p[i] * (p[i] / q[i]).log()).sum()) for i in range(4)) / 4
    blended = made.distill(loss, logits, images)
    assert blended.item() == pytest.approx(0.75 * 0.7 + 0.25 * 9 * divergence, rel=1e-5)
    blended.backward()
    assert torch.allclose(logits.grad, 0.25 * 3 * (q - p) / 4, atol=1e-6)  # T² · (q - p) / T
    assert not made.model.training


def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn_from_it(tmp_path, teacher):
    images = torch.randn(4, 3, 32, 32)
    made = make_teacher(tmp_path, teacher, 1.0, 5.0)
    assert made.distill(torch.tensor(2.0), made.model(images), images).item() == pytest.approx(0, abs=1e-6)


def test_a_teacher_of_other_classes_is_refused_with_the_reason(tmp_path, teacher):
    run = a_run(tmp_path, tiny_recipe(teacher=str(teacher)))
    with pytest.raises(ParameterError, match=r"knows a, b, c; these photos are of b, a: a teacher of the same classes"):
        targets.Teacher(run, ("b", "a"))


def test_a_teacher_that_saw_other_pictures_is_refused(tmp_path, teacher):
    facts = files.json.loads((teacher / "best_model.json").read_text())
    files.write_json(teacher / "best_model.json", facts | {"mean": [0, 0, 0]})
    with pytest.raises(ParameterError, match="differently normalized"):
        targets.Teacher(a_run(tmp_path, tiny_recipe(teacher=str(teacher))), CLASSES)


def test_a_teacher_that_is_not_there_is_named(tmp_path):
    run = dataclasses.replace(a_run(tmp_path, tiny_recipe(teacher="nowhere")))
    with pytest.raises(RunError, match="nowhere holds no saved model"):
        targets.Teacher(run, CLASSES)
