"""Is there an ideal size? The answer of a sweep, with its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy import stats

from tellapart.config import EQUIVALENCE
from tellapart.metrics.intervals import LEVEL
from tellapart.metrics.layout import Layout, fit_layout
from tellapart.records import Knee, SizeRecord, Trend, Verdict
from tellapart.search.knee import estimate_knee, list_possible
from tellapart.search.saying import (
    MOST_SEEDS,
    say_bigger,
    say_flat,
    say_ideal,
    say_ignored,
    say_open,
    say_unsettled,
)

Kind = Literal["ideal", "bigger", "flat", "unknown"]


@dataclass(frozen=True)
class Standing:
    """A size against the best one: it is ``worse``, or as good (``near``), or neither is shown."""

    behind: float
    chance: float
    worse: bool
    near: bool

    @property
    def tied(self) -> bool:
        """Whether it may be as good as the best."""
        return self.near or not self.worse


def judge_sizes(sizes: Sequence[SizeRecord], equivalence: float = EQUIVALENCE) -> Verdict:
    """Tell the sizes that cannot be told from the best, and say what follows.

    Chance is what is left of the accuracies when sizes and seeds are taken out (`fit_layout`).
    No size is worse than the best unless the highest and the lowest mean differ by more than
    Tukey's margin (the studentized range at 95 %, for unequal numbers of seeds Kramer's): where
    all sizes are equal in truth, that happens in 5 % of sweeps. Otherwise a size is worse where
    its mean lies below the best's by more than ``equivalence`` and by more than Dunnett's
    one-sided margin, approximated from above by Bonferroni: Student's t at 1 - 0.05/(k - 1) times
    the standard error of their difference. No margin is below one image. A size is as good where
    even with that margin it loses no more than ``equivalence``. The size to take is the smallest
    that is not worse: with ever more seeds, the smallest that loses no more than ``equivalence``.
    Where that lies on a curve that rises to it is estimated between the sizes too
    (`estimate_knee`), so that a verdict does not hang on which side of the limit a size falls.
    """
    if len(sizes) == 1:
        only = sizes[0].size
        return _unknown(sizes, 0, f"of all sizes only {only} could be trained", equivalence)
    fit = fit_layout([dict(zip(s.seed_numbers, s.seeds, strict=True)) for s in sizes])
    best = max(range(len(sizes)), key=lambda place: fit.means[place])
    if fit.freedom < 1:
        why = (
            "with one seed a size there is no measure of chance. "
            f"{sizes[best].size} came out highest; run it with at least 3 seeds (--seeds 3)"
        )
        return _unknown(sizes, best, why, equivalence)
    standings = [
        compare_size(fit, place, best, 1 / sizes[best].val_accuracy.n, equivalence)
        for place in range(len(sizes))
    ]
    return _decide(sizes, fit, best, standings, equivalence)


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


def find_reach(behind: float, equivalence: float) -> float:
    """Return how small chance must be for a size that is not told from the best to be told.

    A loss within ``equivalence`` is then so even with chance added; a larger one is larger than
    chance.
    """
    return behind if behind > equivalence else equivalence - behind


def correct_level(count: int, level: float = LEVEL) -> float:
    """Return the level of each of the one-sided comparisons of so many sizes with the best."""
    return 1 - (1 - level) / (count - 1)


def estimate_trend(sizes: Sequence[SizeRecord]) -> Trend | None:
    """Return what doubling a size brings, the slope of a straight line, with its 95 % interval.

    The line is of all seeds' accuracies over the logarithm of the size, to base 2; Student's t.
    None with fewer than three figures, or one size.
    """
    points = [(math.log2(size.size), value) for size in sizes for value in size.seeds]
    if len(points) < 3 or len(sizes) < 2:
        return None
    x, y = np.array(points).T
    line = stats.linregress(x, y)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(points) - 2)) * float(line.stderr)
    slope = float(line.slope)
    return Trend(per_doubling=slope, low=slope - half, high=slope + half)


def find_one_error(sizes: Sequence[SizeRecord], fit: Layout, best: int) -> int:
    """Return the smallest size within one standard error of the best (Breiman et al. 1984)."""
    error = fit.spread / math.sqrt(len(sizes[best].seeds))
    top = fit.means[best]
    return next(s.size for s, m in zip(sizes, fit.means, strict=True) if top - m <= error + 1e-12)


def _unknown(sizes: Sequence[SizeRecord], best: int, why: str, equivalence: float) -> Verdict:
    return Verdict(
        kind="unknown",
        size=sizes[best].size,
        best=sizes[best].size,
        one_error=sizes[best].size,
        tied=tuple(size.size for size in sizes),
        margin=1.0,
        equivalence=equivalence,
        firm=False,
        more_seeds=2 if len(sizes) > 1 else 0,
        decisive=tuple(size.size for size in sizes) if len(sizes) > 1 else (),
        trend=estimate_trend(sizes),
        sentence=f"Cannot tell: {why}.",
    )


def _decide(
    sizes: Sequence[SizeRecord],
    fit: Layout,
    best: int,
    standings: Sequence[Standing],
    equivalence: float,
) -> Verdict:
    numbers = [size.size for size in sizes]
    tied = [place for place, one in enumerate(standings) if one.tied]
    names = [numbers[place] for place in tied]
    kind = _name_kind(standings, tied)
    margin = max(standings[place].chance for place in tied)
    margin = margin or max(one.chance for one in standings)  # the best one alone is tied
    knee: Knee | None = None
    possible: tuple[int, ...] = ()
    if kind in ("bigger", "ideal"):  # what is taken hangs on where the knee is, and on no more
        if best > 0:
            knee = estimate_knee(numbers, fit, best, equivalence)
            possible = list_possible(numbers, knee, names[0])
        open_ = [numbers.index(size) for size in possible if size < names[0]]
        open_ += [tied[0]] if any(size > names[0] for size in possible) else []
        reaches = {place: abs(standings[place].behind - equivalence) for place in open_}
    else:
        gap = [place for place in range(tied[0], tied[-1]) if place not in tied]
        open_ = sorted({*gap, *(place for place in tied if not standings[place].near)})
        reaches = {p: find_reach(standings[p].behind, equivalence) for p in open_}
        reaches |= {place: abs(standings[place].behind - equivalence) for place in gap}
    level = max(correct_level(len(sizes)), (1 + LEVEL) / 2)
    more = max((count_seeds(fit, len(sizes[p].seeds), reaches[p], level) for p in open_), default=0)
    ignored = say_ignored(margin, equivalence)
    if kind == "flat":
        sentence = say_flat(numbers, names[0], equivalence)
    elif kind == "unknown":
        sentence = say_unsettled(numbers, names, margin, more, equivalence)
    elif knee is not None and kind == "bigger":
        sentence = say_bigger(numbers, names[0], knee, ignored)
    else:
        sentence = say_ideal(numbers, names, ignored)
    if possible:
        sentence += " " + say_open(possible, more)
    return Verdict(
        kind=kind,
        size=names[0],
        best=numbers[best],
        one_error=find_one_error(sizes, fit, best),
        tied=tuple(names),
        margin=margin,
        equivalence=equivalence,
        firm=not open_ and kind != "unknown",
        more_seeds=more,
        decisive=tuple(numbers[place] for place in sorted({*open_, best})) if more else (),
        trend=estimate_trend(sizes),
        knee=knee,
        possible=possible,
        sentence=sentence,
    )


def _name_kind(standings: Sequence[Standing], tied: Sequence[int]) -> Kind:
    if len(tied) == len(standings):
        return "flat" if all(one.near for one in standings) else "unknown"
    if len(tied) < tied[-1] - tied[0] + 1:
        return "unknown"
    return "bigger" if tied[-1] == len(standings) - 1 else "ideal"
