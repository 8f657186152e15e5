"""Scores of predicted classes: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tellapart.metrics.intervals import estimate_proportion
from tellapart.records import ClassScore

Counts = NDArray[np.int64]


def count_confusions(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> Counts:
    """Return (classes, classes) counts: row is the true class, column the predicted one.

    >>> count_confusions(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def score_classes(confusion: Counts, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Return precision, recall (with Wilson interval) and F1 of each class.

    A ratio with nothing below the line is 0, as in scikit-learn's ``zero_division=0``.
    """
    scores = []
    for index, name in enumerate(names):
        hits = int(confusion[index, index])
        support, named = int(confusion[index].sum()), int(confusion[:, index].sum())
        scores.append(
            ClassScore(
                name=name,
                precision=hits / named if named else 0.0,
                recall=estimate_proportion(hits, support),
                f1=2 * hits / (support + named) if support + named else 0.0,
                support=support,
            )
        )
    return tuple(scores)


def compute_loss(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy in nats of (n, classes) logits."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sum - shifted[np.arange(len(truth)), truth]).mean())


def compute_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax of (n, classes) logits."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
