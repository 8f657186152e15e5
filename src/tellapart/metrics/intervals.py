"""Intervals: how far a measured proportion may be from the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from tellapart.records import Estimate

LEVEL = 0.95


def estimate_proportion(hits: int, n: int) -> Estimate:
    """Return hits/n with its 95 % Wilson score interval.

    Wilson (1927), Journal of the American Statistical Association 22:209. With n = 0 the value
    is 0 and the interval is all of [0, 1].

    >>> e = estimate_proportion(85, 100)
    >>> round(e.low, 3), round(e.high, 3)
    (0.767, 0.907)
    """
    if n == 0:
        return Estimate(value=0.0, low=0.0, high=1.0, n=0)
    interval = stats.binomtest(hits, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(value=hits / n, low=float(interval.low), high=float(interval.high), n=n)


def pool_spread(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the pooled standard deviation within groups, and its degrees of freedom.

    With no group of two or more the answer is (nan, 0).
    """
    freedom = sum(len(group) - 1 for group in groups)
    if freedom <= 0:
        return math.nan, 0
    squares = sum(len(group) * float(np.var(group)) for group in groups if len(group))
    return math.sqrt(squares / freedom), freedom


def estimate_mean(values: Sequence[float], n: int, spread: float, freedom: int) -> Estimate:
    """Return the mean accuracy over seeds with a 95 % interval for both kinds of chance.

    On each side, the half-width of the seeds (``spread`` over the root of their number, with
    Student's t on ``freedom``) and that of the n images (Wilson) add as squares (Zou and Donner
    2008). With one seed, or no measured spread, it is that of the images alone.
    """
    mean = sum(values) / len(values)
    images = estimate_proportion(round(mean * n), n)
    if freedom < 1:
        return images.model_copy(update={"value": mean})
    seeds = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * spread / math.sqrt(len(values))
    below = math.hypot(seeds, images.value - images.low)
    above = math.hypot(seeds, images.high - images.value)
    return Estimate(value=mean, low=max(0.0, mean - below), high=min(1.0, mean + above), n=n)
