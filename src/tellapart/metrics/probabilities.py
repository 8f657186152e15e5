"""All scores of a tested model: of its classes and of its probabilities, each with its interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tellapart.metrics.intervals import LEVEL, estimate_share
from tellapart.metrics.scores import RESAMPLES, SCORES, Classes, Numbers, estimate_score
from tellapart.records import Estimate

BINS = 15
"""Of confidence, for the calibration error."""
TOP, TOP_FROM = 5, 20
"""Among how many answers the right one may be, and from how many classes that is shown."""

Weigh = Callable[[Numbers], float]
"""A score of n images of which each counts (n,) times, as where they are drawn again."""


def measure_labels(
    truth: Classes, predicted: Classes, classes: int, groups: Classes | None = None
) -> dict[str, Estimate]:
    """Return every score that (n,) predicted classes have, by name, with 95 % intervals."""
    return {name: estimate_score(name, truth, predicted, classes, groups) for name in SCORES}


def measure_scores(
    truth: Classes,
    probabilities: Numbers,
    groups: Classes | None = None,
    predicted: Classes | None = None,
) -> dict[str, Estimate]:
    """Return every score that (n, classes) probabilities have, by name, with 95 % intervals.

    What is ``predicted``, (n,), is the likeliest class unless told.

    Beside those of `SCORES`: ``top5`` from 20 classes; ``log_loss`` in nats, a probability of 0
    counting as 1e-15; ``brier``, the mean squared distance to the truth, summed over classes (0 to
    2); ``ece``, the expected calibration error in ``BINS`` bins of equal width (Guo et al. 2017);
    of two classes ``auc``, the area under the ROC curve. The intervals of log loss, Brier score and
    area are the percentile bootstrap's over images, or over ``groups`` (n,) of them; that of the
    calibration error is the basic bootstrap's (Davison and Hinkley 1997, 5.2), from
    0 on where as large a one is to be expected of a calibrated model by chance (Bröcker and Smith
    2007).
    """
    n, classes = probabilities.shape
    predicted = probabilities.argmax(1) if predicted is None else predicted
    found = measure_labels(truth, predicted, classes, groups)
    if n == 0:
        return found
    own = probabilities[np.arange(n), truth]
    if classes >= TOP_FROM:
        # of equally likely classes the first is named first
        ties = (probabilities == own[:, None]) & (np.arange(classes) < truth[:, None])
        before = ((probabilities > own[:, None]) | ties).sum(1)
        found[f"top{TOP}"] = estimate_share(before < TOP, groups)
    weighed = {
        "log_loss": weigh_mean(-np.log(np.clip(own, 1e-15, 1.0))),
        "brier": weigh_mean(np.square(probabilities).sum(1) - 2 * own + 1),
        "ece": weigh_calibration(probabilities.max(1), predicted == truth),
    }
    if classes == 2 and 0 < truth.sum() < n:
        weighed["auc"] = weigh_auc(probabilities[:, 1], truth == 1)
    units = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(units.max()) + 1
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {name: [] for name in weighed}
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(count, size=count), minlength=count)[units].astype(float)
        for name, weigh in weighed.items():
            drawn[name].append(weigh(times))
    for name, weigh in weighed.items():
        value = weigh(np.ones(n))
        low, high = np.nanquantile(drawn[name], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        if name == "ece":
            low, high = max(0.0, 2 * value - high), min(1.0, 2 * value - low)
            if value <= expect_calibration(probabilities.max(1), units, rng):
                low = 0.0
        found[name] = Estimate(value=value, low=min(low, value), high=max(high, value), n=n)
    return found


def weigh_mean(values: Numbers) -> Weigh:
    """Return the mean of (n,) values of images."""
    return lambda weights: float(weights @ values / weights.sum())


def weigh_calibration(confidence: Numbers, right: NDArray[np.bool_]) -> Weigh:
    """Return the expected calibration error, ``sum over bins |accuracy - confidence| * share``."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    missed = right - confidence
    return lambda weights: float(
        np.abs(np.bincount(bins, weights * missed, BINS)).sum() / weights.sum()
    )


def expect_calibration(confidence: Numbers, units: Classes, rng: np.random.Generator) -> float:
    """Return the calibration error that a calibrated model exceeds in 5 % of the cases.

    Images of one of ``units`` (n,), from 0 on, are right together.
    """
    n, count = len(confidence), int(units.max()) + 1
    drawn = [
        weigh_calibration(confidence, rng.random(count)[units] < confidence)(np.ones(n))
        for _ in range(RESAMPLES)
    ]
    return float(np.quantile(drawn, LEVEL))


def weigh_auc(scores: Numbers, positive: NDArray[np.bool_]) -> Weigh:
    """Return the area under the ROC curve: how often one of the class has more than one of not.

    Ties count half (Mann and Whitney 1947). Not a number where only one class was drawn.
    """
    place = np.unique(scores, return_inverse=True)[1]

    def weigh(weights: Numbers) -> float:
        above, below = (np.bincount(place, weights * one) for one in (positive, ~positive))
        below = np.pad(below, (0, len(above) - len(below)))
        pairs = above.sum() * below.sum()
        return float(above @ (np.cumsum(below) - below / 2) / pairs) if pairs else np.nan

    return weigh
