"""Photos as points: the features before the network's last layer, reduced to two dimensions by PCA and by t-SNE."""

from typing import NamedTuple

import numpy as np
import torch


class Projection(NamedTuple):
    """Features along their first two principal components."""

    points: np.ndarray  # float64 (n, 2), centred
    shares: tuple[float, float]  # of the variance that each component explains; 0 where there is none


def pca(features: torch.Tensor) -> Projection:
    """Project features ``(n, k)`` on their first two principal components (Pearson, 1901).

    The sign of a component is arbitrary; scikit-learn makes its largest weight positive.
    """
    from sklearn.decomposition import PCA

    values = features.double().numpy()
    points, shares = np.zeros((len(values), 2)), np.zeros(2)
    if values.var(0).any():
        model = PCA(min(2, *values.shape), svd_solver="full")
        found = model.fit_transform(values)
        points[:, : found.shape[1]], shares[: found.shape[1]] = found, model.explained_variance_ratio_
    return Projection(points, tuple(shares.tolist()))


def tsne(features: torch.Tensor, perplexity: float = 30.0) -> np.ndarray:
    """Lay features ``(n, k)`` out in a plane by t-SNE (van der Maaten and Hinton, 2008): near stays near.

    It starts from the principal components (Kobak and Berens, 2019), so nothing is random. One thread: the sums of
    several would come in another order each time.

    Args:
        perplexity: roughly how many neighbours count; at most a third of the photos.

    Returns:
        float ``(n, 2)``. Distances between groups mean little.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = pca(features).points
    if len(start) < 4 or not start.any():
        return start
    perplexity = min(perplexity, (len(start) - 1) / 3)
    model = TSNE(perplexity=perplexity, init=1e-4 * start / start[:, 0].std(), random_state=0)
    with threadpool_limits(limits=1):
        return model.fit_transform(features.numpy())


def evenly_spaced(photos: int, most: int = 1000) -> list[int]:
    """Return the positions of at most ``most`` photos, evenly spaced."""
    return list(range(0, photos, -(-photos // most) or 1))


def without_overlap(points: np.ndarray, width: float, height: float) -> list[int]:
    """Choose points around which boxes of this size can be drawn without overlapping.

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
