"""Is one model better than another? Paired tests on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from tellapart.records import Comparison

Correct = NDArray[np.bool_]

ALPHA, POWER = 0.05, 0.8
"""The level of the tests, and how often a difference that is called detectable is shown."""
RESAMPLES = 10_000


def compare_pairs(correct: dict[str, Correct], labels: dict[str, str]) -> tuple[Comparison, ...]:
    """Compare every two models by which of the same n images each got right.

    ``correct[name]`` is (n,) booleans; ``labels[name]`` is how a sentence calls the model. The
    p-value is the exact McNemar test (a binomial test on the images where just one of the two
    is right), corrected for the number of comparisons by Holm's method; the interval of the
    difference is Agresti and Min's (Statistics in Medicine 24:729, 2005), for where two models
    hardly differ the bootstrap's, which is given beside it, has no width. The interval is of one
    comparison, not corrected.
    """
    names = list(correct)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    raw = []
    for first, second in pairs:
        only_first = int((correct[first] & ~correct[second]).sum())
        only_second = int((correct[second] & ~correct[first]).sum())
        raw.append((only_first, only_second, compute_mcnemar(only_first, only_second)))
    corrected = correct_holm([p for _, _, p in raw])
    found = []
    for (first, second), (b, c, p), holm in zip(pairs, raw, corrected, strict=True):
        n = len(correct[first])
        low, high = interval_difference(b, c, n)
        bootstrap = bootstrap_difference(b, c, n)
        seen = find_detectable(b + c, n, ALPHA / len(pairs))
        found.append(
            Comparison(
                first=first,
                second=second,
                difference=(c - b) / n,
                low=low,
                high=high,
                bootstrap_low=bootstrap[0],
                bootstrap_high=bootstrap[1],
                detectable=seen,
                only_first=b,
                only_second=c,
                n=n,
                p_value=p,
                p_holm=holm,
                sentence=_say(labels[first], labels[second], (b, c, n), (low, high), (holm, seen)),
            )
        )
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

    Images are drawn with replacement, ``RESAMPLES`` times, each with what both models made of it
    (Efron and Tibshirani 1993, chapter 13). An image says one of three things, so that their
    counts are drawn instead. The same counts give the same interval.
    """
    shares = [only_first / n, only_second / n, 1 - (only_first + only_second) / n]
    counts = np.random.default_rng(0).multinomial(n, shares, RESAMPLES)
    low, high = np.quantile((counts[:, 1] - counts[:, 0]) / n, [0.025, 0.975])
    return float(low), float(high)


def find_detectable(differing: int, n: int, alpha: float = ALPHA) -> float:
    """Return the smallest difference of accuracy that McNemar's test would show, of n images.

    The difference d for which the test at level ``alpha`` has a power of ``POWER``, where the
    models disagree about as many images as they did: the root of Connor's formula (Biometrics
    43:207, 1987), ``d sqrt(n) = z(1 - alpha/2) sqrt(q) + z(power) sqrt(q - d^2)``, q being the
    share of images on which they disagree, at least d. 1 where no difference would do.

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
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _say(
    first: str,
    second: str,
    counts: tuple[int, int, int],
    interval: tuple[float, float],
    test: tuple[float, float],
) -> str:
    only_first, only_second, n = counts
    p, seen = test
    points = 100 * abs(only_second - only_first) / n
    if p >= ALPHA:
        edge = 100 * max(abs(interval[0]), abs(interval[1]))
        shown = (
            f"A true difference of {100 * seen:.1f} points would have been shown four times in "
            "five."
            if seen < 1
            else "So few images could show no difference at all."
        )
        sentence = (
            f"{first} and {second} cannot be told apart on these {n:,} images: they differ by "
            f"{points:.1f} points, which chance could explain (corrected {_say_p(p)}). "
            f"The true difference is hardly above {edge:.1f} points. {shown}"
        )
    else:
        better, worse = (second, first) if only_second > only_first else (first, second)
        low, high = sorted(100 * abs(edge) for edge in interval)
        sentence = (
            f"{better} is better than {worse} by {points:.1f} points "
            f"({low:.1f} to {high:.1f}; corrected {_say_p(p)})."
        )
    # the name of a folder stays as it is
    return sentence[0].upper() + sentence[1:] if sentence.startswith("the ") else sentence


def _say_p(p: float) -> str:
    """Say a p-value, small ones as a bound.

    >>> _say_p(4.8e-64), _say_p(0.0413)
    ('p < 0.001', 'p = 0.041')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
