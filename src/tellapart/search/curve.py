"""A smooth curve through the accuracies of a sweep: all sizes say where it comes near its best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from tellapart.metrics.layout import Layout
from tellapart.metrics.learning import Curve, fit_curve
from tellapart.records import CurveRecord
from tellapart.search.standing import Standing

FEWEST_SIZES = 5
"""Sizes from which a misfit of the curve's three parameters can be seen, with two degrees of
freedom."""
MISFIT = 0.2
"""The p below which the curve is not used: a preliminary test, so stricter than 0.05 (Bancroft
1944)."""


def draw_curve(sizes: Sequence[int], fit: Layout) -> Curve | None:
    """Return an inverse power law through the means of all sizes, or None where it does not fit.

    Whether it fits is told by the F-test of lack of fit: the squares that it leaves, in terms of
    the chance of seeds (exact where all sizes have the same ones). The more seeds, the smaller a
    misfit that is seen. None too where there are fewer than ``FEWEST_SIZES`` sizes, no chance is
    measured, or nothing rises.

    Args:
        sizes: in rising order, those of ``fit``.

    >>> from tellapart.metrics.layout import fit_layout
    >>> rising = [0.50, 0.58, 0.62, 0.64, 0.65]
    >>> fit = fit_layout([{0: a + 0.01 * (i % 2), 1: a} for i, a in enumerate(rising)])
    >>> round(find_size(draw_curve([16, 32, 64, 128, 256], fit), 0.02))
    80
    """
    if len(sizes) < FEWEST_SIZES or fit.freedom < 1 or fit.spread <= 1e-12:
        return None
    curve = fit_curve(sizes, fit.means, 1 / np.diag(fit.weights))
    if curve.scale <= 0:
        return None
    left = np.array(fit.means) - [curve.predict(size) for size in sizes]
    freedom = len(sizes) - 3
    ratio = float(left @ np.linalg.pinv(fit.weights) @ left) / freedom / fit.spread**2
    return curve if stats.f.sf(ratio, freedom, fit.freedom) >= MISFIT else None


def find_size(curve: Curve, limit: float) -> float:
    """Return the size at which a curve loses ``limit`` to its largest size."""
    return float(curve.largest * (1 + limit / curve.scale) ** (-1 / curve.power))


def follow_curve(
    standings: Sequence[Standing], sizes: Sequence[int], enough: float
) -> list[Standing]:
    """Return the standings by the size that a curve finds large enough.

    A smaller one is worse where its own seeds tell it from the best: that it loses something is
    theirs to say, that it loses too much is the curve's. No larger one is.
    """
    return [
        replace(one, worse=size < enough and one.clearance > 1e-12)
        for one, size in zip(standings, sizes, strict=True)
    ]


def keep_curve(curve: Curve) -> CurveRecord:
    """Return a curve as it is recorded."""
    return CurveRecord(
        floor=curve.floor, scale=curve.scale, power=curve.power, largest=curve.largest
    )
