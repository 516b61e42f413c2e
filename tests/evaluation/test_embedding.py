"""Photos as points: principal components by hand, neighbours that stay neighbours, boxes without overlap."""

import numpy as np
import pytest
import torch

from helpers.evaluation.embedding import evenly_spaced, pca, tsne, without_overlap


def test_pca_of_points_along_a_slanted_line_and_slightly_beside_it():
    along = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    beside = torch.tensor([0.1, -0.2, 0.2, -0.2, 0.1])
    features = along[:, None] * torch.tensor([3.0, 4.0, 0.0]) / 5 + beside[:, None] * torch.tensor([0.0, 0.0, 1.0]) + 7
    found = pca(features)
    assert found.points[:, 0] == pytest.approx(along.numpy(), abs=1e-5)
    assert found.points[:, 1] == pytest.approx(beside.numpy(), abs=1e-5)
    assert found.shares == pytest.approx((10 / 10.14, 0.14 / 10.14), rel=1e-4)


def test_pca_does_not_depend_on_the_order_of_the_photos():
    features = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    assert np.allclose(pca(features.flip(0)).points[::-1], pca(features).points)


@pytest.mark.parametrize("features", [torch.zeros(4, 3), torch.ones(1, 3), torch.tensor([[1.0, 2.0], [3.0, 4.0]])])
def test_features_without_a_plane_are_accepted(features):
    found = pca(features)
    assert found.points.shape == tsne(features).shape == (len(features), 2)
    assert np.isfinite(found.shares).all()
    assert np.isfinite(tsne(features)).all()


def test_tsne_is_deterministic_and_separates_groups_that_two_components_cannot():
    group = torch.arange(90) % 6
    random = torch.Generator().manual_seed(1)
    features = 3 * torch.eye(6)[group] + 0.3 * torch.randn(90, 6, generator=random)  # six groups along six axes

    def nearest_is_of_the_same_group(points):
        distances = torch.cdist(*[torch.as_tensor(points)] * 2).fill_diagonal_(torch.inf)
        return (group[distances.argmin(1)] == group).double().mean().item()

    points = tsne(features)
    assert nearest_is_of_the_same_group(points) > 0.9
    assert nearest_is_of_the_same_group(pca(features).points) < 0.9
    assert np.array_equal(points, tsne(features))


def test_boxes_do_not_overlap_and_the_first_are_preferred():
    points = np.array([[0.0, 0.0], [0.5, 0.9], [0.5, 1.1], [1.0, 0.0], [5.0, 5.0]])
    assert without_overlap(points, 1.0, 1.0) == [0, 2, 3, 4]
    assert without_overlap(np.empty((0, 2)), 1.0, 1.0) == []


def test_at_most_so_many_photos_evenly_spaced():
    assert evenly_spaced(5, 10) == [0, 1, 2, 3, 4]
    assert evenly_spaced(21, 10) == [0, 3, 6, 9, 12, 15, 18]
    assert evenly_spaced(0) == []
