"""A power law through the accuracies of growing sizes; would more data help?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from tellapart.metrics.intervals import LEVEL, pool_spread

Numbers = NDArray[np.float64]

FEWEST_SIZES = 4
"""Sizes of data from which a curve of three parameters is fitted."""
REDRAWS = 300
PARAMETERS = 3
MISFIT = 0.05
"""The p of the lack-of-fit test below which no curve is drawn."""
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

    def reach(self, accuracy: float) -> float:
        """Return the size that gives an accuracy; infinite where none does."""
        left = 1 - accuracy - self.floor
        if left <= 0 or self.scale <= 0:
            return 0.0 if self.floor + self.scale <= 1 - accuracy else math.inf
        return float(self.largest * min(1e9, (self.scale / left) ** (1 / self.power)))


@dataclass(frozen=True)
class Gain:
    """What more data should bring in accuracy, as a fraction, with a 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Need:
    """How many images an accuracy takes, with a 95 % interval; None: more than any number."""

    accuracy: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Foresight:
    """What a learning curve says of more data.

    ``gain`` is None where no power law fits: then nothing is foreseen.
    """

    gain: Gain | None
    needs: tuple[Need, ...] = ()
    curve: Curve | None = None


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


def foresee(
    images: Sequence[float],
    groups: Sequence[Sequence[float]],
    times: float = 2.0,
    accuracies: Sequence[float] = (),
    chance: Numbers | None = None,
) -> Foresight | None:
    """Return what ``times`` the data should bring over all that there is, and what others take.

    Scores of small shares vary more, by how much is not known: each mean has the larger of two
    standard errors, of which one falls with the fourth root of the images, and the other is the
    same for all. Where the F-test of lack of fit tells that no power law fits, nothing is foreseen.
    The intervals are a parametric bootstrap's: means are drawn again within the chance of seeds and
    of val images, the curve is fitted to each draw, and the middle 95 % of what these foresee is
    taken. They hold if the power law does, and the new data are like the old.

    Args:
        images: sizes of the training data, rising, (k,).
        groups: for each, the accuracies of its seeds, each on a share of its own.
        accuracies: of which to say how many images they take.
        chance: (resamples, k) deviations of the means by that of val images, as `draw_images` has
            them.

    Returns:
        None where there are fewer than ``FEWEST_SIZES`` sizes, or no size has two seeds.
    """
    sizes, counts = np.asarray(images, float), np.array([len(group) for group in groups], float)
    if len(sizes) < FEWEST_SIZES or counts.max() < 2:
        return None
    means = np.array([np.mean(group) for group in groups])
    errors, freedom = np.zeros(len(sizes)), 0
    for scale in (np.ones(len(sizes)), (sizes / sizes.max()) ** -0.25):
        parts = [np.asarray(own) / one for own, one in zip(groups, scale, strict=True)]
        spread, freedom = pool_spread([part.tolist() for part in parts])
        errors = np.maximum(errors, spread * scale / np.sqrt(counts))
    by_images = np.zeros((REDRAWS, len(sizes))) if chance is None else chance[:REDRAWS]
    apart = (by_images - by_images.mean(1, keepdims=True)).var(0)
    weights = 1 / np.maximum(np.square(errors) + apart, 1e-12)
    curve = fit_curve(images, means.tolist(), weights)
    missed = weights @ np.square(means - [curve.predict(size) for size in images])
    left = len(sizes) - PARAMETERS
    if stats.f.sf(missed / left, left, freedom) < MISFIT:
        return Foresight(None)
    rng = np.random.default_rng(0)
    # few seeds measure the spread itself badly: Student's t instead of the normal
    by_seeds = errors * rng.standard_t(freedom, (REDRAWS, len(means)))
    draws = np.clip(means + by_images + by_seeds, 0.0, 1.0)
    drawn = [fit_curve(images, draw.tolist(), weights) for draw in draws]
    edges = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    value = foresee_gain(curve, times)
    low, high = np.quantile([foresee_gain(one, times) for one in drawn], edges)
    needs = []
    for accuracy in accuracies:
        found = np.sort([one.reach(accuracy) for one in drawn])
        ends = (found[int(edge * (len(found) - 1))] for edge in edges)
        needs.append(Need(accuracy, *(float(end) if math.isfinite(end) else None for end in ends)))
    gain = Gain(value, float(min(low, value)), float(max(high, value)))
    return Foresight(gain, tuple(needs), curve)


def foresee_gain(curve: Curve, times: float) -> float:
    """Return what a curve gains at so many times its largest size."""
    return curve.predict(times * curve.largest) - curve.predict(curve.largest)
