"""A share of the training images, class by class; a larger share holds every smaller one."""

from __future__ import annotations

import math

import numpy as np

from tellapart.data.dataset import Dataset, Indices, rank_content


def take_share(dataset: Dataset, rows: Indices, share: float, seed: int) -> Indices:
    """Return a stratified share of rows, sorted; at least one image of each class.

    Images are taken in an order that depends on the seed and their content alone, group by group,
    so that with one seed a smaller share is part of every larger one.

    Args:
        rows: of one split.
        share: in (0, 1].
    """
    assert 0 < share <= 1, share
    taken: list[int] = []
    labels = dataset.labels[rows]
    for label in np.unique(labels):
        own = rows[labels == label].tolist()
        own.sort(key=lambda row: (rank_content(f"{seed}:{dataset.keys[row]}"), dataset.hashes[row]))
        taken += own[: max(1, math.ceil(share * len(own) - 1e-9))]
    return np.array(sorted(taken), np.int64)
