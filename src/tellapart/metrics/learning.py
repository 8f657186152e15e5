"""A power law through the accuracies of growing sizes; would more data help?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from tellapart.metrics.intervals import LEVEL, pool_spread

Numbers = NDArray[np.float64]

FEWEST_SIZES = 4
"""Sizes of data from which a curve of three parameters is fitted."""
REDRAWS = 300
POWERS = (0.05, 2.0)
"""Exponents that a learning curve may have; those of the literature lie between 0.1 and 1."""


@dataclass(frozen=True)
class Curve:
    """``error = floor + scale * (size / largest) ** -power``, of images or of networks."""

    floor: float
    scale: float
    power: float
    largest: float

    def predict(self, size: float) -> float:
        """Return the accuracy that so many training images, or such a network, should give."""
        return float(1 - self.floor - self.scale * (size / self.largest) ** -self.power)


@dataclass(frozen=True)
class Gain:
    """What more data should bring in accuracy, as a fraction, with a 95 % interval."""

    value: float
    low: float
    high: float


def fit_curve(
    sizes: Sequence[float], accuracies: Sequence[float], weights: ArrayLike | None = None
) -> Curve:
    """Fit an inverse power law to (k,) mean accuracies by least squares (Figueroa et al. 2012).

    For a given power the other two parameters are a straight line's, so that the power alone is
    searched for. The floor is not below 0, nor the scale.

    Args:
        sizes: of the training data, or of networks, (k,), at least three.
        weights: how much each mean counts, such as its number of seeds, (k,); None: all the same.
    """
    largest = float(max(sizes))
    x, errors = np.asarray(sizes, float) / largest, 1 - np.asarray(accuracies, float)
    roots = np.ones(len(x)) if weights is None else np.sqrt(np.asarray(weights, float))

    def fit(power: float) -> tuple[Numbers, float]:
        """Return floor and scale, neither below 0, and what they miss."""
        design = np.stack((np.ones(len(x)), x**-power), 1)
        found: tuple[Numbers, float] = optimize.nnls(design * roots[:, None], errors * roots)
        return found

    grid = np.geomspace(*POWERS, 25)
    start = int(np.argmin([fit(power)[1] for power in grid]))
    bounds = (grid[max(0, start - 1)], grid[min(len(grid) - 1, start + 1)])
    power = float(optimize.minimize_scalar(lambda p: fit(p)[1], bounds=bounds, method="bounded").x)
    floor, scale = fit(power)[0].tolist()
    return Curve(floor, scale, power, largest)


def foresee_gain(
    images: Sequence[float], groups: Sequence[Sequence[float]], times: float = 2.0
) -> Gain | None:
    """Return what ``times`` the data should bring over all that there is.

    The interval is a parametric bootstrap's: means are drawn again within the chance of seeds
    (pooled over all sizes), the curve is fitted to each draw, and the middle 95 % of what these
    foresee is taken. It holds if the power law does, and the new data are like the old.

    Args:
        images: sizes of the training data, rising, (k,).
        groups: for each, the accuracies of its seeds, all on the same images.

    Returns:
        None where there are fewer than ``FEWEST_SIZES`` sizes, or no size has two seeds.
    """
    spread, freedom = pool_spread(groups)
    if len(images) < FEWEST_SIZES or freedom < 1:
        return None
    means = np.array([np.mean(group) for group in groups])
    errors = np.array([spread / math.sqrt(len(group)) for group in groups])
    more = times * max(images)

    def gain(values: Numbers) -> float:
        curve = fit_curve(images, values.tolist())
        return curve.predict(more) - curve.predict(max(images))

    rng = np.random.default_rng(0)
    # few seeds measure the spread itself badly: Student's t instead of the normal
    draws = means + errors * rng.standard_t(freedom, (REDRAWS, len(means)))
    drawn = [gain(np.clip(draw, 0.0, 1.0)) for draw in draws]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = gain(means)
    return Gain(value, float(min(low, value)), float(max(high, value)))
