"""A plan that fits the minutes: what the rules ask for, cut where this machine is too slow.

The pace of each network is measured by a function handed in, so that all here is arithmetic.
"""

from __future__ import annotations

from tellapart.models import Shape
from tellapart.plan.paces import Measure, Paces, is_worth, measure_nothing
from tellapart.plan.rules import (
    StudySettings,
    plan_epochs,
    plan_minutes,
    plan_recipe,
    plan_seeds,
    plan_sizes,
    plan_swept,
)
from tellapart.plan.searches import bound_search, cut_search, plan_search
from tellapart.plan.vary import list_levels, plan_grid
from tellapart.records import LeftOut, Place, PlanRecord, StepName, SweepPlan

SHARES: dict[StepName, float] = {"baseline": 0.05, "conv": 0.40, "dense": 0.20, "search": 0.35}
"""How the minutes are divided among the steps that train; what one leaves goes to the others."""
RESERVE = 1 / 4
"""The part of a cut sweep's seconds that is left for seeds where they decide."""
LENT = 1 / 4
"""The part of a search's seconds that may go to sweeps which lack it for all their sizes."""
FEWEST_SIZES = 3
MOST_EPOCHS = 200
"""Of one training that is given minutes and nothing else."""


def plan_study(
    settings: StudySettings,
    shape: Shape,
    images: int,
    paces: Paces,
) -> PlanRecord:
    """Return what the study will train.

    Args:
        images: training images.
        paces: are asked for the pace of each network that the plan holds.
    """
    minutes = plan_minutes(settings, images)
    if minutes is None:
        paces = Paces(measure_nothing, paces.gain, paces.processes)
    measure = paces.measure
    epochs = plan_recipe(settings, "baseline", images, settings.seed, settings.model).epochs
    epoch = measure(settings.model) * images if "baseline" in settings.steps else 0.0
    if settings.steps == ("baseline",) and settings.minutes is not None:
        epochs = fit_epochs(settings, max(epochs, MOST_EPOCHS), epoch, 60 * settings.minutes)
    sweeps: dict[StepName, SweepPlan] = {
        step: plan_sweep(settings, step, shape, images, paces)
        for step in settings.steps
        if step in ("conv", "dense")
    }
    search = None
    if "search" in settings.steps:
        search = plan_search(settings, shape, images, paces)
    asked: dict[StepName, float] = {step: sweep.seconds for step, sweep in sweeps.items()}
    if "baseline" in settings.steps:
        asked["baseline"] = epoch * epochs
    if search is not None:
        asked["search"] = search.seconds
    whole = (epochs, sweeps, search)
    reserved: dict[StepName, float] = {}
    if minutes is not None and sum(asked.values()) > 60 * minutes:
        least = {
            step: sweep.seconds / sweep.epochs * find_fewest(sweep, settings)
            for step, sweep in sweeps.items()
        }
        shares = share_seconds(asked, 60 * minutes)
        limits = lend_seconds(shares, least)
        if search is not None:
            shorter = cut_search(search, settings, shape, images, limits["search"], paces)
            if shorter.seconds > 1.001 * limits["search"]:  # it has no more to lend
                limits = shares
                shorter = cut_search(search, settings, shape, images, limits["search"], paces)
            search = shorter
        if "baseline" in limits:
            epochs = fit_epochs(settings, epochs, epoch, limits["baseline"])
        sweeps = {
            step: cut_sweep(sweep, settings, step, limits[step], paces)
            for step, sweep in sweeps.items()
        }
        reserved = {
            step: max(0.0, limits[step] - sweep.seconds)
            for step, sweep in sweeps.items()
            if sweep.most_seeds > sweep.seeds
        }
    grid = None
    if settings.sweep.vary:
        limit = float("inf") if minutes is None else 60 * minutes
        grid = plan_grid(settings, list_levels(settings.sweep.vary), images, paces, limit)
    cut = (epochs, sweeps, search) != whole or (grid is not None and grid.cut)
    expected: dict[Place, float] = {step: sweep.seconds for step, sweep in sweeps.items()}
    if "baseline" in settings.steps:
        expected["baseline"] = epoch * epochs
    if search is not None:
        expected["search"] = search.seconds
    if grid is not None:
        expected["grid"] = grid.seconds
    if minutes is not None:
        left = max(0.0, 60 * minutes - sum(expected.values()) - sum(reserved.values()))
        sweeps = {
            step: allow_seeds(sweep, left / 4 + reserved.get(step, 0.0))
            for step, sweep in sweeps.items()
        }
        if search is not None:
            search = bound_search(search, search.seconds + left / 2)
    return PlanRecord(
        minutes=minutes,
        cut=cut,
        baseline=epochs if "baseline" in settings.steps else None,
        sweeps=sweeps,
        search=search,
        grid=grid,
        expected=expected if minutes is not None else {},
        seconds=sum(expected.values()),
    )


def fit_epochs(settings: StudySettings, epochs: int, epoch: float, limit: float) -> int:
    """Return the epochs of ``epoch`` seconds that fit the limit, at least 1; named ones stay."""
    if settings.epochs is not None or epochs * epoch <= limit:
        return settings.epochs or epochs
    return max(1, int(limit / epoch))


def share_seconds(asked: dict[StepName, float], seconds: float) -> dict[StepName, float]:
    """Divide seconds among steps: each gets what it asks, or its share of what the others leave.

    >>> shares = share_seconds({"baseline": 1.0, "conv": 90.0, "search": 90.0}, 71.0)
    >>> {step: round(share) for step, share in shares.items()}
    {'baseline': 1, 'conv': 37, 'search': 33}
    """
    limits: dict[StepName, float] = {}
    left, waiting = seconds, dict(asked)
    while waiting:
        whole = sum(SHARES[step] for step in waiting)
        content = {
            step: wanted
            for step, wanted in waiting.items()
            if wanted <= left * SHARES[step] / whole + 1e-9
        }
        if not content:
            return limits | {step: left * SHARES[step] / whole for step in waiting}
        limits |= content
        left -= sum(content.values())
        waiting = {step: wanted for step, wanted in waiting.items() if step not in content}
    return limits


def lend_seconds(
    limits: dict[StepName, float], least: dict[StepName, float]
) -> dict[StepName, float]:
    """Let a search lend what steps lack for the least they need, if that is little of its own.

    A search learns a little less from a few minutes less, a sweep would lose a size. Those that
    lack least come first.

    >>> lend_seconds({"conv": 90.0, "dense": 50.0, "search": 100.0}, {"conv": 110.0, "dense": 90.0})
    {'conv': 110.0, 'dense': 50.0, 'search': 80.0}
    """
    lent = dict(limits)
    lack = {step: need - limits[step] for step, need in least.items() if need > limits[step]}
    left = LENT * limits.get("search", 0.0)
    for step in sorted(lack, key=lambda step: lack[step]):
        if lack[step] <= left:
            left -= lack[step]
            lent[step] = least[step]
            lent["search"] -= lack[step]
    return lent


def allow_seeds(plan: SweepPlan, limit: float) -> SweepPlan:
    """Return a sweep whose further seeds take at most ``limit`` seconds, and half of its own.

    Where it may have none, they take none.
    """
    most = min(limit, plan.seconds / 2) if plan.most_seeds > plan.seeds else 0.0
    return plan.model_copy(update={"extra_seconds": max(0.0, most)})


def plan_sweep(
    settings: StudySettings,
    step: StepName,
    shape: Shape,
    images: int,
    paces: Paces,
) -> SweepPlan:
    """Return the sweep that the data alone ask for, and the seconds it should take here."""
    sizes, left_out = plan_sizes(settings, step, shape)
    epochs, (seeds, most) = plan_epochs(settings, step, images), plan_seeds(settings, images)
    shown = images * epochs * seeds
    whole = {size: shown * paces.measure(plan_swept(step, size)) for size in sizes}
    gains = choose_apart(settings, step, whole, paces.gain)
    return SweepPlan(
        sizes=sizes,
        left_out=left_out,
        seeds=seeds,
        most_seeds=most,
        epochs=epochs,
        apart=tuple(gains),
        seconds=sum(seconds / gains.get(size, 1.0) for size, seconds in whole.items()),
    )


def choose_apart(
    settings: StudySettings, step: StepName, whole: dict[int, float], gain: Measure
) -> dict[int, float]:
    """Return the sizes that are trained several at once, and how many times as fast that is.

    Larger networks gain less: from the largest down, one that gains is looked for, and those
    below it are reckoned to gain as much.

    Args:
        whole: the seconds of each size, one training after another.
    """
    gains: dict[int, float] = {}
    for size in sorted(whole, reverse=True):
        found = gain(plan_swept(step, size))
        if found != 1.0:
            gains = {smaller: found for smaller in whole if smaller <= size}
            break
    seconds = sum(whole[size] for size in gains)
    return gains if gains and is_worth(settings, seconds, max(gains.values())) else {}


def cut_sweep(
    plan: SweepPlan,
    settings: StudySettings,
    step: StepName,
    limit: float,
    paces: Paces,
) -> SweepPlan:
    """Return a sweep that fits ``limit`` seconds, if one can: fewer epochs, then fewer sizes.

    Epochs fall first (`find_fewest`), then the largest sizes are left out while more than
    ``FEWEST_SIZES`` remain. What the user named is kept.
    """
    if plan.seconds <= limit:
        return plan
    gains = {size: paces.gain(plan_swept(step, size)) for size in plan.apart}
    costs = {
        size: paces.measure(plan_swept(step, size)) / gains.get(size, 1.0) for size in plan.sizes
    }
    each = plan.seconds / plan.epochs / sum(costs.values())
    fewest = find_fewest(plan, settings)
    sizes, gone = plan.sizes, []
    while step not in settings.sweep.sizes and len(sizes) > FEWEST_SIZES:
        if each * fewest * sum(costs[size] for size in sizes) <= limit * (1 + 1e-9):
            break
        more = each * fewest * costs[sizes[-1]]
        said = f"{more / 60:.0f} minutes" if more > 90 else f"{more:.0f} seconds"
        gone.append(LeftOut(size=sizes[-1], reason=f"{said} more on this machine"))
        sizes = sizes[:-1]
    epoch = each * sum(costs[size] for size in sizes)
    share = 1 - RESERVE if plan.most_seeds > plan.seeds else 1.0
    epochs = max(fewest, min(plan.epochs, int(share * limit / epoch)))
    return plan.model_copy(
        update={
            "sizes": sizes,
            "apart": tuple(size for size in plan.apart if size in sizes),
            "left_out": (*reversed(gone), *plan.left_out),
            "epochs": epochs,
            "seconds": epoch * epochs,
        }
    )


def find_fewest(plan: SweepPlan, settings: StudySettings) -> int:
    """Return the epochs to which a sweep may be cut: a third, never below 3; named ones stay."""
    if settings.epochs is not None:
        return plan.epochs
    return min(plan.epochs, max(3, plan.epochs // 3))
