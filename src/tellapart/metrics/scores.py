"""Scores of predicted classes: pure functions on arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import SettingError, suggest_name
from tellapart.metrics.intervals import LEVEL, count_effective, estimate_proportion, estimate_share
from tellapart.records import ALPHA, ClassScore, Estimate, Hardest

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]
Classes = NDArray[np.int64]

RESAMPLES = 1000
"""Samples of the images that a bootstrap draws."""


@dataclass(frozen=True)
class Score:
    """A figure that choices are made by, higher is better, and its name in words.

    ``function`` takes three arrays of (..., classes) numbers: the images of each class that are
    right, those that are of it, and those that are called it; it gives (...) scores. The numbers
    may be weights, as where images are drawn again. ``mean_of`` is the score of a class whose mean
    it is, if it is one.
    """

    title: str
    function: Callable[[Numbers, Numbers, Numbers], Numbers]
    mean_of: Literal["", "recall", "f1"] = ""


def score_accuracy(right: Numbers, true: Numbers, named: Numbers) -> Numbers:
    """Return the share of images that are right."""
    return np.asarray(right.sum(-1) / true.sum(-1))


def score_balanced(right: Numbers, true: Numbers, named: Numbers) -> Numbers:
    """Return the mean recall of the classes that have images.

    >>> float(score_balanced(np.array([3.0, 0.0]), np.array([3.0, 1.0]), np.array([4.0, 0.0])))
    0.5
    """
    recall = np.divide(right, true, out=np.zeros(right.shape), where=true > 0)
    return np.asarray(recall.sum(-1) / (true > 0).sum(-1))


def score_macro_f1(right: Numbers, true: Numbers, named: Numbers) -> Numbers:
    """Return the mean F1 of the classes that have images or are predicted."""
    both = true + named
    f1 = np.divide(2 * right, both, out=np.zeros(right.shape), where=both > 0)
    return np.asarray(f1.sum(-1) / (both > 0).sum(-1))


SCORES: dict[str, Score] = {
    "accuracy": Score("accuracy", score_accuracy),
    "balanced_accuracy": Score("balanced accuracy", score_balanced, "recall"),
    "macro_f1": Score("macro F1", score_macro_f1, "f1"),
}


def find_score(name: str) -> Score:
    """Return the score of a name.

    Raises:
        SettingError: there is none.
    """
    if name not in SCORES:
        raise SettingError(
            f"metric must be one of {', '.join(SCORES)}, but got {name!r}"
            f"{suggest_name(name, SCORES)}"
        )
    return SCORES[name]


def compute_score(name: str, truth: Classes, predicted: Classes, classes: int) -> float:
    """Return a score of (n,) predictions."""
    pairs, counts = np.unique(truth * classes + predicted, return_counts=True)
    return float(_score_weighted(name, pairs, counts.astype(np.float64), classes))


def estimate_score(
    name: str, truth: Classes, predicted: Classes, classes: int, groups: Classes | None = None
) -> Estimate:
    """Return a score of (n,) predictions with its 95 % interval.

    That of accuracy is Wilson's; that of another is the percentile bootstrap's over images (Efron
    1979), or over ``groups`` (n,) of them, always the same for the same predictions. That of a mean
    over classes is at least as wide as follows from those of the classes, added as squares (Zou and
    Donner 2008): one that is all right varies in no resample. No images have the score 0, and no
    limits.

    Raises:
        SettingError: there is no such score.
    """
    n = len(truth)
    if name == "accuracy" or n == 0:
        find_score(name)
        return estimate_share(truth == predicted, groups)
    value = compute_score(name, truth, predicted, classes)
    # images with the same true and predicted class are alike, so how many of each is drawn
    pairs, place = np.unique(truth * classes + predicted, return_inverse=True)
    rng = np.random.default_rng(0)
    if groups is None:
        drawn = rng.multinomial(n, np.bincount(place) / n, size=RESAMPLES).astype(np.float64)
    else:
        own = np.unique(groups, return_inverse=True)[1]
        from scipy import sparse

        table = sparse.coo_array((np.ones(n), (own, place))).tocsr()
        times = rng.multinomial(
            table.shape[0], np.full(table.shape[0], 1 / table.shape[0]), RESAMPLES
        )
        drawn = np.asarray(times @ table)
    again = _score_weighted(name, pairs, drawn, classes)
    low, high = np.quantile(again, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    if mean_of := find_score(name).mean_of:
        part = count_effective(truth == predicted, groups) / n if groups is not None else 1.0
        confusion = count_confusions(truth, predicted, classes)
        rows = score_classes(confusion, [str(one) for one in range(classes)], part)
        means = [one for one in (getattr(row, mean_of) for row in rows) if one.n]
        low = min(low, value - math.hypot(*(one.value - one.low for one in means)) / len(means))
        high = max(high, value + math.hypot(*(one.high - one.value for one in means)) / len(means))
    return Estimate(value=value, low=max(0.0, min(low, value)), high=min(1.0, high), n=n)


def _score_weighted(name: str, pairs: Classes, weights: Numbers, classes: int) -> Numbers:
    """Return (...) scores of (..., k) weights of pairs, ``true class * classes + predicted``."""
    every = np.eye(classes)
    true, named = every[pairs // classes], every[pairs % classes]
    return find_score(name).function(weights @ (true * named), weights @ true, weights @ named)


def count_confusions(truth: Classes, predicted: Classes, classes: int) -> Counts:
    """Return (classes, classes) counts: row is the true class, column the predicted one.

    >>> count_confusions(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def score_classes(
    confusion: Counts, names: Sequence[str], part: float = 1.0
) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of each class, each with Wilson's interval.

    That of F1 follows from that of the share ``J`` of hits among all images that are of the class
    or called it: ``F1 = 2 J / (1 + J)``. A ratio with nothing below the line is 0, as in
    scikit-learn's ``zero_division=0``, and says nothing: its interval is all of [0, 1]. ``part`` of
    the images is independent, where some are copies.
    """
    scores = []
    for index, name in enumerate(names):
        hits = int(confusion[index, index])
        support, named = int(confusion[index].sum()), int(confusion[:, index].sum())
        scores.append(
            ClassScore(
                name=name,
                precision=estimate_proportion(hits, named, part),
                recall=estimate_proportion(hits, support, part),
                f1=_find_f1(estimate_proportion(hits, support + named - hits, part)),
                support=support,
            )
        )
    return tuple(scores)


def _find_f1(hits: Estimate) -> Estimate:
    value, low, high = (2 * share / (1 + share) for share in (hits.value, hits.low, hits.high))
    return Estimate(value=value, low=low, high=high, n=hits.n)


def find_hardest(confusion: Counts, names: Sequence[str], part: float = 1.0) -> Hardest | None:
    """Return the class whose recall lies below that of all beyond chance, if there is one.

    By a binomial test of each class against the accuracy, corrected for their number (Bonferroni);
    and what its images are called more often than any other answer, by the same test. ``part`` of
    the images is independent, where some are copies.
    """
    from scipy import stats

    hits, supports = confusion.diagonal(), confusion.sum(1)
    overall, count = hits.sum() / max(1, supports.sum()), int((supports > 0).sum())
    p_values = np.where(
        supports > 0,
        stats.binom.cdf(np.round(part * hits), np.round(part * supports), overall) * count,
        1.0,
    )
    place = int(p_values.argmin())
    if p_values[place] >= ALPHA:
        return None
    mistakes = np.where(np.arange(len(names)) == place, 0, confusion[place])
    others, most = len(names) - 1, int(mistakes.argmax())
    seen, of = round(part * mistakes[most]), round(part * mistakes.sum())
    chance = stats.binom.sf(seen - 1, of, 1 / max(1, others)) * others
    return Hardest(
        name=names[place],
        recall=estimate_proportion(int(hits[place]), int(supports[place]), part),
        taken_for=names[most] if others > 1 and chance < ALPHA else "",
    )


def compute_loss(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy in nats of (n, classes) logits."""
    from scipy import special

    logs = special.log_softmax(logits.astype(np.float64), axis=1)
    return float(-logs[np.arange(len(truth)), truth].mean())


def compute_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax of (n, classes) logits."""
    from scipy import special

    return np.asarray(special.softmax(logits.astype(np.float64), axis=1))
