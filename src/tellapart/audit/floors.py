"""What is right on val without a network: what a model has to beat before it has learned to see."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from tellapart.audit.checks.check import Looked
from tellapart.data.copies import average_cells
from tellapart.data.dataset import Pixels
from tellapart.metrics.intervals import estimate_share
from tellapart.records import Estimate
from tellapart.stop import check_stop

COMMONEST, COLOURS, NEAREST = "commonest class", "colours alone", "nearest picture"
LEVELS = 4
"""Shades of each colour that a histogram tells apart."""
GRID = 8
"""Pixels of a side in which the nearest picture is looked for."""
MOST = 20_000
"""Training images that the colours are learned from, at most."""


def measure_floors(looked: Looked) -> dict[str, Estimate]:
    """Return the accuracy on val of three ways to answer without a network, by what they are.

    The commonest class of train; logistic regression on a histogram of colours; and the class of
    the training image that is nearest in 8 x 8 pixels.
    """
    dataset, thumbs = looked.dataset, looked.thumbs
    train, val, labels = looked.split.train, looked.split.val, dataset.labels
    if not len(val):
        return {}
    groups = dataset.find_groups(val)
    common = np.bincount(labels[train], minlength=len(dataset.classes)).argmax()
    answers = {COMMONEST: np.full(len(val), common)}
    check_stop()
    answers[COLOURS] = _learn_colours(thumbs, labels, train, val)
    check_stop()
    answers[NEAREST] = labels[train][_find_nearest(thumbs[train], thumbs[val])]
    return {name: estimate_share(found == labels[val], groups) for name, found in answers.items()}


def count_colours(thumbs: Pixels) -> NDArray[np.float32]:
    """Return roots of the shares of colours, (n, 64) of (n, 32, 32, 3) uint8; of grey (n, 16)."""
    count, channels = len(thumbs), thumbs.shape[3]
    levels = LEVELS if channels == 3 else LEVELS**2
    steps = thumbs.reshape(count, -1, channels) // (256 // levels)
    codes = steps @ np.array([levels**place for place in range(channels)], np.uint8)
    bins = levels**channels
    codes = codes.astype(np.int64) + bins * np.arange(count)[:, None]
    found = np.bincount(codes.ravel(), minlength=bins * count).reshape(count, bins)
    shares: NDArray[np.float32] = np.sqrt(found / codes.shape[1]).astype(np.float32)
    return shares


def _learn_colours(
    thumbs: Pixels, labels: NDArray[np.int64], train: NDArray[np.int64], val: NDArray[np.int64]
) -> NDArray[np.int64]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    some = train[:: -(-len(train) // MOST)]
    if len(np.unique(labels[some])) < 2:
        return np.full(len(val), labels[some[0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=10.0).fit(count_colours(thumbs[some]), labels[some])
    return np.asarray(model.predict(count_colours(thumbs[val])))


def _find_nearest(train: Pixels, asked: Pixels) -> NDArray[np.int64]:
    from sklearn.neighbors import NearestNeighbors

    known, new = (average_cells(one, GRID).reshape(len(one), -1) for one in (train, asked))
    finder = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(known)
    return np.asarray(finder.kneighbors(new, return_distance=False)[:, 0])
