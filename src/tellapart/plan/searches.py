"""The search that a study will make: what the data ask for, and what fits the minutes."""

from __future__ import annotations

from statistics import median_high

from tellapart.models import NetworkSettings, Shape, SpeedSettings, StagesSettings
from tellapart.models.deep import DEEP
from tellapart.models.network import WIDTHS
from tellapart.plan.paces import Paces, is_worth
from tellapart.plan.rules import StudySettings, plan_epochs, plan_trials
from tellapart.records import SearchPlan

GIVEN_TRIALS = 4
"""Trials that a search makes whatever they take; its winner is trained as long as a trial."""
CONFIRMING = 3
"""Times that a search trains its winner again as in its trial, with fresh seeds."""
TRIED = 3 / 4
"""What trials take of the seconds that as many of a middling network would, none of them stopped:
607 of 806 s in a search of 8 on CIFAR-10 whose widest had 32 filters. A guess elsewhere: what they
may take is bounded all the same."""
AGAIN, LONGER = 2, 3
"""What a winner that is the widest must have time for: fresh seeds, and a training so many trials
long. With much less, a narrower network that is trained for longer gets as far
(``benchmarks/RESULTS.md``, Width against epochs)."""
ROUNDS = 4
"""Times that a search looks at what its trials came to before it asks for more, at least."""


def bound_search(plan: SearchPlan, limit: float) -> SearchPlan:
    """Return a search that ends within ``limit`` seconds, more or less, whatever it tries.

    What it should take is reckoned for a network of middling cost; those that it tries can take
    ten times as long.
    """
    if plan.trial_seconds is not None:
        return plan
    half = max(limit, plan.seconds) / 2
    return plan.model_copy(update={"trial_seconds": half, "winner_seconds": half})


def typical_network(width: int, shape: Shape) -> NetworkSettings:
    """Return a network of middling cost among those that the search may try."""
    if shape.size < 4:
        return StagesSettings(stages=1, convs=2, width=width, dense=256, norm=True)
    return SpeedSettings(width=width, convs=2)


def find_middle(widest: int) -> int:
    """Return the middle one of the widths that are tried where so many filters are the most.

    >>> [find_middle(width) for width in WIDTHS]
    [16, 24, 24, 32, 32]
    """
    return median_high(width for width in WIDTHS if width <= widest)


def largest_network(width: int, shape: Shape) -> NetworkSettings:
    """Return a network that takes as much memory as any that the search may try."""
    stages = 1 if shape.size < 4 else 2  # with more, there are fewer inputs to the dense layer
    width = max(width, DEEP.width)
    return StagesSettings(stages=stages, convs=2, width=width, dense=2048, norm=True)


def plan_search(settings: StudySettings, shape: Shape, images: int, paces: Paces) -> SearchPlan:
    """Return the search that the data alone ask for."""
    trials = plan_trials(settings)
    epochs = plan_epochs(settings, "trial", images)
    longer = plan_epochs(settings, "search", images)
    again = 0 if settings.protocol == "notebook" else CONFIRMING * epochs
    typical = typical_network(find_middle(WIDTHS[-1]), shape)
    epoch = images * paces.measure(typical)
    seconds = (trials * epochs + again) * epoch
    at_once = count_at_once(settings, trials, paces)
    found = paces.gain_of(typical, at_once)
    if not is_worth(settings, seconds, found):
        at_once, found = 1, 1.0
    return SearchPlan(
        trials=trials,
        trial_epochs=epochs,
        width=WIDTHS[-1],
        epochs=longer,
        trial_seconds=None,
        winner_seconds=None,
        at_once=at_once,
        seconds=seconds / found + (longer * epoch if again else 0.0),
    )


def count_at_once(settings: StudySettings, trials: int, paces: Paces) -> int:
    """Return how many trials are asked for at once: what processes there are, but no more than
    leave ``ROUNDS`` times to learn from, unless the user named a number.
    """
    most = trials if settings.sweep.processes != "auto" else trials // ROUNDS
    return max(1, min(paces.processes, most))


def cut_search(
    plan: SearchPlan,
    settings: StudySettings,
    shape: Shape,
    images: int,
    limit: float,
    paces: Paces,
) -> SearchPlan:
    """Return a search that ends within about ``limit`` seconds: half of them for the winner.

    Trials get shorter (to three fifths at most), and networks narrower until that many trials fit
    and a winner that is the widest can be trained for longer; else trials get fewer. What is left
    over goes into longer trials; the winner's epochs follow from what its trial and its fresh seeds
    took.
    """
    if plan.seconds <= limit:
        return plan
    half = limit / 2
    fewest = epochs = plan.trial_epochs
    if settings.epochs is None:
        fewest = max(1, -(-plan.trial_epochs * 3 // 5))
    longer = max(1.0, min(LONGER, plan.epochs / plan.trial_epochs))

    def reckon(width: int) -> float:  # an epoch, with all cores
        return images * paces.measure(typical_network(width, shape))

    def gain(width: int) -> float:
        models = [typical_network(one, shape) for one in (find_middle(width), width)]
        gains = [paces.gain_of(model, plan.at_once) for model in models]
        return gains[0] if gains[1] != 1.0 else 1.0

    def fit(width: int) -> int:  # epochs of a trial
        allowed = int(half / ((AGAIN + longer) * reckon(width)))
        if allowed < fewest:  # else a gain is measured, which takes seconds
            return allowed
        return min(
            allowed, int(half * gain(width) / (TRIED * plan.trials * reckon(find_middle(width))))
        )

    width = next((width for width in reversed(WIDTHS) if fit(width) >= fewest), WIDTHS[0])
    epochs = max(fewest, min(epochs, fit(width)))
    found = gain(width)
    trial = epochs * reckon(find_middle(width)) / found
    at_once = plan.at_once if found != 1.0 else 1
    return plan.model_copy(
        update={
            "trial_epochs": epochs,
            "width": width,
            "at_once": at_once,
            "trial_seconds": half,
            "winner_seconds": half,
            "seconds": max(limit, GIVEN_TRIALS * trial + max(half, trial)),
        }
    )
