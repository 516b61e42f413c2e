"""Out-of-distribution detection: hand-computed, saved and loaded, and consistent with the benchmark."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from benchmarks.contenders import ood_rules as measured
from helpers.common.errors import RunError
from helpers.common.tensors import save_tensors
from helpers.evaluation.features import Activations, activations
from helpers.inference import out_of_distribution
from helpers.inference.out_of_distribution import ViM, fit_vim, residual_norm
from helpers.models.averaging import TTAModel
from helpers.models.head import find_head
from tests.tiny import random_model

RESULTS = Path(__file__).parents[2] / "report" / "results" / "novelty.json"


def seen(*features, logits=((2.0, 0.0),)):
    return Activations(torch.tensor(features), torch.tensor(logits).expand(len(features), -1))


def some(n=60, k=8, seed=0):
    """Features near a plane of two dimensions, and logits that are almost the same for all."""
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(2, k, generator=torch.Generator().manual_seed(9))
    features = 0.3 * torch.randn(n, 2, generator=generator) @ plane + 0.02 * torch.randn(n, k, generator=generator) + 3
    return Activations(features, torch.tensor([5.0, 0.0]) + 0.1 * torch.randn(n, 2, generator=generator))


def test_the_residual_norm_by_hand():
    centre, axis = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([[0.0, 1.0, 0.0]])
    features = torch.tensor([[5.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])  # at length 1, of whatever length
    # Along the axis nothing counts: (0, 1, 0) lies 1 from the centre's place on it, (0, 0, 1) lies √2 away.
    assert residual_norm(features, centre, axis).tolist() == pytest.approx([0, 1, 2**0.5])


def test_the_score_is_the_weighted_distance_minus_the_energy():
    vim = ViM(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([[0.0, 1.0, 0.0]]), 10.0, 9.0, 1, 1)
    scores = vim.score(seen([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], logits=((0.0, 0.0),)))
    assert scores.tolist() == pytest.approx([10 - 0.6931, -0.6931], abs=1e-4)
    assert vim.is_ood(seen([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], logits=((0.0, 0.0),))).tolist() == [True, False]


def test_the_directions_are_the_principal_ones():
    features = torch.tensor([[1.0, 0.9, 0.0, 0.0], [1.0, -0.9, 0.0, 0.0], [1.0, 0.0, 0.1, 0.0], [1.0, 0.0, -0.1, 0.0]])
    _, directions = out_of_distribution.principal_directions(features, 50)
    assert directions.abs().tolist() == [pytest.approx([0, 1, 0, 0], abs=1e-4)]  # one of four: the rest is distance


@pytest.mark.parametrize(("photos", "kept"), [(3, 0), (20, 5), (200, 8)])
def test_few_photos_give_few_directions(photos, kept):
    """With as many directions as photos, all training photos would lie in the plane."""
    train = Activations(torch.randn(photos, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(photos, 2))
    vim = fit_vim(train, train, directions=8)
    assert len(vim.directions) == kept
    assert vim.score(train).isfinite().all()


def test_the_weight_equates_distance_and_largest_logit_on_the_training_photos():
    train = some()
    vim = fit_vim(train, some(seed=1), directions=2)
    distances = residual_norm(train.features, vim.centre, vim.directions)
    assert vim.weight * distances.mean().item() == pytest.approx(train.logits.amax(1).mean().item(), rel=1e-4)


@pytest.mark.parametrize(("photos", "flagged"), [(100, 5), (39, 1), (10, 0), (1, 0)])
def test_at_most_five_in_a_hundred_validation_photos_are_flagged(photos, flagged):
    val = some(n=photos, seed=1)
    vim = fit_vim(some(), val, directions=2)
    assert int(vim.is_ood(val).sum()) == flagged


def test_photos_off_the_plane_are_flagged():
    vim = fit_vim(some(n=200), some(n=100, seed=1), directions=2)
    off = some(n=20, seed=2)
    assert vim.is_ood(Activations(off.features + 2 * torch.eye(8)[0], off.logits)).all()
    assert vim.is_ood(off).float().mean() < 0.3


@pytest.mark.parametrize("backbone", ["resnet18", "squeezenet1_1", "mobilenet_v2"])
def test_every_backbone_gives_its_features_and_logits(backbone):
    model = random_model(backbone, 3).eval().requires_grad_(False)
    images = torch.randn(2, 3, 64, 64)
    found = activations(model, images, torch.float32)
    assert torch.allclose(found.logits, model(images), atol=1e-6)
    assert found.features.shape == (2, {"mobilenet_v2": 1280}.get(backbone, 512))
    layer = find_head(model)[1]
    if backbone != "squeezenet1_1":  # which averages behind its head
        with torch.inference_mode():
            assert torch.allclose(layer(found.features), found.logits, atol=1e-5)


def test_features_and_logits_are_averaged_over_views():
    model = random_model("resnet18", 3).eval()
    images = torch.randn(2, 3, 64, 64)
    found = activations(TTAModel(model), images, torch.float32)
    one, other = (activations(model, each, torch.float32) for each in (images, images.flip(-1)))
    assert torch.allclose(found.features, (one.features + other.features) / 2, atol=1e-5)
    assert torch.allclose(found.logits, (one.logits + other.logits) / 2, atol=1e-5)


def test_a_saved_rule_is_loaded_unchanged(tmp_path):
    vim, photos = fit_vim(some(), some(seed=1), directions=2), some(seed=2)
    out_of_distribution.save(vim, tmp_path)
    assert torch.equal(out_of_distribution.load(tmp_path, 8).score(photos), vim.score(photos))


def test_a_damaged_foreign_or_misfitting_file_is_refused(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        out_of_distribution.load(tmp_path, 8)
    out_of_distribution.save(fit_vim(some(), some(seed=1)), tmp_path)
    with pytest.raises(RunError, match="of another model"):
        out_of_distribution.load(tmp_path, 9)
    content = torch.load(tmp_path / out_of_distribution.FILE)
    for change, message in (
        ({"version": 2}, "of another version"),
        ({"threshold": None}, "damaged"),
        ({"x": 1}, "damaged"),
    ):
        save_tensors(tmp_path / out_of_distribution.FILE, content | change)
        with pytest.raises(RunError, match=message):
            out_of_distribution.load(tmp_path, 8)
    (tmp_path / out_of_distribution.FILE).write_bytes(b"PK")
    with pytest.raises(RunError, match="cannot be loaded"):
        out_of_distribution.load(tmp_path, 8)


def test_the_benchmark_chose_the_rule_that_is_used():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = results["unknown_flowers"]
    assert results["chosen"] == measured.CHOSEN
    assert str(out_of_distribution.DIRECTIONS) in results["chosen"]
    assert rows[results["chosen"]]["auroc_gain_low"] > 0  # above the largest probability, over five kinds
    for name in ("maximum logit", "energy", "Mahalanobis", "nearest neighbour"):
        assert rows[results["chosen"]]["auroc"] > rows[name]["auroc"]
    flat = results["other_pictures"]["one flat colour"]
    assert flat[f"flagged by {results['chosen']}"] == flat["pictures"]


def test_the_quoted_numbers_are_the_benchmark_s():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows, chosen = results["unknown_flowers"], results["unknown_flowers"][results["chosen"]]
    flagged = [kind["flagged"] for kind in chosen["kinds"].values()]
    assert tuple(round(share, 2) for share in (min(flagged), max(flagged))) == out_of_distribution.FLAGGED_UNKNOWN
    assert round(chosen["false_alarms"], 2) == out_of_distribution.FLAGGED_KNOWN
    areas = [rows[f"ViM, normalized, {count}"]["auroc"] for count in (16, 32, 64, 128)]
    assert (min(areas), max(areas), rows["ViM"]["auroc"]) == (0.8304, 0.8342, 0.8375)  # the comment on DIRECTIONS
    assert (rows["ViM, normalized, 32"]["auroc"], rows[results["chosen"]]["auroc"]) == (
        0.8325,
        0.8307,
    )  # on MAX_TRAIN_PHOTOS
    drawn = results["other_pictures"]["flowers drawn by the demo"]
    assert (drawn[f"flagged by {results['chosen']}"], drawn["pictures"]) == (2, 50)
    assert "our test flagged 12 to 40% of unknown flowers and 6% of known ones" in str(fit_vim(some(), some(seed=1)))
    for name in ("noise", "smooth colours", "one flat colour", "a portrait (Grace Hopper, of matplotlib)"):
        assert (
            results["other_pictures"][name][f"flagged by {results['chosen']}"]
            == (results["other_pictures"][name]["pictures"])
        )


def test_auroc_and_intervals_of_the_benchmark():
    assert measured.auroc(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0, -1.0])) == pytest.approx((2 + 1.5 + 0) / 6)
    mean, low, high = measured.student(torch.tensor([0.7, 0.8, 0.9]).numpy())
    # Student's 0.975 quantile for two degrees of freedom is 4.303; the standard error 0.1 / √3.
    assert (mean, low, high) == pytest.approx((0.8, 0.8 - 0.2484, 0.8 + 0.2484), abs=1e-3)


def test_the_compared_rules_score_unusual_photos_higher():
    train, labels = some(n=200), torch.arange(200) % 2
    table = measured.rules(train, labels)
    assert set(table) == set(measured.SOURCES)
    near, off = some(n=50, seed=2), some(n=50, seed=3)
    strange = Activations(off.features + 2 * torch.eye(8)[0], off.logits)
    table["Mahalanobis"] = measured.mahalanobis(normalize(train.features), labels, directions=2)  # of 8, not of 1,280
    for name in ("Mahalanobis", "nearest neighbour", "ViM", "ViM, normalized, 16"):
        assert measured.auroc(table[name](near), table[name](strange)) > 0.6, name
