"""Known truths, and what trained networks would make of images under them.

Network k with seed s is right on image i if ``q[k] + a z[i] + c v[k,i] + b w[k,s] + e r[k,s,i]`` is
above 0, all standard normal: images differ in difficulty (a), each size suits some of them (c,
alike for neighbouring sizes), seeds are lucky (b) and make mistakes of their own (e).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tellapart.metrics.ranking import MARGIN, PART, Images, rank_candidates
from tellapart.metrics.scores import Classes
from tellapart.records import Ranking

SIZES = np.array([16, 32, 64, 128, 256, 512, 1024])
TRUTHS: dict[str, tuple[float, ...]] = {
    "flat": (0.64,) * 7,
    "saturating": (0.556, 0.590, 0.614, 0.6265, 0.637, 0.642, 0.642),
    "power law": tuple(1 - 0.36 - 0.0065 * (SIZES / 1024) ** -0.60),
    "slow power law": tuple(1 - 0.30 - 0.05 * (SIZES / 1024) ** -0.15),
    "rising at the end": (0.600, 0.605, 0.610, 0.615, 0.620, 0.630, 0.650),
    "mild optimum": (0.600, 0.620, 0.635, 0.640, 0.638, 0.630, 0.615),
    "strong optimum": (0.600, 0.620, 0.640, 0.645, 0.630, 0.610, 0.590),
    "nearly all right": (0.960, 0.972, 0.979, 0.983, 0.985, 0.987, 0.988),
    "all right": (1.0,) * 7,
}


@dataclass(frozen=True)
class Setting:
    """How many images and seeds, how much seeds differ (as a fraction), and what images share."""

    n: int
    seeds: int
    spread: float
    shared: float = 0.8  # a squared
    suits: float = 0.05  # c squared


def make_images(n: int) -> Images:
    """Return n images, of which all that is known is whether a network is right."""
    return Images(np.zeros(n, np.int64), 2)


def draw_networks(
    truth: Sequence[float],
    setting: Setting,
    rng: np.random.Generator,
    scale: Sequence[float] | NDArray[np.float64] | None = None,
) -> list[dict[int, Classes]]:
    """Return for each size, by seed, 0 for each image that is right and 1 for others.

    ``scale`` is how many times as much the seeds of a size differ, (k,).
    """
    mu, n = np.asarray(truth), setting.n
    if mu.min() == 1.0:
        return [{seed: np.zeros(n, np.int64) for seed in range(setting.seeds)} for _ in mu]
    lucky = setting.spread / stats.norm.pdf(stats.norm.ppf(mu)) * (1 if scale is None else scale)
    level = stats.norm.ppf(mu) * np.sqrt(1 + lucky**2)
    own = np.sqrt(1 - setting.shared - setting.suits)
    images = np.sqrt(setting.shared) * rng.standard_normal(n)
    found = []
    suits = rng.standard_normal(n)
    for place in range(len(mu)):
        if place:
            suits = 0.7 * suits + np.sqrt(0.51) * rng.standard_normal(n)
        base = level[place] + images + np.sqrt(setting.suits) * suits
        found.append(
            {
                seed: (
                    base + lucky[place] * rng.standard_normal() + own * rng.standard_normal(n) < 0
                ).astype(np.int64)
                for seed in range(setting.seeds)
            }
        )
    return found


@dataclass(frozen=True)
class Outcome:
    """What a ranking said of a known truth.

    ``within``: the size taken loses no more than the margin. ``covered``: all losses lie in their
    intervals. ``slandered``: a size that loses nothing is said to do worse. ``right``: the size
    taken is the cheapest within the margin in truth.
    """

    ranking: Ranking
    within: bool
    covered: bool
    slandered: bool
    right: bool


def judge(truth: Sequence[float], predicted: list[dict[int, Classes]]) -> Outcome:
    """Rank networks, and hold the answer against the truth."""
    mu = np.asarray(truth)
    n = len(predicted[0][0])
    ranking = rank_candidates(make_images(n), predicted)
    losses = mu.max() - mu
    limit = min(MARGIN, PART * (1 - mu.max())) + 1e-9
    low, high = np.array([(one.low, one.high) for one in ranking.candidates]).T
    return Outcome(
        ranking,
        within=bool(losses[ranking.taken] <= limit),
        covered=bool(((low <= losses + 1e-9) & (losses <= high + 1e-9)).all()),
        slandered=any(
            not one.possible and loss < 1e-9
            for one, loss in zip(ranking.candidates, losses.tolist(), strict=True)
        ),
        right=ranking.taken == int(np.argmax(losses <= limit)),
    )
