"""Training the head on frozen features is training it in the whole model."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from helpers.common.errors import ParameterError
from helpers.data.audit import audit_photos
from helpers.data.image_folder import find_photos
from helpers.data.loading.loaders import make_loaders
from helpers.data.split import split_photos
from helpers.evaluation.features import extract_features
from helpers.evaluation.predictions import predict
from helpers.models import build_backbone, freeze, with_tta
from helpers.models.build import build_model
from helpers.models.head import find_head, head_module
from helpers.recipe import Recipe
from helpers.runs.run import open_run
from helpers.training import fit, make_loss, make_optimizer, make_schedule
from helpers.training.linear_probe import WEIGHT_PENALTY, fit_head, select_trained_part
from tests.tiny import random_model

CPU = torch.device("cpu")


def recipe(**changes):
    small = {"image_size": 32, "val_resize": 36, "batch_size": 4, "weights": "none", "workers": 0, "epochs": 3}
    return Recipe.from_preset("fast", **small).with_settings(**changes)


@pytest.fixture
def data(grow):
    audit = audit_photos(find_photos(grow({"rose": 7, "tulip": 8})))
    return audit, split_photos(audit, 0.8, 0)


def frozen(backbone="resnet18"):
    return random_model(backbone, 2, 0.5, seed=1, backbone=True)


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small"])
def test_the_head_predicts_from_features_what_the_model_predicts_from_photos(data, backbone, pipeline):
    model, loaders = frozen(backbone), make_loaders(*data, recipe(pipeline=pipeline), CPU)
    head, features = select_trained_part(model, loaders, recipe(), torch.float32)
    assert head is head_module(model)
    for part in ("train", "val"):
        whole = predict(model, getattr(loaders, part), torch.float32)
        alone = predict(head, getattr(features, part), torch.float32)
        by_label = [torch.sort(p.logits[p.labels == 0].sum(1)).values for p in (whole, alone)]
        assert torch.allclose(*by_label, atol=1e-5)
    assert torch.equal(
        predict(model, loaders.val, torch.float32).logits, predict(head, features.val, torch.float32).logits
    )


def test_the_training_photos_pass_without_batch_norms(data, monkeypatch):
    loaders, batches, plain = make_loaders(*data, recipe(), CPU), [], torch.batch_norm
    monkeypatch.setattr(torch, "batch_norm", lambda images, *rest: batches.append(len(images)) or plain(images, *rest))
    select_trained_part(frozen(), loaders, recipe(), torch.float32)
    assert sum(batches) == 20 * len(loaders.val.labels), "the 20 of ResNet-18, for the validation photos alone"


def test_every_photo_once_per_epoch_in_changing_order(data):
    _, features = select_trained_part(frozen(), make_loaders(*data, recipe(), CPU), recipe(), torch.float32)
    epochs = [torch.cat([rows for rows, _ in features.train.epoch(epoch)]) for epoch in (0, 0, 1)]
    assert torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])
    sums = [torch.sort(rows.sum(1)).values for rows in epochs]
    assert torch.allclose(sums[0], sums[2])
    assert len(epochs[0]) == len(data[1].train)


@pytest.mark.parametrize(
    ("backbone", "changes"),
    [
        ("resnet18", {"frozen_backbone": False}),
        ("resnet18", {"augmentation": True}),  # other pictures in every epoch
        ("squeezenet1_1", {}),  # averages behind its head
    ],
)
def test_the_whole_model_is_trained_where_features_would_change(data, backbone, changes):
    model, loaders = frozen(backbone), make_loaders(*data, recipe(**changes), CPU)
    assert select_trained_part(model, loaders, recipe(**changes), torch.float32) == (model, loaders)


@pytest.mark.parametrize("part", ["head", "train_transform", "freezing"])
def test_the_whole_model_is_trained_where_a_cell_changed_what_features_depend_on(data, part):
    model, loaders = frozen(), make_loaders(*data, recipe(), CPU)
    assert select_trained_part(model, loaders, recipe(), torch.float32, {part: "mine"}) == (model, loaders)
    assert select_trained_part(model, loaders, recipe(), torch.float32, {"loss": "mine"})[0] is head_module(model)


def test_every_layer_of_a_head_of_ones_own_is_trained_behind_a_frozen_backbone(data, tmp_path):
    settings = recipe(work_dir=str(tmp_path), device="cpu", precision="fp32", epochs=1)
    model, loaders = freeze(build_backbone("resnet18", "none"), backbone=True), make_loaders(*data, settings, CPU)
    model.fc = nn.Sequential(nn.Linear(512, 8), nn.Tanh(), nn.Linear(8, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, settings)
    fit(model, loaders, make_loss(), optimizer, schedule, open_run(settings), lambda text: None)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"fc.0.weight", "fc.0.bias", "fc.2.weight", "fc.2.bias"}


def test_training_changes_the_head_of_the_model_and_nothing_else(data, tmp_path):
    settings = recipe(work_dir=str(tmp_path), device="cpu", precision="fp32")
    model, loaders = frozen(), make_loaders(*data, settings, CPU)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = make_optimizer(model, settings)
    run = open_run(settings)
    schedule = make_schedule(optimizer, settings)
    history = fit(model, loaders, make_loss(), optimizer, schedule, run, lambda text: None).history
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"fc.1.weight", "fc.1.bias"}
    assert len(history) == 3
    saved = torch.load(run.folder / "last.ckpt", weights_only=True)["model"]
    assert torch.equal(saved["fc.1.weight"], model.fc[1].weight)
    assert predict(model, loaders.val, torch.float32).accuracy == history[-1].val_accuracy


def test_the_fast_preset_beats_the_published_recipes_accuracy_on_real_photos(real_folder, weights_folder):
    """Measured: 95 % of photos in cross-validation; here on a third of the photos."""
    audit = audit_photos(find_photos(real_folder).subset(range(0, 1607, 3)))
    split = split_photos(audit, 0.8, 0)
    settings = Recipe.from_preset("fast", backbone="mobilenet_v2", image_size=160, val_resize=183)
    model = build_model(settings, 5, str(weights_folder / "mobilenet_v2-imagenet-fp16.pth"))
    head, features = select_trained_part(model, make_loaders(audit, split, settings, CPU), settings, torch.float32)
    optimizer = make_optimizer(model, settings)
    for epoch in range(5):
        for rows, labels in features.train.epoch(epoch):
            optimizer.zero_grad()
            make_loss()(head(rows), labels).backward()
            optimizer.step()
    assert predict(head, features.val, torch.float32).accuracy > 0.88


def test_the_linear_probe_minimizes_the_loss_and_leaves_the_backbone_alone(data):
    tuned = replace(recipe(), frozen_backbone=False, augmentation=True, crop_size=48)
    loaders = make_loaders(*data, tuned, CPU)
    model = random_model("resnet18", 2, 0.0, seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    accuracy = fit_head(model, loaders.train, torch.float32, passes=3)
    layer = find_head(model)[1]
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.rpartition(".")[2] for name in changed} == {"weight", "bias"}
    assert len(changed) == 2
    model.eval()
    losses, right = [], []
    for epoch in range(3):
        for images, labels in loaders.train.epoch(epoch):
            with torch.no_grad():
                features = torch.flatten(nn.Sequential(*list(model.children())[:-1])(images), 1)
            losses.append(nn.functional.cross_entropy(layer(features), labels, reduction="sum"))
            right += (layer(features).argmax(1) == labels).tolist()
    loss = sum(losses) / len(right) + WEIGHT_PENALTY * layer.weight.square().sum()
    slopes = torch.autograd.grad(loss, [layer.weight, layer.bias])
    assert max(slope.abs().max() for slope in slopes) < 1e-3  # of about 0.5 before
    assert accuracy == pytest.approx(sum(right) / len(right))


def test_the_linear_probe_refuses_models_that_do_not_end_in_their_head(data):
    with pytest.raises(ParameterError, match="Set linear_probe_first to False"):
        fit_head(random_model("squeezenet1_1", 2, 0.0, seed=1), None, torch.float32)


def test_training_starts_from_the_linear_probe(data, tmp_path):
    tuned = replace(
        recipe(), frozen_backbone=False, augmentation=True, crop_size=48, linear_probe_first=True, lr=1e-9, epochs=1
    )
    run = open_run(tuned, tmp_path, tmp_path / "run")
    loaders = make_loaders(*data, tuned, CPU)
    model = random_model("resnet18", 2, 0.5, seed=1)
    optimizer = make_optimizer(model, tuned)
    lines = []
    fit(model, loaders, make_loss(), optimizer, make_schedule(optimizer, tuned), run, lines.append)
    fresh = random_model("resnet18", 2, 0.0, seed=1)
    fit_head(fresh, loaders.train, run.precision)
    assert torch.allclose(find_head(model)[1].weight, find_head(fresh)[1].weight, atol=1e-4)
    assert lines[0].startswith("linear probe: train Acc: ")


@pytest.mark.parametrize("backbone", ["resnet18", "squeezenet1_1"])
def test_extracted_features_give_the_logits(data, backbone):
    model, loader = frozen(backbone), make_loaders(*data, recipe(), CPU).val
    features, logits = extract_features(model, loader, torch.float32), predict(model, loader, torch.float32).logits
    layer = find_head(model)[1].requires_grad_(False)
    assert features.shape == (len(loader.labels), 512)
    if backbone == "resnet18":
        assert torch.allclose(features @ layer.weight.T + layer.bias, logits, atol=1e-5)
    else:  # a ReLU stands between the mean over places and the logits
        assert (features @ layer.weight.flatten(1).T + layer.bias <= logits + 1e-5).all()


def test_extracted_features_of_several_views_are_their_mean(data):
    model, loader = frozen(), make_loaders(*data, recipe(), CPU).val
    mirrored = with_tta(model, recipe(test_flip=True))
    features, logits = (
        extract_features(mirrored, loader, torch.float32),
        predict(mirrored, loader, torch.float32).logits,
    )
    layer = find_head(model)[1].requires_grad_(False)
    assert torch.allclose(features @ layer.weight.T + layer.bias, logits, atol=1e-5)
    assert not torch.allclose(features, extract_features(model, loader, torch.float32))
