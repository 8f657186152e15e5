"""How large is large enough: where the accuracies of a sweep come within a margin of the best."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tellapart.metrics.intervals import LEVEL
from tellapart.metrics.layout import Layout
from tellapart.records import Knee

PARTS = 64
"""Into how many parts, equal on a logarithmic scale, the space between two sizes is cut."""


def estimate_knee(
    sizes: Sequence[int], fit: Layout, best: int, limit: float, level: float = LEVEL
) -> Knee:
    """Return the size from which on no more than ``limit`` is lost to the best one.

    Between two sizes that were tried the accuracy is taken to be a straight line over the
    logarithm of the size. The interval begins where no smaller size is left that is shown to lose
    more, and ends at the first one beyond that is shown to lose no more: the band of a t-test
    around the line is read at the height of ``limit``, as in calibration (Fieller 1954). So it
    moves little where a figure moves little, on whichever side of the limit a size lies that was
    tried. The best of many is partly so by luck, which makes others seem to lose more: that a
    size loses more is shown at the level of Bonferroni's correction for their number.

    Args:
        sizes: in rising order, those of ``fit``.
        best: the place of the best one.
        limit: a difference of accuracy, as a fraction.

    >>> from tellapart.metrics.layout import fit_layout
    >>> fit = fit_layout([{0: 0.50, 1: 0.50}, {0: 0.54, 1: 0.54}, {0: 0.56, 1: 0.56}])
    >>> round(estimate_knee([16, 32, 64], fit, 2, 0.04).value, 1)
    22.6
    """
    contrasts, found = draw_contrasts(sizes, best)
    losses = -contrasts @ np.array(fit.means)
    variances = np.einsum("pi,ij,pj->p", contrasts, fit.weights, contrasts)
    errors = fit.spread * np.sqrt(np.maximum(0.0, variances))
    slack = limit + 1e-12
    missed = (1 - level) / 2
    corrected = min(missed, 2 * missed / max(1, len(sizes) - 1))
    below = losses - float(stats.t.ppf(1 - corrected, fit.freedom)) * errors > slack
    within = losses <= slack
    shown = losses + float(stats.t.ppf(1 - missed, fit.freedom)) * errors <= slack
    start = int(np.flatnonzero(below)[-1]) + 1 if below.any() else 0
    return Knee(
        value=float(found[start + int(np.argmax(within[start:]))]),
        low=float(found[start]),
        high=float(found[start + int(np.argmax(shown[start:]))]),
    )


def draw_contrasts(
    sizes: Sequence[int], best: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what makes means of sizes into differences from the best, (points, sizes), and where.

    The points lie on the line from the smallest size to the best; the last one is the best.
    """
    shares = np.arange(PARTS) / PARTS
    contrasts = np.zeros((best * PARTS + 1, len(sizes)))
    found = np.full(best * PARTS + 1, float(sizes[best]))
    for place in range(best):
        rows = slice(place * PARTS, (place + 1) * PARTS)
        contrasts[rows, place] = 1 - shares
        contrasts[rows, place + 1] = shares
        found[rows] = sizes[place] * (sizes[place + 1] / sizes[place]) ** shares
    contrasts[-1, best] = 1
    contrasts[:, best] -= 1
    return contrasts, found


def list_possible(sizes: Sequence[int], knee: Knee, taken: int) -> tuple[int, ...]:
    """Return the sizes tried, but for ``taken``, that may be the first one beyond a knee.

    >>> list_possible((32, 64, 128, 256, 512), Knee(value=99, low=61, high=171), 128)
    (64, 256)
    """
    first, last = bisect_left(sizes, knee.low), bisect_left(sizes, knee.high)
    return tuple(size for size in sizes[first : last + 1] if size != taken)
