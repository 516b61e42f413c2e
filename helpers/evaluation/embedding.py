"""Photos as points: what the network makes of them before its last layer, flattened to two dimensions.

Twice: the plane in which they differ most (PCA), and a map that keeps neighbours together (t-SNE).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F


class Plane(NamedTuple):
    """The two directions in which the features of photos differ most (principal components)."""

    points: torch.Tensor  # float64 (n, 2), centred
    shares: tuple[float, float]  # of the whole variance that lies along each; 0 where there is none


def principal_plane(features: torch.Tensor) -> Plane:
    """Principal component analysis (Pearson, 1901) of features ``(n, k)``, ``n >= 1``, ``k >= 2``.

    A direction may be turned round without harm; each is taken so that its largest weight is positive, so that the
    same features always give the same picture.
    """
    centred = features.double() - features.double().mean(0)
    # Two more rows of zeros change nothing, but leave two directions where there is one photo.
    _, sizes, directions = torch.linalg.svd(F.pad(centred, (0, 0, 0, 2)), full_matrices=False)
    directions = directions[:2].T
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    total = sizes.square().sum().item()
    first, second = (size.item() ** 2 / total if total else 0.0 for size in sizes[:2])
    return Plane(centred @ (directions * largest.sign()), (first, second))


def neighbour_map(features: torch.Tensor, perplexity: float = 30.0, steps: int = 500) -> torch.Tensor:
    """t-SNE (van der Maaten and Hinton, 2008): points that keep near what is near. Distances between groups say little.

    Begun with the principal plane (Kobak and Berens, 2019), so nothing is random; time and memory grow with ``n²``.

    Args:
        features: float ``(n, k)``.
        perplexity: how many neighbours count, roughly; at most a third of the photos.

    Returns:
        float64 ``(n, 2)``, centred.
    """
    n, early = len(features), steps // 2
    shares = _neighbours(features.double(), min(perplexity, max(1.0, (n - 1) / 3)))
    points = principal_plane(features).points
    points = 1e-4 * points / points.std().clamp_min(1e-12) if n > 1 else points
    speed, gains = torch.zeros_like(points), torch.ones_like(points)
    for step in range(steps):
        attraction = 12.0 if step < early else 1.0  # "early exaggeration": groups form before they spread
        near = (1 + torch.cdist(points, points).square()).reciprocal().fill_diagonal_(0)
        pull = (attraction * shares - near / near.sum().clamp_min(1e-12)) * near
        slope = 4 * (pull.sum(1, keepdim=True) * points - pull @ points)
        gains = torch.where(slope.sign() == speed.sign(), 0.8 * gains, gains + 0.2).clamp_min(0.01)
        speed = (0.5 if step < early else 0.8) * speed - max(n / 48, 50.0) * gains * slope
        points = points + speed
        points = points - points.mean(0)
    return points


def _neighbours(features: torch.Tensor, perplexity: float) -> torch.Tensor:
    """How near every two photos are, ``(n, n)``, symmetric, summing to 1: each photo has ``perplexity`` neighbours."""
    squares = torch.cdist(features, features).square()
    squares = squares / squares.mean().clamp_min(1e-12)
    low, high = torch.zeros(len(features), 1).double(), torch.full((len(features), 1), 1e6).double()
    for _ in range(60):  # bisection: a sharper bell has fewer neighbours
        sharpness = (low + high) / 2
        near = (-sharpness * squares).fill_diagonal_(-torch.inf).softmax(1).nan_to_num()
        many = -(near * near.clamp_min(1e-300).log()).sum(1, keepdim=True) > math.log(perplexity)
        low, high = torch.where(many, sharpness, low), torch.where(many, high, sharpness)
    return (near + near.T) / (2 * len(features))


def thinned(photos: int, most: int = 1000) -> list[int]:
    """Positions of at most so many photos, evenly spaced."""
    return list(range(0, photos, -(-photos // most) or 1))


def apart(points: np.ndarray, width: float, height: float) -> list[int]:
    """Points around which boxes of this size can be drawn without one burying another.

    Args:
        points: float ``(n, 2)``; those that come first are preferred.
        width, height: of a box, in the points' units.

    Returns:
        Their positions, ascending.
    """
    chosen: list[int] = []
    for i, point in enumerate(points):
        distance = np.abs(points[chosen] - point)
        if not ((distance[:, 0] < width) & (distance[:, 1] < height)).any():
            chosen.append(i)
    return chosen
