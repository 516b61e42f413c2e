"""Photos as points: what the network makes of them before its last layer, flattened to two dimensions."""

from __future__ import annotations

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
