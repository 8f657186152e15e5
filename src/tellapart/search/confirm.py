"""The winner of a search, trained again; and what accuracy costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

from tellapart.metrics.intervals import LEVEL, average_estimates, pool_spread
from tellapart.records import COSTS, Confirmation, Cost, RunRecord, TrialRecord


def confirm_winner(score: RunRecord, again: Sequence[RunRecord]) -> Confirmation:
    """Return what the same training with at least two fresh seeds makes of the best settings.

    The highest of many scores is high by luck too (the winner's curse); runs whose seeds chose
    nothing are not. How lucky it was is as uncertain as one more seed is (the prediction interval
    of Student's t, from the fresh seeds' own spread; the images are the same).
    """
    values = [run.val_score.value for run in again]
    spread, freedom = pool_spread([values])
    mean = average_estimates([run.val_score for run in again], spread, freedom)
    luck = score.val_score.value - mean.value
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * spread * math.sqrt(1 + 1 / len(values))
    return Confirmation(
        score=score.val_score,
        mean=mean,
        seeds=tuple(values),
        luck=luck,
        low=luck - half,
        high=luck + half,
    )


def find_frontiers(trials: Sequence[TrialRecord]) -> dict[Cost, tuple[int, ...]]:
    """Return, for each cost, the numbers of the trials that no other beats, cheapest first."""
    return {cost: find_frontier(trials, cost) for cost in COSTS}


def find_frontier(trials: Sequence[TrialRecord], cost: Cost) -> tuple[int, ...]:
    """Return the trials than which none is both as cheap and better, nor the reverse."""
    done = [(getattr(t, cost), -t.val_score.value, t.number) for t in trials if t.val_score]
    found: list[int] = []
    best = 1.0
    for _, loss, number in sorted(done):
        if loss < best:
            found.append(number)
            best = loss
    return tuple(found)
