"""Is one model better than another? Paired tests on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tellapart.records import Comparison

Correct = NDArray[np.bool_]


def compare_pairs(correct: dict[str, Correct], labels: dict[str, str]) -> tuple[Comparison, ...]:
    """Compare every two models by which of the same n images each got right.

    ``correct[name]`` is (n,) booleans; ``labels[name]`` is how a sentence calls the model. The
    p-value is the exact McNemar test (a binomial test on the images where just one of the two
    is right), corrected for the number of comparisons by Holm's method; the interval of the
    difference is Agresti and Min's (Statistics in Medicine 24:729, 2005).
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
        found.append(
            Comparison(
                first=first,
                second=second,
                difference=(c - b) / n,
                low=low,
                high=high,
                only_first=b,
                only_second=c,
                n=n,
                p_value=p,
                p_holm=holm,
                sentence=_say(labels[first], labels[second], (b, c, n), (low, high), holm),
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
    p: float,
) -> str:
    only_first, only_second, n = counts
    points = 100 * abs(only_second - only_first) / n
    if p >= 0.05:
        edge = 100 * max(abs(interval[0]), abs(interval[1]))
        sentence = (
            f"{first} and {second} cannot be told apart on these {n:,} images: they differ by "
            f"{points:.1f} points, which chance could explain (corrected p = {p:.2g}). "
            f"The true difference is hardly above {edge:.1f} points."
        )
    else:
        better, worse = (second, first) if only_second > only_first else (first, second)
        low, high = sorted(100 * abs(edge) for edge in interval)
        sentence = (
            f"{better} is better than {worse} by {points:.1f} points "
            f"({low:.1f} to {high:.1f}; corrected p = {p:.2g})."
        )
    return sentence[0].upper() + sentence[1:]
