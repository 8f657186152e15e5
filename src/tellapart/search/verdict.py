"""Is there an ideal size? The answer of a sweep, with its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

from scipy import stats

from tellapart.metrics.intervals import LEVEL, pool_spread
from tellapart.records import SizeRecord, Verdict


def judge_sizes(sizes: Sequence[SizeRecord]) -> Verdict:
    """Tell the sizes that cannot be told from the best, and say what follows.

    The spread over seeds is pooled over the sizes. Size does not matter unless the highest and
    the lowest mean differ by more than Tukey's margin (the studentized range at 95 %): where
    all sizes are equal in truth, that happens in 5 % of sweeps. Otherwise a size is tied with
    the best unless its mean lies below the best's by more than Dunnett's one-sided margin,
    approximated from above by Bonferroni: Student's t at 1 - 0.05/(k - 1), times spread, times
    sqrt(2 / seeds). No margin is below one image. The size to take is the smallest tied one.
    """
    best = max(sizes, key=lambda size: size.val_accuracy.value)
    if len(sizes) == 1:
        return Verdict(
            kind="unknown",
            size=best.size,
            best=best.size,
            tied=(best.size,),
            margin=1.0,
            sentence=f"Cannot tell: of all sizes only {best.size} could be trained.",
        )
    spread, freedom = pool_spread([size.seeds for size in sizes])
    count = min(len(size.seeds) for size in sizes)
    if freedom < 1:
        return Verdict(
            kind="unknown",
            size=best.size,
            best=best.size,
            tied=tuple(size.size for size in sizes),
            margin=1.0,
            sentence=(
                f"Cannot tell: with one seed a size there is no measure of chance. {best.size} "
                "came out highest; run it with at least 3 seeds (--seeds 3)."
            ),
        )
    level = 1 - (1 - LEVEL) / (len(sizes) - 1)
    image = 1 / best.val_accuracy.n  # nothing finer was measured
    margin = max(image, float(stats.t.ppf(level, freedom)) * spread * math.sqrt(2 / count))
    top = best.val_accuracy.value
    tied = [size for size in sizes if top - size.val_accuracy.value <= margin + 1e-12]
    flat = max(image, find_range(len(sizes), freedom) * spread / math.sqrt(count))
    if top - min(size.val_accuracy.value for size in sizes) <= flat + 1e-12:
        tied, margin = list(sizes), flat
    return _decide(sizes, best, tied, margin)


@cache
def find_range(groups: int, freedom: int) -> float:
    """Return the 95 % point of the studentized range (Tukey): slow to compute, so kept.

    >>> round(find_range(3, 20), 2)
    3.58
    """
    return float(stats.studentized_range.ppf(LEVEL, groups, freedom))


def _decide(
    sizes: Sequence[SizeRecord], best: SizeRecord, tied: list[SizeRecord], margin: float
) -> Verdict:
    smallest, largest = tied[0], tied[-1]
    low, high = sizes[0].size, sizes[-1].size
    chance = f"differences below {100 * margin:.1f} points are within the chance of seeds"
    without_gap = len(tied) == sum(smallest.size <= s.size <= largest.size for s in sizes)
    kind: Literal["ideal", "bigger", "flat", "unknown"]
    if len(tied) == len(sizes):
        kind = "flat"
        sentence = (
            f"Size does not matter between {low} and {high} ({chance}): take {smallest.size}, "
            "the cheapest."
        )
    elif largest.size == high and without_gap:
        kind = "bigger"
        beyond = (
            "the largest tried, so more might gain still"
            if smallest.size == high
            else f"beyond that nothing is gained up to {high} ({chance})"
        )
        sentence = f"Bigger is better up to {smallest.size}; {beyond}."
    elif without_gap:
        kind = "ideal"
        span = (
            f"{smallest.size}"
            if smallest is largest
            else f"{smallest.size} to {largest.size}, of which {smallest.size} is the cheapest"
        )
        others = "larger ones" if smallest.size == low else "smaller and larger ones"
        sentence = f"There is an ideal size: {span}; {others} do worse ({chance})."
    else:
        kind = "unknown"
        names = ", ".join(str(size.size) for size in tied)
        sentence = (
            f"Cannot tell: {names} are tied with the best, but sizes between them are not "
            f"({chance}); more seeds would settle it."
        )
    return Verdict(
        kind=kind,
        size=smallest.size,
        best=best.size,
        tied=tuple(size.size for size in tied),
        margin=margin,
        sentence=sentence,
    )
