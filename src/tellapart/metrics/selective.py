"""When to answer: calibrated probabilities, and a threshold that keeps a promised error."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tellapart.records import Surest

GRID, STARTS, STRIDE = 200, 3, 10
"""Rows of a risk-coverage curve; from how many of them, and how far apart, thresholds are tried."""
CHANCE = 0.05
"""How often the promise may fail, over the images that it was set on."""


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return what (n, classes) logits are divided by so that their log loss is least, 0.05 to 20.

    Guo et al. (2017), On Calibration of Modern Neural Networks, ICML.
    """
    from scipy import optimize, special

    def measure(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / math.exp(log_temperature)
        own = scaled[np.arange(len(truth)), truth]
        return float((special.logsumexp(scaled, axis=1) - own).mean())

    bounds = (math.log(0.05), math.log(20))
    return math.exp(optimize.minimize_scalar(measure, bounds=bounds, method="bounded").x)


def list_surest(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Surest, ...]:
    """Return the risk-coverage curve of (n,) answers: of the surest so many, how many are wrong.

    At most ``GRID`` rows, evenly spaced; equal confidences are in one row.
    """
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = confidence[order], np.cumsum(~right[order])
    last = np.flatnonzero(np.append(sure[1:] < sure[:-1], True)) if len(sure) else np.empty(0, int)
    places = np.unique(last[np.linspace(0, len(last) - 1, min(GRID, len(last))).astype(int)])
    return tuple(
        Surest(count=int(place) + 1, wrong=int(wrong[place]), threshold=float(sure[place]))
        for place in places
    )


def choose_surest(curve: Sequence[Surest], error: float) -> Surest | None:
    """Return the row of a curve below whose threshold no answer is given; None where none will do.

    Among the images that are answered, the share that is wrong is at most ``error``, unless the
    images that the curve was measured on misled, which they do in at most ``CHANCE`` of the cases.
    That holds for new images of the same kind as these, which must have chosen nothing else.

    Learn then test (Angelopoulos et al. 2021, arXiv 2110.01052): from ``STARTS`` places of the
    curve, ever more images are answered as long as an exact binomial test refutes that the error is
    too large.
    """
    level = CHANCE / STARTS
    least = math.ceil(math.log(level) / math.log1p(-error))  # all right is enough from here on
    rows = [row for row in curve if row.count >= least]
    best = None
    for start in range(STARTS):
        for row in rows[start * len(rows) // STARTS :: STRIDE]:
            if bound_chance(row.wrong, row.count, error) > level:
                break
            if best is None or row.count > best.count:
                best = row
    return best


def bound_chance(wrong: int, count: int, error: float) -> float:
    """Return how likely at most so many wrong answers of ``count`` are, each with ``error``.

    >>> round(bound_chance(1, 10, 0.1), 4)
    0.7361
    """
    terms = (
        math.lgamma(count + 1)
        - math.lgamma(one + 1)
        - math.lgamma(count - one + 1)
        + one * math.log(error)
        + (count - one) * math.log1p(-error)
        for one in range(wrong + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))
