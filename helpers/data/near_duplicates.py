"""Find photos that show the same: identical files, and near-duplicates by perceptual hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helpers.data.audit import Audit

if TYPE_CHECKING:
    from helpers.data.split import Split  # which groups photos by scene

# Bits of 64 in which two photos' hashes may differ, chosen by looking at the pairs among the 1,607 real photos: up to
# 8, all three show the same; at 10 and 12, nine of 28 are of one class, and five of these show the same sunflowers.
DISTANCE, DISTANCE_WITHIN_CLASS = 8, 12


def near_pairs(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Find the pairs whose hashes differ in at most ``distance`` bits, the nearest first.

    Args:
        hashes: bool ``(n, 64)``.

    Returns:
        int64 ``(m, 3)``: rows ``i < j``, and in how many bits they differ.
    """
    signs = hashes.astype(np.float32) * 2 - 1
    found, block = [np.empty((0, 3), np.int64)], max(1, 2**24 // max(1, len(signs)))  # rows at a time: 64 MB
    for start in range(0, len(signs), block):
        bits = (signs.shape[1] - signs[start : start + block] @ signs[start:].T) / 2
        rows, columns = np.nonzero(np.triu(bits <= distance + 0.5, 1))
        found.append(np.column_stack([rows + start, columns + start, bits[rows, columns].round()]).astype(np.int64))
    pairs = np.concatenate(found)
    return pairs[np.lexsort(pairs.T[[1, 0, 2]])]


class Pair(NamedTuple):
    """Two photos that show the same, by their positions in the audit."""

    first: int
    second: int
    bits: int  # in which their hashes differ
    identical: bool  # byte for byte


def near_duplicates(audit: Audit) -> list[Pair]:
    """List identical files, then near-duplicates, the nearest first; between classes only the nearest count."""
    files = [*audit.duplicates, *audit.cross_class_duplicates]
    identical = [Pair(group[0], other, 0, True) for group in files for other in group[1:]]
    near = _similar(audit, np.arange(len(audit.photos))).tolist()
    return identical + [Pair(i, j, bits, False) for i, j, bits in near if audit.hashes[i] != audit.hashes[j]]


def _similar(audit: Audit, photos: np.ndarray) -> np.ndarray:
    """Return the pairs among these photos that count as near-duplicates, as ``near_pairs`` does."""
    pairs, labels = near_pairs(audit.perceptual_hashes[photos], DISTANCE_WITHIN_CLASS), np.array(audit.photos.labels)
    pairs[:, :2] = photos[pairs[:, :2]]
    return pairs[(pairs[:, 2] <= DISTANCE) | (labels[pairs[:, 0]] == labels[pairs[:, 1]])]


def rank_pairs(pairs: list[Pair], audit: Audit, split: Split) -> list[Pair]:
    """Sort pairs: those of two classes first, then those with photos in two parts of the split."""
    labels, part = audit.photos.labels, split.parts

    def rank(pair: Pair) -> tuple[bool, bool, bool, int]:
        i, j = pair.first, pair.second
        return labels[i] == labels[j], part.get(i) == part.get(j), not pair.identical, pair.bits

    return sorted(pairs, key=rank)


def in_words(pair: Pair, audit: Audit, split: Split) -> str:
    """Describe a pair in two lines: classes and distance, and the parts of the split."""
    photos, part = audit.photos, split.parts
    near = "identical" if pair.identical else f"{pair.bits} of 64 bits differ"
    classes, sides = (
        " and ".join(dict.fromkeys(each(i) for i in (pair.first, pair.second)))
        for each in (lambda i: photos.classes[photos.labels[i]], lambda i: part.get(i, "unused"))
    )
    return f"{classes}: {near}\n{sides}"


def group_scenes(audit: Audit) -> np.ndarray:
    """Number the scenes, int64 ``(n,)``: photos that show the same have the same number, whatever their classes.

    Photos linked by others belong together too. A few that only look alike are linked: that costs nothing, while a
    scene on both sides of a split inflates the accuracy.
    """
    # Of photos with the same hash and class, the first stands for all: a folder of blank pictures has n² pairs.
    keys = np.column_stack([audit.perceptual_hashes, audit.photos.labels])
    _, first, same = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    pairs, n = _similar(audit, np.sort(first)), len(keys)
    rows, columns = np.append(pairs[:, 0], np.arange(n)), np.append(pairs[:, 1], first[same.ravel()])
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)
