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
from tellapart.records import SizeRecord, Trend, Verdict

MOST_SEEDS = 100
"""Seeds beyond which none are counted on."""


@dataclass(frozen=True)
class Standing:
    """A size against the best one: it is ``worse``, or as good (``near``), or neither is shown.

    ``edge``: it is worse, but chance might put its loss within what counts as none.
    """

    behind: float
    chance: float
    worse: bool
    near: bool
    edge: bool = False

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
    each = 1 - (1 - level) / (count - 1)
    factor = float(stats.t.ppf(each, fit.freedom)) * fit.spread
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
        edge=worse and behind - chance <= equivalence,
    )


@cache
def find_range(groups: int, freedom: int, level: float = LEVEL) -> float:
    """Return a point of the studentized range (Tukey): slow to compute, so kept.

    >>> round(find_range(3, 20), 2)
    3.58
    """
    return float(stats.studentized_range.ppf(level, groups, freedom))


def count_seeds(
    fit: Layout, seeds: int, behind: float, equivalence: float, level: float = LEVEL
) -> int:
    """Return how many more seeds a size would tell one that is not yet told from the best.

    A loss within ``equivalence`` is then so even with chance added; a larger one is larger than
    chance: if the loss is in truth what it seems.

    Args:
        level: of the comparison, as in `compare_size`.
    """
    groups = len(fit.means)
    reach = behind if behind > equivalence else equivalence - behind
    for count in range(seeds + 1, MOST_SEEDS):
        freedom = (groups - 1) * (count - 1)
        t = float(stats.t.ppf(1 - (1 - level) / (groups - 1), freedom))
        if t * fit.spread * math.sqrt(2 / count) <= reach:
            return count - seeds
    return max(1, MOST_SEEDS - seeds)


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


def say_more_seeds(more: int, what: str = "size") -> str:
    """Say how many more seeds would settle what is open.

    >>> say_more_seeds(4)
    '4 more seeds a size would be needed'
    """
    needed = (
        f"{more} more seed{'s' if more > 1 else ''}"
        if more < MOST_SEEDS - 10
        else f"over {MOST_SEEDS - 10} seeds"
    )
    return f"{needed} a {what} would be needed"


def say_margin(equivalence: float) -> str:
    """Say a difference of accuracy.

    >>> say_margin(0.01)
    '1 point'
    """
    return f"{100 * equivalence:.2g} point{'s' if equivalence != 0.01 else ''}"


def _decide(
    sizes: Sequence[SizeRecord],
    fit: Layout,
    best: int,
    standings: Sequence[Standing],
    equivalence: float,
) -> Verdict:
    tied = [place for place, one in enumerate(standings) if one.tied]
    smallest, largest = sizes[tied[0]].size, sizes[tied[-1]].size
    low, high = sizes[0].size, sizes[-1].size
    without_gap = len(tied) == tied[-1] - tied[0] + 1
    every = len(tied) == len(sizes)
    open_ = [place for place in tied if not standings[place].near]
    if not every and without_gap:  # the others do not change what is taken
        open_ = [place for place in open_ if place == tied[0]]
    more = max(
        (
            count_seeds(fit, len(sizes[place].seeds), standings[place].behind, equivalence)
            for place in open_
        ),
        default=0,
    )
    margin = max(standings[place].chance for place in tied)
    margin = margin or max(one.chance for one in standings)  # the best one alone is tied
    points = say_margin(equivalence)
    chance = f"differences below {100 * margin:.1f} points are within the chance of seeds"
    ignored = chance if margin > equivalence else f"differences up to {points} count as none"
    wanting = say_more_seeds(more)
    kind: Literal["ideal", "bigger", "flat", "unknown"]
    if every and not open_:
        kind = "flat"
        sentence = (
            f"Size does not matter between {low} and {high} (by {points} or more): "
            f"take {smallest}, the cheapest."
        )
    elif every or not without_gap:
        kind = "unknown"
        names = ", ".join(str(sizes[place].size) for place in tied)
        seen = (
            f"no size is clearly the best between {low} and {high}"
            if every
            else f"{names} are tied with the best, but sizes between them are not"
        )
        sentence = f"Cannot tell: {seen} ({chance}); {wanting} to see a difference of {points}."
    elif largest == high:
        kind = "bigger"
        beyond = (
            "the largest tried, so more might gain still"
            if smallest == high
            else f"beyond that nothing is gained up to {high}"
        )
        sentence = f"Bigger is better up to {smallest}; {beyond} ({ignored})."
    else:
        kind = "ideal"
        span = (
            f"{smallest}"
            if smallest == largest
            else f"{smallest} to {largest}, of which {smallest} is the cheapest"
        )
        others = "larger ones" if smallest == low else "smaller and larger ones"
        sentence = f"There is an ideal size, {span}; {others} do worse ({ignored})."
    deciding = tied
    if kind in ("bigger", "ideal"):  # the one below may be wrongly passed over
        below = [tied[0] - 1] if tied[0] > 0 and standings[tied[0] - 1].edge else []
        deciding = [*open_, *below]
    if open_ and kind in ("bigger", "ideal"):
        loss = 100 * standings[tied[0]].behind
        sentence += (
            f" {smallest} seems to lose {loss:.1f} points to {sizes[best].size}, and may lose more "
            f"than {points}: {wanting} to tell."
        )
    return Verdict(
        kind=kind,
        size=smallest,
        best=sizes[best].size,
        one_error=find_one_error(sizes, fit, best),
        tied=tuple(sizes[place].size for place in tied),
        margin=margin,
        equivalence=equivalence,
        firm=not open_ and kind != "unknown",
        more_seeds=more,
        decisive=tuple(sizes[place].size for place in sorted({*deciding, best})) if more else (),
        trend=estimate_trend(sizes),
        sentence=sentence,
    )
