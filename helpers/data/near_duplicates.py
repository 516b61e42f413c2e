"""Photos that show the same: identical files, and near-duplicates by perceptual hash."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helpers.data.audit import Audit
from helpers.data.split import Split

# Bits of 64 in which two photos' hashes may differ. Looked at, pair by pair, on the 1,607 real photos: up to 8 all
# three pairs show the same; at 10 and 12, nine of 28 are of one class, and five of these show the same sunflowers.
DISTANCE, DISTANCE_WITHIN_CLASS = 8, 12


def near_pairs(hashes: np.ndarray, distance: int) -> list[tuple[int, int, int]]:
    """Pairs ``(i, j, bits)`` with ``i < j`` whose hashes differ in at most ``distance`` bits; the nearest first."""
    signs = hashes.astype(np.float32) * 2 - 1
    pairs = []
    for start in range(0, len(signs), 1024):  # a block of rows at a time: memory stays in proportion to n
        bits = (signs.shape[1] - signs[start : start + 1024] @ signs.T) / 2
        rows, columns = np.nonzero(bits <= distance + 0.5)
        pairs += [
            (int(i) + start, int(j), round(float(bits[i, j])))
            for i, j in zip(rows, columns, strict=True)
            if i + start < j
        ]
    return sorted(pairs, key=lambda pair: (pair[2], pair[0], pair[1]))


class Pair(NamedTuple):
    """Two photos that show the same, by their positions in the audit."""

    first: int
    second: int
    bits: int  # in which their hashes differ
    identical: bool  # byte for byte


def near_duplicates(audit: Audit) -> list[Pair]:
    """Identical files, then near-duplicates, the nearest first; between classes only the nearest count."""
    labels = audit.photos.labels
    identical = [pair for files in (*audit.duplicates, *audit.cross_class_duplicates) for pair in _links(files)]
    near = near_pairs(audit.perceptual_hashes, DISTANCE_WITHIN_CLASS)
    return [Pair(i, j, 0, True) for i, j in identical] + [
        Pair(i, j, bits, False)
        for i, j, bits in near
        if (bits <= DISTANCE or labels[i] == labels[j]) and audit.hashes[i] != audit.hashes[j]
    ]


def rank_pairs(pairs: list[Pair], audit: Audit, split: Split) -> list[Pair]:
    """The pairs, contradictions (two classes) first, then those with one photo in training and one in validation."""
    labels, val = audit.photos.labels, set(split.val)

    def rank(pair: Pair) -> tuple[bool, bool, bool, int]:
        i, j = pair.first, pair.second
        return labels[i] == labels[j], (i in val) == (j in val), not pair.identical, pair.bits

    return sorted(pairs, key=rank)


def in_words(pair: Pair, audit: Audit, split: Split) -> str:
    """Two lines: the classes and how near the two are, and on which sides of the split."""
    photos, side = audit.photos, dict.fromkeys(split.train, "training") | dict.fromkeys(split.val, "validation")
    near = "identical" if pair.identical else f"{pair.bits} of 64 bits differ"
    classes, sides = (
        " and ".join(dict.fromkeys(each(i) for i in (pair.first, pair.second)))
        for each in (lambda i: photos.classes[photos.labels[i]], lambda i: side.get(i, "unused"))
    )
    return f"{classes}: {near}\n{sides}"


def group_scenes(audit: Audit) -> np.ndarray:
    """Number the scenes, int64 ``(n,)``: photos that show the same have the same number, whatever their classes.

    Identical files and near-duplicates belong together, and so do those that are linked by others. A few photos that
    only look alike are linked too: that costs nothing, while a scene on both sides of a split inflates the accuracy.
    """
    n, pairs = len(audit.photos), near_duplicates(audit)
    rows, columns = [pair.first for pair in pairs], [pair.second for pair in pairs]
    links = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _links(files: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(files[0], other) for other in files[1:]]
