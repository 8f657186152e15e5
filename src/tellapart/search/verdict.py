"""Is there an ideal size? The answer of a sweep, with its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from tellapart.config import EQUIVALENCE
from tellapart.metrics.intervals import LEVEL
from tellapart.metrics.layout import Layout, fit_layout
from tellapart.metrics.learning import Curve
from tellapart.records import Knee, SizeRecord, Trend, Verdict
from tellapart.search.curve import draw_curve, find_size, follow_curve, keep_curve
from tellapart.search.knee import estimate_knee, list_possible
from tellapart.search.saying import (
    say_bigger,
    say_flat,
    say_ideal,
    say_ignored,
    say_open,
    say_unsettled,
)
from tellapart.search.standing import (
    Standing,
    choose_decisive,
    compare_size,
    correct_level,
    count_seeds,
    find_reach,
)

Kind = Literal["ideal", "bigger", "flat", "unknown"]


@dataclass(frozen=True)
class Look:
    """The other sizes to take by chance, and what is open.

    ``open`` has, for the places of sizes that more seeds would tell something of, how small chance
    must get for that, and the level of that comparison.
    """

    possible: tuple[int, ...]
    open: dict[int, tuple[float, float]]


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
    Where none is worse, it is the smallest from which on all are as good, if those are several.
    Where accuracy rises with the size, a power law through all sizes says from which on no more
    than ``equivalence`` is lost, as long as it fits (`draw_curve`): chance moves it less than it
    moves one size's own seeds. Where it does not, the line between two sizes says so. The interval
    of that place is of the seeds alone, whatever the curve (`estimate_knee`).
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
        compare_size(fit, place, best, 1 / sizes[best].val_score.n, equivalence)
        for place in range(len(sizes))
    ]
    return _decide(sizes, fit, best, standings, equivalence)


def estimate_trend(sizes: Sequence[SizeRecord]) -> Trend | None:
    """Return what doubling a size brings, the slope of a straight line, with its 95 % interval.

    The line is of all seeds' accuracies over the logarithm of the size, to base 2; Student's t.
    None with fewer than three figures, or one size.
    """
    points = [(math.log2(size.size), value) for size in sizes for value in size.seeds]
    if len(points) < 3 or len(sizes) < 2:
        return None
    x, y = (column - column.mean() for column in np.array(points).T)
    slope = float(x @ y / (x @ x))
    left = y - slope * x  # by hand: SciPy's line through equal figures has no error at all, but nan
    error = math.sqrt(left @ left / (len(points) - 2) / (x @ x))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(points) - 2)) * error
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
    standings, knee, curve = _follow(numbers, fit, best, standings, equivalence)
    tied = _list_tied(standings)
    names = [numbers[place] for place in tied]
    kind = _name_kind(standings, tied)
    taken = _find_level(standings) if kind == "flat" else tied[0]
    found = _look(numbers, knee, standings, equivalence)
    margin = max(standings[place].chance for place in tied)
    margin = margin or max(one.chance for one in standings)  # the best one alone is tied
    seeds = [len(size.seeds) for size in sizes]
    counts = {place: count_seeds(fit, seeds[place], *found.open[place]) for place in found.open}
    more = max(counts.values(), default=0)
    ignored = say_ignored(margin, equivalence)
    if kind == "flat":
        sentence = say_flat(numbers[taken:], numbers[taken], equivalence)
    elif kind == "unknown":
        sentence = say_unsettled(numbers, names, margin, more, equivalence)
    elif knee is not None and kind == "bigger":
        sure = max(found.possible, default=0) <= numbers[best]
        sentence = say_bigger(numbers, names[0], knee, ignored, sure)
    else:
        sentence = say_ideal(numbers, names, ignored)
    if found.possible:
        sentence += " " + say_open(found.possible, more)
    return Verdict(
        kind=kind,
        size=numbers[taken],
        best=numbers[best],
        one_error=find_one_error(sizes, fit, best),
        tied=tuple(names),
        margin=margin,
        equivalence=equivalence,
        firm=not found.open and kind != "unknown",
        more_seeds=more,
        decisive=tuple(numbers[place] for place in choose_decisive(counts, seeds, best)),
        trend=estimate_trend(sizes),
        knee=knee,
        curve=None if curve is None else keep_curve(curve),
        possible=found.possible,
        sentence=sentence,
    )


def _follow(
    numbers: Sequence[int],
    fit: Layout,
    best: int,
    standings: Sequence[Standing],
    equivalence: float,
) -> tuple[Sequence[Standing], Knee | None, Curve | None]:
    """Find where a size is large enough, if there is such a place, and along a curve if one fits.

    The standings are by that curve then, else as they are.
    """
    kind = _name_kind(standings, _list_tied(standings))
    if kind in ("flat", "unknown") or best == 0:
        return standings, None, None
    knee = estimate_knee(numbers, fit, best, equivalence)
    curve = draw_curve(numbers, fit) if kind == "bigger" else None
    if curve is None:
        return standings, knee, None
    enough = min(max(find_size(curve, equivalence), knee.low), knee.high)
    drawn = follow_curve(standings, numbers, enough)
    if _name_kind(drawn, _list_tied(drawn)) != "bigger":
        return standings, knee, None
    return drawn, knee.model_copy(update={"value": enough}), curve


def _list_tied(standings: Sequence[Standing]) -> list[int]:
    return [place for place, one in enumerate(standings) if one.tied]


def _find_level(standings: Sequence[Standing]) -> int:
    """Return the place from which on all sizes are near the best."""
    return 1 + max((place for place, one in enumerate(standings) if not one.near), default=-1)


def _look(
    numbers: Sequence[int],
    knee: Knee | None,
    standings: Sequence[Standing],
    equivalence: float,
) -> Look:
    """Find what is open.

    Where a size can be named, that is which one is the first beyond the knee, and whether a larger
    size than the best, not told from it, gains more than counts as none; else what is neither near
    nor worse.
    """
    tied, level = _list_tied(standings), correct_level(len(numbers))
    open_: dict[int, tuple[float, float]] = {}
    best = next(place for place, one in enumerate(standings) if not one.chance)
    kind = _name_kind(standings, tied)
    if kind in ("flat", "unknown"):
        for place, one in enumerate(standings):
            if place in tied and not one.near:
                open_[place] = (find_reach(one.behind, equivalence), level)
            elif tied[0] < place < tied[-1] and not one.near and one.clearance <= equivalence:
                open_[place] = (one.behind - equivalence, level)
        return Look(tuple(numbers[: _find_level(standings)]) if kind == "flat" else (), open_)
    larger = [p for p in tied if p > best and -standings[p].clearance > equivalence + 1e-12]
    open_ |= {place: (equivalence + standings[place].behind, level) for place in larger}
    first = () if knee is None else list_possible(numbers, knee, numbers[tied[0]])
    for size in first:
        place = min(numbers.index(size), tied[0])
        distance = abs(standings[place].behind - equivalence)
        half = (1 + LEVEL) / 2  # at a knee's upper end; at its lower one corrected for many sizes
        below = standings[place].behind > equivalence
        open_[place] = (distance, max(level, half) if below else half)
    return Look((*first, *(numbers[place] for place in larger)), open_)


def _name_kind(standings: Sequence[Standing], tied: Sequence[int]) -> Kind:
    if len(tied) == len(standings):
        return "flat" if _find_level(standings) < len(standings) - 1 else "unknown"
    if len(tied) < tied[-1] - tied[0] + 1:
        return "unknown"
    return "bigger" if tied[-1] == len(standings) - 1 else "ideal"
