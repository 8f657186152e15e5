"""What a search's best trial is worth: again with other seeds, and against what trials cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tellapart.metrics.intervals import estimate_mean, pool_spread
from tellapart.records import COSTS, Confirmation, Cost, RunRecord, SearchPlan, TrialRecord

CONFIRMING = 3
"""Fresh seeds that a winner is trained again with, where there is time."""
CONFIRMED = 0.4
"""The share of a winner's seconds that fresh seeds may take: the rest trains it for longer."""


@dataclass(frozen=True)
class TrialCost:
    """What a winner's trial takes: by itself, and as one of ``at_once`` that share the cores."""

    seconds: float
    beside: float
    at_once: int = 1

    def take(self, count: int) -> float:
        """Return the seconds that so many trainings like it take."""
        if self.at_once == 1:
            return count * self.seconds
        return -(-count // self.at_once) * self.beside


def give_up(plan: SearchPlan, late: float) -> SearchPlan:
    """Return a search with so many seconds less, but with half of its own at least.

    Trials give them first, and keep a third: a longer training of the winner brings more than
    another trial.

    >>> plan = SearchPlan(trials=8, trial_epochs=4, width=32, epochs=30, at_once=1, seconds=1200,
    ...                   trial_seconds=600, winner_seconds=600)
    >>> some, most = give_up(plan, 300), give_up(plan, 900)
    >>> some.trial_seconds, some.winner_seconds, most.trial_seconds, most.winner_seconds
    (300.0, 600.0, 200.0, 400.0)
    """
    if plan.trial_seconds is None or plan.winner_seconds is None:
        return plan
    late = min(late, (plan.trial_seconds + plan.winner_seconds) / 2)
    kept = max(plan.trial_seconds / 3, plan.trial_seconds - late)
    rest = late - (plan.trial_seconds - kept)
    return plan.model_copy(
        update={"trial_seconds": kept, "winner_seconds": plan.winner_seconds - rest}
    )


def pass_on(plan: SearchPlan, trials: Sequence[TrialRecord]) -> SearchPlan:
    """Return a plan whose winner has the seconds that trials left, or lacks those they took more.

    It lacks half of its own at most.
    """
    if plan.trial_seconds is None or plan.winner_seconds is None:
        return plan
    spent = sum_rounds([trial.seconds for trial in trials], plan.at_once)
    left = max(plan.winner_seconds / 2, plan.winner_seconds + plan.trial_seconds - spent)
    return plan.model_copy(update={"winner_seconds": left})


def sum_rounds(seconds: Sequence[float], at_once: int) -> float:
    """Return the seconds of trainings ``at_once`` at a time, each round as long as its longest.

    >>> sum_rounds([100.0, 10.0, 20.0], 2)
    120.0
    """
    return sum(max(seconds[i : i + at_once]) for i in range(0, len(seconds), at_once))


def count_confirming(plan: SearchPlan, trial: TrialCost) -> int:
    """Return the fresh seeds of a winner: fewer where they leave too little for its training."""
    if plan.winner_seconds is None:
        return CONFIRMING
    fits = (n for n in range(CONFIRMING, 1, -1) if trial.take(n) <= CONFIRMED * plan.winner_seconds)
    return next(fits, 1)


def fit_winner(plan: SearchPlan, trial: TrialCost, again: Sequence[float]) -> int:
    """Return the winner's epochs: those planned, or as many fewer as its seconds ask for.

    An epoch is reckoned from its trial and, where trainings have all cores to themselves, from how
    much longer than it the fresh seeds took: machines slow down.

    Args:
        plan: what is left of the search before its fresh seeds.
        again: the seconds that each fresh seed took.

    >>> plan = SearchPlan(trials=8, trial_epochs=4, width=32, epochs=30, at_once=1, seconds=1200,
    ...                   trial_seconds=600, winner_seconds=600)
    >>> trial = TrialCost(80, 80)
    >>> fit_winner(plan, trial, [80, 80]), fit_winner(plan, trial, [99, 101])
    (22, 16)
    """
    if plan.winner_seconds is None:
        return plan.epochs
    epoch = trial.seconds / plan.trial_epochs
    if again and plan.at_once == 1:
        epoch *= fmean(again) / trial.beside
    left = plan.winner_seconds - sum_rounds(again, plan.at_once)
    return max(plan.trial_epochs, min(plan.epochs, int(left / epoch)))


def confirm_winner(score: RunRecord, again: Sequence[RunRecord]) -> Confirmation:
    """Return what fresh seeds make of the settings that scored best.

    The highest of many scores is high by luck too (the winner's curse); runs whose seeds chose
    nothing are not.

    Args:
        score: the trial that won.
        again: the same settings, as long trained, with other seeds.
    """
    values = [run.val_accuracy.value for run in again]
    accuracy = estimate_mean(values, score.val_accuracy.n, *pool_spread([values]))
    return Confirmation(
        score=score.val_accuracy,
        accuracy=accuracy,
        seeds=tuple(values),
        luck=score.val_accuracy.value - accuracy.value,
    )


def find_frontiers(trials: Sequence[TrialRecord]) -> dict[Cost, tuple[int, ...]]:
    """Return, for each cost, the numbers of the trials that no other beats, cheapest first."""
    return {cost: find_frontier(trials, cost) for cost in COSTS}


def find_frontier(trials: Sequence[TrialRecord], cost: Cost) -> tuple[int, ...]:
    """Return the trials than which none is both as cheap and more accurate, nor the reverse."""
    done = [(getattr(t, cost), -t.val_accuracy.value, t.number) for t in trials if t.val_accuracy]
    found: list[int] = []
    best = 1.0
    for _, loss, number in sorted(done):
        if loss < best:
            found.append(number)
            best = loss
    return tuple(found)
