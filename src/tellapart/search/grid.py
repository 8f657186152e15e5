"""One or two settings varied, numbers or names: which of their levels may be the best?

A level is one value of the setting, or one value of each of two. Unlike the sizes of a sweep,
levels have no order, so the question is not how far to go but which ones cannot be told from the
best, and which of those is the cheapest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tellapart.config import EQUIVALENCE
from tellapart.metrics.intervals import LEVEL
from tellapart.metrics.layout import fit_layout
from tellapart.records import GridVerdict, Level, LevelRecord, SizeRecord
from tellapart.search.saying import say_chance, say_margin, say_more_seeds
from tellapart.search.standing import (
    choose_decisive,
    compare_size,
    correct_level,
    count_seeds,
    find_reach,
)
from tellapart.search.sweep import Seeds, Sweep, Train, spend_seeds


def run_grid(
    levels: Sequence[Level],
    seeds: Seeds,
    train: Train,
    equivalence: float = EQUIVALENCE,
) -> Sweep[GridVerdict]:
    """Train every level with the first seeds, then those that matter with more.

    A point's size is the number of its level, from 0.

    Raises:
        NotFinite: no training of any level was finite.
    """
    looks = seeds.most - seeds.first + 1
    judge = partial(judge_levels, levels=levels, equivalence=equivalence, looks=looks)
    return spend_seeds(range(len(levels)), seeds, train, judge)


def judge_levels(
    sizes: Sequence[SizeRecord],
    levels: Sequence[Level],
    equivalence: float = EQUIVALENCE,
    looks: int = 1,
) -> GridVerdict:
    """Tell the levels that cannot be told from the best, and the cheapest of them.

    The tests are those of `judge_sizes`; the cheapest takes the least core seconds of training.
    Levels have no neighbours that would have to agree, so that each further look with more seeds is
    one more chance to be misled: their error of 5 % is divided by the looks (Bonferroni).

    Args:
        looks: how often this may be asked with growing numbers of seeds.
    """

    best_value = max(range(len(sizes)), key=lambda place: sizes[place].val_score.value)
    every = tuple(size.size for size in sizes)
    if len(sizes) == 1:
        only = say_level(levels[sizes[0].size])
        return _cannot(sizes, best_value, every, f"only {only} could be trained", equivalence)
    fit = fit_layout([dict(zip(s.seed_numbers, s.seeds, strict=True)) for s in sizes])
    best = max(range(len(sizes)), key=lambda place: fit.means[place])
    if fit.freedom < 1:
        why = (
            "with one seed there is no measure of chance. "
            f"{say_level(levels[sizes[best].size])} came out highest; use at least 3 seeds "
            "(--seeds 3)"
        )
        return _cannot(sizes, best, every, why, equivalence)
    image = 1 / sizes[best].val_score.n
    level = 1 - (1 - LEVEL) / looks
    standings = [compare_size(fit, p, best, image, equivalence, level) for p in range(len(sizes))]
    tied = [place for place, one in enumerate(standings) if one.tied]
    open_ = [place for place in tied if not standings[place].near]
    each = correct_level(len(sizes), level)
    reaches = {place: find_reach(standings[place].behind, equivalence) for place in open_}
    seeds = [len(size.seeds) for size in sizes]
    counts = {place: count_seeds(fit, seeds[place], reaches[place], each) for place in open_}
    more = max(counts.values(), default=0)
    margin = max(standings[place].chance for place in tied)
    margin = margin or max(one.chance for one in standings)
    take = min(tied, key=lambda place: (sizes[place].seconds * sizes[place].threads, place))
    sentence = _say(sizes, levels, (best, take, tied), margin, equivalence)
    if open_:
        wanting = say_more_seeds(more, "level")
        sentence += f" {wanting} to see a difference of {say_margin(equivalence)}."
    return GridVerdict(
        take=sizes[take].size,
        best=sizes[best].size,
        tied=tuple(sizes[place].size for place in tied),
        margin=margin,
        equivalence=equivalence,
        firm=not open_,
        more_seeds=more,
        decisive=tuple(sizes[place].size for place in choose_decisive(counts, seeds, best)),
        sentence=sentence[:1].upper() + sentence[1:],
    )


def _say(
    sizes: Sequence[SizeRecord],
    levels: Sequence[Level],
    places: tuple[int, int, list[int]],
    margin: float,
    equivalence: float,
) -> str:
    best, take, tied = places
    names = [say_level(levels[size.size]) for size in sizes]
    chance = say_chance(margin)
    if len(tied) == 1:
        return f"{names[best]} is best; all others do worse ({chance})."
    cheapest = f"{names[take]} is the cheapest of them"
    if len(tied) == len(sizes):
        return f"None can be told from the best, {names[best]} ({chance}); {cheapest}."
    others = [names[place] for place in tied if place != best]
    listed = "; ".join(others) if len(others) < 4 else f"{len(others)} others"
    return f"{names[best]} is best, but not told from {listed} ({chance}); {cheapest}."


def say_level(level: Level) -> str:
    """Say the values of a level.

    >>> say_level({"lr": 0.001, "augment": "flip"})
    'lr 0.001 with augment flip'
    """
    return " with ".join(f"{name.replace('_', ' ')} {value}" for name, value in level.items())


def _cannot(
    sizes: Sequence[SizeRecord], best: int, every: tuple[int, ...], why: str, equivalence: float
) -> GridVerdict:
    return GridVerdict(
        take=sizes[best].size,
        best=sizes[best].size,
        tied=every,
        margin=1.0,
        equivalence=equivalence,
        firm=False,
        more_seeds=2 if len(sizes) > 1 else 0,
        decisive=every if len(sizes) > 1 else (),
        sentence=f"Cannot tell: {why}.",
    )


def keep_levels(sizes: Sequence[SizeRecord], levels: Sequence[Level]) -> tuple[LevelRecord, ...]:
    """Return what levels came to, with their values."""
    return tuple(LevelRecord(values=levels[size.size], figures=size) for size in sizes)
