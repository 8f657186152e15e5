"""Intervals: how far a measured proportion may be from the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tellapart.records import Estimate

LEVEL = 0.95


def estimate_proportion(hits: int, n: int, part: float = 1.0) -> Estimate:
    """Return hits/n with its 95 % Wilson score interval, of the ``part`` that is independent.

    Wilson (1927), Journal of the American Statistical Association 22:209. With n = 0 the value
    is 0 and the interval is all of [0, 1].

    >>> e = estimate_proportion(85, 100)
    >>> round(e.low, 3), round(e.high, 3)
    (0.767, 0.907)
    """
    if n == 0:
        return Estimate(value=0.0, low=0.0, high=1.0, n=0)
    low, high = _bound_share(hits / n, max(1.0, part * n))
    return Estimate(value=hits / n, low=low, high=high, n=n)


def estimate_share(right: NDArray[np.bool_], groups: NDArray[np.int64] | None = None) -> Estimate:
    """Return the share of (n,) images that are right, with a 95 % interval.

    It is Wilson's; where images come in ``groups``, (n,), of as many as are independent.
    """
    n = len(right)
    if groups is None or n == 0:
        return estimate_proportion(int(right.sum()), n)
    value = float(right.mean())
    low, high = _bound_share(value, count_effective(right, groups))
    return Estimate(value=value, low=low, high=high, n=n)


def count_effective(right: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """Return how many independent images tell as much as (n,) images in groups do.

    Images over the design effect, which is how much larger the groups make the variance of the
    share; fewer still where there are few groups, from which it is measured (Korn and Graubard
    1998, Survey Methodology 24:193). Where all are right, or none, it is the number of groups.
    """
    n = len(right)
    own = np.unique(groups, return_inverse=True)[1]
    count, share = int(own.max()) + 1, float(right.mean())
    if count == n:
        return float(n)
    if count == 1 or share in (0.0, 1.0):
        return float(count)
    sums = np.bincount(own, right - share)
    effect = max(1.0, count / (count - 1) * float(sums @ sums) / (n * share * (1 - share)))
    from scipy import stats

    few = stats.t.ppf((1 + LEVEL) / 2, count - 1) / stats.t.ppf((1 + LEVEL) / 2, n - 1)
    return max(1.0, n / effect / float(few) ** 2)


def _bound_share(share: float, n: float) -> tuple[float, float]:
    """Return the limits of Wilson's interval."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def compare_shares(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return how likely shares of different images, each (hits, of), differ as much by chance.

    Of images in groups, as many as are independent.

    The chi-squared test of two by two counts with N - 1 in place of N (Campbell 2007, Statistics in
    Medicine 26:3661), two-sided; 1 where all are hits, or none.

    >>> round(compare_shares((8, 10), (40, 100)), 3)
    0.015
    """
    (hits, of), (others, count) = first, second
    share = (hits + others) / (of + count)
    spread = share * (1 - share) * (1 / of + 1 / count) * (of + count) / (of + count - 1)
    if not spread:
        return 1.0
    return 2 * NormalDist().cdf(-abs(hits / of - others / count) / math.sqrt(spread))


def pool_spread(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the pooled standard deviation within groups, and its degrees of freedom.

    With no group of two or more the answer is (nan, 0).
    """
    freedom = sum(len(group) - 1 for group in groups)
    if freedom <= 0:
        return math.nan, 0
    squares = sum(len(group) * float(np.var(group)) for group in groups if len(group))
    return math.sqrt(squares / freedom), freedom


def average_estimates(
    parts: Sequence[Estimate], spread: float, freedom: int, most: float = 1.0
) -> Estimate:
    """Return the mean of a score over seeds with a 95 % interval for both kinds of chance.

    On each side, the half-width of the seeds (``spread`` over the root of their number, with
    Student's t on ``freedom``) and that of the images, on average, add as squares (Zou and Donner
    2008). With one seed, or no measured spread, it is that of the images alone. No score is above
    ``most``.
    """
    mean, below, above = (
        sum(found) / len(parts)
        for found in zip(
            *((one.value, one.value - one.low, one.high - one.value) for one in parts), strict=True
        )
    )
    seeds = 0.0
    if freedom:
        from scipy import stats

        seeds = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * spread / math.sqrt(len(parts))
    low, high = mean - math.hypot(seeds, below), mean + math.hypot(seeds, above)
    return Estimate(value=mean, low=max(0.0, low), high=min(most, high), n=parts[0].n)
