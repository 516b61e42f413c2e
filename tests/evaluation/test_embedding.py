"""Points: the plane of the largest variance, neighbours that stay neighbours, boxes that bury none."""

import math

import numpy as np
import pytest
import torch

from helpers.evaluation.embedding import apart, neighbour_map, principal_plane, thinned


def test_the_plane_of_points_on_a_slanted_line_and_a_little_beside_it():
    along = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    beside = torch.tensor([0.1, -0.2, 0.2, -0.2, 0.1])
    features = along[:, None] * torch.tensor([3.0, 4.0, 0.0]) / 5 + beside[:, None] * torch.tensor([0.0, 0.0, 1.0]) + 7
    plane = principal_plane(features)
    assert plane.points[:, 0].tolist() == pytest.approx(along.tolist(), abs=1e-5)
    assert plane.points[:, 1].tolist() == pytest.approx(beside.tolist(), abs=1e-5)
    assert plane.shares == pytest.approx((10 / 10.14, 0.14 / 10.14), rel=1e-4)


def test_the_same_features_upside_down_give_the_same_plane():
    features = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(principal_plane(features).points, principal_plane(features.double()).points, atol=1e-5)
    assert torch.allclose(principal_plane(features.flip(0)).points.flip(0), principal_plane(features).points)


@pytest.mark.parametrize("features", [torch.zeros(4, 3), torch.ones(1, 3), torch.tensor([[1.0, 2.0], [3.0, 4.0]])])
def test_features_without_a_plane_are_no_failure(features):
    plane = principal_plane(features)
    assert plane.points.shape == (len(features), 2)
    assert all(math.isfinite(share) for share in plane.shares)
    assert torch.isfinite(neighbour_map(features, steps=20)).all()


def test_neighbours_stay_together_where_a_plane_lays_them_over_each_other():
    """Six groups along six axes: two components can tell but a few of them apart, a map of neighbours all."""
    random = torch.Generator().manual_seed(1)
    group = torch.arange(90) % 6
    features = 3 * torch.eye(6)[group] + 0.3 * torch.randn(90, 6, generator=random)

    def together(points):
        distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
        return (group[distances.argmin(1)] == group).double().mean().item()

    points = neighbour_map(features, steps=250)
    assert together(points) > 0.9  # sums in another order, as with other threads, move a photo or two
    assert together(principal_plane(features).points) < 0.9
    assert torch.equal(points, neighbour_map(features, steps=250))


def test_boxes_do_not_overlap_and_the_first_are_preferred():
    points = np.array([[0.0, 0.0], [0.5, 0.9], [0.5, 1.1], [1.0, 0.0], [5.0, 5.0]])
    assert apart(points, 1.0, 1.0) == [0, 2, 3, 4]
    assert apart(np.empty((0, 2)), 1.0, 1.0) == []


def test_at_most_so_many_photos_evenly_spaced():
    assert thinned(5, 10) == [0, 1, 2, 3, 4]
    assert thinned(21, 10) == [0, 3, 6, 9, 12, 15, 18]
    assert thinned(0) == []
