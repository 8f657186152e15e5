"""Accuracies of sizes and seeds as a two-way layout: a size, a seed and chance make a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """The least-squares fit of ``accuracy = size + seed + chance``.

    ``means`` has one figure a size, for seeds of middling luck. ``spread`` is the standard
    deviation of chance on ``freedom`` degrees; nan on 0, where nothing measures it.
    """

    means: tuple[float, ...]
    spread: float
    freedom: int
    weights: NDArray[np.float64]

    def scale_error(self, first: int, second: int) -> float:
        """Return the standard error of a difference of two sizes, over ``spread``."""
        own = self.weights
        variance = own[first, first] + own[second, second] - 2 * own[first, second]
        return math.sqrt(max(0.0, float(variance)))


def fit_layout(groups: Sequence[Mapping[int, float]]) -> Layout:
    """Fit sizes and seeds to the accuracy by seed of each size; a size may lack seeds.

    A seed may have been lucky with all sizes (they saw the same images in the same order), which
    says nothing about sizes: that part is taken out. Two sizes with the same seeds are compared as
    by the paired t-test.

    >>> fit = fit_layout([{0: 0.5, 1: 0.6}, {0: 0.7, 1: 0.8}])
    >>> [round(mean, 2) for mean in fit.means], fit.freedom
    ([0.55, 0.75], 1)
    """
    seeds = sorted({seed for group in groups for seed in group})
    count = len(groups)
    cells = [(size, seed) for size, group in enumerate(groups) for seed in group]
    values = np.array([groups[size][seed] for size, seed in cells])
    design = np.zeros((len(cells), count + len(seeds)))
    for row, (size, seed) in enumerate(cells):
        design[row, size] = design[row, count + seeds.index(seed)] = 1
    design[:, count:] -= 1 / len(seeds)  # effects of seeds sum to nothing
    inverse = np.linalg.pinv(design.T @ design)
    found = inverse @ design.T @ values
    freedom = len(cells) - int(np.linalg.matrix_rank(design))
    left = float(np.square(values - design @ found).sum())
    return Layout(
        means=tuple(float(mean) for mean in found[:count]),
        spread=math.sqrt(left / freedom) if freedom > 0 else math.nan,
        freedom=max(0, freedom),
        weights=inverse[:count, :count].astype(np.float64),
    )
