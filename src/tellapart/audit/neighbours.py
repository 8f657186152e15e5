"""Nearest neighbours among features, and what they tell: a bound on accuracy, and what lies far."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tellapart.data.dataset import Indices, Labels
from tellapart.metrics.intervals import estimate_share
from tellapart.records import Estimate
from tellapart.stop import check_stop

Points = NDArray[np.float32]
WIDTH = 128
"""Principal components that neighbours are looked for in."""
MOST = 10_000
"""Images that the components are found from, at most."""
KNOWN = 20_000
"""Images that neighbours are looked for among, at most."""
BLOCK = 1024
NEIGHBOURS = 10
"""Neighbours whose mean distance says how far an image is from all others."""
FENCE = 2.0
"""Interquartile ranges above the third quartile from which on a distance is far (Tukey 1977,
Exploratory Data Analysis): of a normal distribution, 1 in 2,700 is."""


def reduce_features(read: Callable[[Indices], NDArray[np.float16]], count: int) -> Points:
    """Return features of ``count`` images as unit vectors of up to ``WIDTH`` principal components.

    They are not centred, so that angles stay what they are (a truncated singular value
    decomposition). ``read`` returns those of some images, (k, width) by their places; few at a
    time are held.
    """
    some = read(np.arange(0, count, -(-count // MOST))).astype(np.float32)
    _, axes = np.linalg.eigh(some.T @ some)
    axes = axes[:, ::-1][:, :WIDTH]
    points = np.empty((count, axes.shape[1]), np.float32)
    for first in range(0, count, BLOCK):
        own = np.arange(first, min(first + BLOCK, count))
        points[own] = read(own).astype(np.float32) @ axes
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return points


def find_neighbours(points: Points, groups: Labels, count: int) -> tuple[Indices, Points]:
    """Return the ``count`` nearest of each of (n, width) unit vectors, and how far they are.

    The nearest first, by the cosine: distances are from 0 to 2. None is of the point's own group,
    and of more than ``KNOWN`` points so many, evenly spaced, are looked at.
    """
    n = len(points)
    known = np.arange(0, n, -(-n // KNOWN))
    others = points[known].T
    found, far = np.empty((n, count), np.int64), np.empty((n, count), np.float32)
    for first in range(0, n, BLOCK):
        check_stop()
        own = np.arange(first, min(first + BLOCK, n))
        distances = 1 - points[own] @ others
        distances[groups[own][:, None] == groups[known]] = np.inf
        near = np.argpartition(distances, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(distances, near, 1)
        order = np.argsort(values, axis=1, kind="stable")
        found[own] = known[np.take_along_axis(near, order, 1)]
        far[own] = np.take_along_axis(values, order, 1)
    return found, far


def bound_accuracy(agree: NDArray[np.bool_], groups: Labels, classes: int) -> Estimate:
    """Return a bound on the best accuracy from (n,) nearest neighbours that have the same label.

    With the limits of the 95 % interval of their share. Where neighbours are as near as in endless
    data, a share ``r`` that disagrees means that any classifier is wrong on at least
    ``b (1 - sqrt(1 - r / b))``, where ``b`` is (classes - 1) / classes (Cover and Hart 1967, IEEE
    Transactions on Information Theory 13:21). In real data they lie further off and disagree more,
    so that more may be reached, above all from other features.

    >>> agree = np.arange(1000) % 2 == 0
    >>> round(bound_accuracy(agree, np.arange(1000), 2).value, 3)
    0.5
    """
    share = estimate_share(agree, groups)
    value, low, high = (_bound(1 - one, classes) for one in (share.value, share.low, share.high))
    return Estimate(value=value, low=low, high=high, n=share.n)


def _bound(differ: float, classes: int) -> float:
    most = (classes - 1) / classes
    return 1 - most * (1 - math.sqrt(max(0.0, 1 - differ / most)))


def find_far(distances: NDArray[np.float64]) -> Indices:
    """Return which of (n,) distances to others are far out among them, the farthest first."""
    low, high = np.quantile(distances, (0.25, 0.75))
    far = np.flatnonzero(distances > high + FENCE * (high - low))
    return far[np.argsort(-distances[far], kind="stable")]
