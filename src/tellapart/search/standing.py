"""How a size, or a level of a setting, stands against the best one, as far as chance allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from scipy import stats

from tellapart.config import EQUIVALENCE
from tellapart.metrics.intervals import LEVEL
from tellapart.metrics.layout import Layout
from tellapart.search.saying import MOST_SEEDS

HOPELESS, ENOUGH = 30, 3
"""A size that has ``ENOUGH`` seeds and would need more than ``HOPELESS`` further ones gets none:
a verdict of which one is open is seldom firm by the tenth seed (by a simulation in the tests)."""


@dataclass(frozen=True)
class Standing:
    """A size against the best one: it is ``worse``, or as good (``near``), or neither is shown."""

    behind: float
    chance: float
    worse: bool
    near: bool

    @property
    def clearance(self) -> float:
        """What it loses to the best even with chance taken off; below 0, what it may gain."""
        return self.behind - self.chance

    @property
    def tied(self) -> bool:
        """Whether it may be as good as the best."""
        return self.near or not self.worse


def compare_size(
    fit: Layout,
    place: int,
    best: int,
    image: float,
    equivalence: float = EQUIVALENCE,
    level: float = LEVEL,
) -> Standing:
    """Return how a size stands against the best one.

    Args:
        image: what one image is of the accuracy: nothing finer was measured.
        level: of the two margins.
    """
    count, means = len(fit.means), fit.means
    behind = means[best] - means[place]
    if place == best:
        return Standing(0.0, 0.0, worse=False, near=True)
    factor = float(stats.t.ppf(correct_level(count, level), fit.freedom)) * fit.spread
    chance = max(image, factor * fit.scale_error(place, best))
    lowest = min(range(count), key=lambda other: means[other])
    error = fit.spread * fit.scale_error(lowest, best) / math.sqrt(2)
    reach = max(image, find_range(count, fit.freedom, level) * error)
    told = means[best] - means[lowest] > reach + 1e-12
    worse = told and behind > max(chance, equivalence) + 1e-12
    return Standing(
        behind=behind,
        chance=chance,
        worse=worse,
        near=behind + chance <= equivalence + 1e-12,
    )


@cache
def find_range(groups: int, freedom: int, level: float = LEVEL) -> float:
    """Return a point of the studentized range (Tukey): slow to compute, so kept.

    >>> round(find_range(3, 20), 2)
    3.58
    """
    return float(stats.studentized_range.ppf(level, groups, freedom))


def count_seeds(fit: Layout, seeds: int, reach: float, level: float) -> int:
    """Return how many more seeds a size would show that a difference is not ``reach`` more or less.

    It is so where the difference is in truth what it seems.

    Args:
        seeds: that there are.
        level: of the one-sided comparison (Student's t).
    """
    groups = len(fit.means)
    for count in range(seeds + 1, MOST_SEEDS):
        freedom = (groups - 1) * (count - 1)
        t = float(stats.t.ppf(level, freedom))
        if t * fit.spread * math.sqrt(2 / count) <= reach:
            return count - seeds
    return max(1, MOST_SEEDS - seeds)


def choose_decisive(counts: Mapping[int, int], seeds: Sequence[int], best: int) -> tuple[int, ...]:
    """Return the places of the sizes that more seeds are for: those that are open, and the best.

    Args:
        counts: how many more seeds would tell something of a size, for the places of open ones.
        seeds: that each has.

    >>> choose_decisive({0: 4, 1: 97}, (3, 3, 3), 2), choose_decisive({1: 97}, (3, 3, 3), 2)
    ((0, 2), ())
    """
    worth = {p for p, more in counts.items() if more <= HOPELESS or seeds[p] < ENOUGH}
    return tuple(sorted({*worth, best})) if worth else ()


def find_reach(behind: float, equivalence: float) -> float:
    """Return how small chance must be for a size that is not told from the best to be told.

    A loss within ``equivalence`` is then so even with chance added; a larger one is larger than
    chance.
    """
    return behind if behind > equivalence else equivalence - behind


def correct_level(count: int, level: float = LEVEL) -> float:
    """Return the level of each of the one-sided comparisons of so many sizes with the best."""
    return 1 - (1 - level) / (count - 1)
