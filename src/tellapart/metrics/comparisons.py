"""Is one model better than another? Paired tests on the same images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from tellapart.records import ALPHA, Comparison

Correct = NDArray[np.bool_]

POWER = 0.8
"""How often a difference that is called detectable is shown."""
RESAMPLES = 10_000


def compare_pairs(
    correct: dict[str, Correct], labels: dict[str, str], say: Callable[[Comparison, str, str], str]
) -> tuple[Comparison, ...]:
    """Compare every two models by which of the same n images each got right.

    The p-value is the exact McNemar test's (a binomial test on the images where just one of the two
    is right), corrected by Holm's method. The interval of the difference, of one comparison, is
    Agresti and Min's (Statistics in Medicine 24:729, 2005): that of the bootstrap, given beside it,
    has no width where two models hardly differ.

    Args:
        correct: (n,) booleans of each model.
        labels: what a sentence calls each model.
        say: makes the sentence of a comparison, with what it calls the first and the second.
    """
    pairs = list(itertools.combinations(correct, 2))
    counts = [
        (int((correct[a] & ~correct[b]).sum()), int((correct[b] & ~correct[a]).sum()))
        for a, b in pairs
    ]
    p_values = [compute_mcnemar(*both) for both in counts]
    found = []
    for (first, second), (b, c), p, holm in zip(
        pairs, counts, p_values, correct_holm(p_values), strict=True
    ):
        n = len(correct[first])
        low, high = interval_difference(b, c, n)
        bootstrap = bootstrap_difference(b, c, n)
        one = Comparison(
            first=first,
            second=second,
            difference=(c - b) / n,
            low=low,
            high=high,
            bootstrap_low=bootstrap[0],
            bootstrap_high=bootstrap[1],
            detectable=find_detectable(b + c, n, ALPHA / len(pairs)),
            only_first=b,
            only_second=c,
            n=n,
            p_value=p,
            p_holm=holm,
            sentence="",
        )
        sentence = say(one, labels[first], labels[second])
        found.append(one.model_copy(update={"sentence": sentence}))
    return tuple(found)


def compute_mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact McNemar p-value; 1 where the two never differ.

    >>> compute_mcnemar(0, 5)
    0.0625
    """
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_second, only_first + only_second, 0.5).pvalue)


def interval_difference(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of (second - first) accuracy on n paired images.

    Agresti and Min: half an image is added to each of the four cells of the paired table.
    """
    b, c, total = only_first + 0.5, only_second + 0.5, n + 2
    middle = (c - b) / total
    half = 1.959964 * math.sqrt((b + c) - (c - b) ** 2 / total) / total
    return max(-1.0, middle - half), min(1.0, middle + half)


def bootstrap_difference(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of the paired bootstrap of (second - first) accuracy.

    Efron and Tibshirani 1993, chapter 13. Images are drawn ``RESAMPLES`` times, each with what both
    models made of it: one of three things, of which the counts are drawn instead.
    """
    shares = [only_first / n, only_second / n, 1 - (only_first + only_second) / n]
    counts = np.random.default_rng(0).multinomial(n, shares, RESAMPLES)
    low, high = np.quantile((counts[:, 1] - counts[:, 0]) / n, [0.025, 0.975])
    return float(low), float(high)


def find_detectable(differing: int, n: int, alpha: float = ALPHA) -> float:
    """Return the smallest difference of accuracy that McNemar's test would show, of n images.

    The difference d for which the test at level ``alpha`` has a power of ``POWER``: the root of
    Connor's formula (Biometrics 43:207, 1987), ``d sqrt(n) = z(1 - alpha/2) sqrt(q) + z(power)
    sqrt(q - d^2)``, q being the share of images on which the models disagree, at least d. 1 where
    no difference would do.

    >>> round(find_detectable(100, 1000), 3)
    0.028
    """
    share = (differing + 1) / (n + 2)
    level, power = (float(stats.norm.ppf(p)) for p in (1 - alpha / 2, POWER))

    def miss(difference: float) -> float:
        q = max(share, difference)
        reach = level * math.sqrt(q) + power * math.sqrt(q - difference**2)
        return reach - difference * math.sqrt(n)

    if miss(1.0) > 0:
        return 1.0
    return float(optimize.brentq(miss, 0.0, 1.0))


def correct_holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given (Holm 1979).

    >>> correct_holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, float)
    order = np.argsort(given, kind="stable")
    raised = np.minimum(1.0, given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.maximum.accumulate(raised)
    found: list[float] = adjusted.tolist()
    return found
