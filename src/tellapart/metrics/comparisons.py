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
FEW = 3
"""Pairs up to which all are compared in words, where none were named beforehand."""


def compare_pairs(
    correct: dict[str, Correct],
    labels: dict[str, str],
    say: Callable[[Comparison, str, str], str],
    named: Sequence[tuple[str, str]] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> tuple[Comparison, ...]:
    """Compare every two trained models by which of the same n images each got right.

    The test is McNemar's, the interval of the difference Tango's (Statistics in Medicine 17:891,
    1998), which inverts it: where one excludes 0, so does the other. Where images come in groups
    both are of fewer images, by the design effect: the test is then that of Durkalski et al.
    (Statistics in Medicine 22:2417, 2003). Pairs that were ``named``
    beforehand are corrected among themselves by Bonferroni's method, p and interval alike, and
    said in a sentence; all others are corrected among themselves by Holm's, which has no intervals.

    Args:
        correct: (n,) booleans of each model.
        labels: what a sentence calls each model.
        say: makes the sentence of a comparison, with what it calls the first and the second.
        named: pairs of names; None: all, where they are ``FEW``.
        groups: of the images, (n,).
    """
    pairs = list(itertools.combinations(correct, 2))
    if named is None:
        named = pairs if len(pairs) <= FEW else ()
    others = [pair for pair in pairs if pair not in named]
    counts = {
        (a, b): (int((correct[a] & ~correct[b]).sum()), int((correct[b] & ~correct[a]).sum()))
        for a, b in pairs
    }
    levels = {pair: ALPHA / len(named) if pair in named else ALPHA for pair in pairs}
    effects = {(a, b): find_effect(correct[a], correct[b], groups, levels[a, b]) for a, b in pairs}
    p_values = {
        pair: compute_mcnemar(b / effects[pair], c / effects[pair])
        for pair, (b, c) in counts.items()
    }
    holm = dict(zip(others, correct_holm([p_values[pair] for pair in others]), strict=True))
    found = []
    for pair in pairs:
        (b, c), n = counts[pair], len(correct[pair[0]])
        effect = effects[pair]
        low, high = interval_difference(b / effect, c / effect, n / effect, levels[pair])
        one = Comparison(
            first=pair[0],
            second=pair[1],
            difference=(c - b) / n,
            low=low,
            high=high,
            only_first=b,
            only_second=c,
            n=n,
            effect=effect,
            p_value=holm[pair] if pair in holm else min(1.0, p_values[pair] * len(named)),
            named=pair in named,
            sentence="",
        )
        if one.named:
            one = one.model_copy(update={"sentence": say(one, *(labels[name] for name in pair))})
        found.append(one)
    return tuple(found)


def find_effect(
    first: Correct, second: Correct, groups: NDArray[np.int64] | None = None, alpha: float = ALPHA
) -> float:
    """Return how many times larger groups of images make the variance of a difference, at least 1.

    Where there are few groups, from which it is measured, it is larger still, as Student's t is
    than the normal, at level ``alpha``. Of models that never differ each group says one thing.
    """
    if groups is None:
        return 1.0
    differing = int((first != second).sum())
    own = np.unique(groups, return_inverse=True)[1]
    count = int(own.max()) + 1
    if count == len(first):
        return 1.0
    if count == 1 or not differing:
        return len(first) / count
    sums = np.bincount(own, second.astype(float) - first)
    few = stats.t.ppf(1 - alpha / 2, count - 1) / stats.norm.ppf(1 - alpha / 2)
    return max(1.0, float(sums @ sums) / differing) * float(few) ** 2


def compute_mcnemar(only_first: float, only_second: float) -> float:
    """Return the two-sided p-value of McNemar's score test; 1 where the two never differ.

    >>> round(compute_mcnemar(10, 25), 3)
    0.011
    """
    if only_first + only_second == 0:
        return 1.0
    return float(stats.chi2.sf((only_second - only_first) ** 2 / (only_first + only_second), 1))


def interval_difference(
    only_first: float, only_second: float, n: float, alpha: float = ALPHA
) -> tuple[float, float]:
    """Return Tango's score interval of (second - first) accuracy on n paired images.

    Its limits are the differences that a score test at level ``alpha`` just does not reject.

    >>> [round(limit, 3) for limit in interval_difference(10, 25, 1000)]
    [0.004, 0.028]
    """
    limit = float(stats.norm.ppf(1 - alpha / 2))
    return (
        -_bound_difference(only_second, only_first, n, limit),
        _bound_difference(only_first, only_second, n, limit),
    )


def _bound_difference(b: float, c: float, n: float, limit: float) -> float:
    """Return the difference that what was seen lies ``limit`` standard errors below."""

    def miss(difference: float) -> float:
        linear = -(b + c) + (2 * n - c + b) * difference
        root = math.sqrt(max(0.0, linear**2 + 8 * n * b * difference * (1 - difference)))
        least = (root - linear) / (4 * n)  # the likeliest share that only the first gets right
        variance = n * max(0.0, 2 * least + difference * (1 - difference))
        return c - b - n * difference + limit * math.sqrt(variance)

    seen, most = (c - b) / n, 1 - 1e-9
    if miss(most) >= 0:
        return 1.0
    # where the two never differ there is a root at the difference that was seen, too
    return float(optimize.brentq(miss, seen + 1e-9, most))


GUESS = 0.15
"""The share of images on which two models disagree, before there are any."""


def find_detectable(differing: float, n: float, alpha: float = ALPHA) -> float:
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
