"""A plan in words."""

from __future__ import annotations

from tellapart.records import GridPlan, Place, PlanRecord, SweepPlan
from tellapart.report.wording import say_memory, say_seconds

MARGIN = 0.3
"""How far off the time of a plan may be; reports set it beside what was taken."""


def say_plan(plan: PlanRecord) -> str:
    """Say what a study will train and how long that should take."""
    parts = [
        f"{step} of {len(sweep.sizes)} sizes, {say_seeds(sweep)}, {sweep.epochs} epochs"
        for step, sweep in plan.sweeps.items()
    ]
    if plan.baseline is not None:
        parts.insert(0, f"baseline of {plan.baseline} epoch{'s' if plan.baseline > 1 else ''}")
    if plan.search is not None:
        parts.append(
            f"search of up to {plan.search.trials} trials of {plan.search.trial_epochs} epochs"
        )
    if plan.grid is not None:
        parts.append(say_grid(plan.grid))
    text = "; ".join(parts) or "no sweep and no search"
    if plan.minutes is None:
        return f"plan: {text}"
    text += f"; about {say_seconds(plan.seconds)} of training on this machine"
    if not plan.cut:
        return f"plan: {text}"
    left = sum(len(sweep.left_out) for sweep in plan.sweeps.values())
    fits = "to fit" if plan.seconds <= 66 * plan.minutes else "as far as can be, for"
    return (
        f"plan: {text}; shortened {fits} {plan.minutes:g} min"
        + (f", with {left} of the largest sizes left out" if left else "")
        + " (--minutes M allows more)"
    )


def say_seeds(sweep: SweepPlan | GridPlan) -> str:
    """Say how many seeds a size has.

    >>> say_seeds(SweepPlan(sizes=(8,), left_out=(), seeds=2, most_seeds=10, epochs=1, seconds=1))
    '2 seeds (up to 10 where they decide)'
    """
    said = f"{sweep.seeds} seed{'s' if sweep.seeds > 1 else ''}"
    more = sweep.most_seeds > sweep.seeds
    return f"{said} (up to {sweep.most_seeds} where they decide)" if more else said


def say_grid(grid: GridPlan) -> str:
    """Say what varying settings will train.

    >>> say_grid(GridPlan(levels=4, seeds=1, most_seeds=1, epochs=5, cut=False, seconds=1))
    '4 levels, 1 seed, 5 epochs'
    """
    epochs = "" if grid.epochs is None else f", {grid.epochs} epochs"
    return f"{grid.levels} levels, {say_seeds(grid)}{epochs}"


def say_apart(sweep: SweepPlan, processes: int) -> str:
    """Say which sizes are trained several at once."""
    if not sweep.apart:
        return ""
    sizes = "all" if sweep.apart == sweep.sizes else f"those up to {sweep.apart[-1]}"
    return f"; {sizes} in {processes} processes, one core each"


def describe_plan(plan: PlanRecord) -> str:
    """Return the plan as lines: one a step that trains, and what they come to."""
    lines: list[str] = []
    if plan.baseline is not None:
        lines.append(f"baseline: {plan.baseline} epochs{say_needs(plan, 'baseline')}")
    lines += [
        f"{step}: sizes {', '.join(map(str, sweep.sizes))}; {say_seeds(sweep)} of "
        f"{sweep.epochs} epochs"
        + say_apart(sweep, plan.processes)
        + say_needs(plan, step)
        + "".join(f"; {size.size} left out ({size.reason})" for size in sweep.left_out)
        for step, sweep in plan.sweeps.items()
    ]
    if plan.grid is not None:
        apart = len(plan.grid.apart)
        some = "all" if apart == plan.grid.levels else f"{apart} of them"
        lines.append(
            f"grid: {say_grid(plan.grid)}"
            + (f"; {some} in {plan.processes} processes, one core each" if apart else "")
            + say_needs(plan, "grid")
        )
    if plan.search is not None:
        lines.append(
            f"search: up to {plan.search.trials} trials of {plan.search.trial_epochs} epochs, the "
            f"best again for up to {plan.search.epochs}"
            + (f"; {plan.search.at_once} at once, one core each" if plan.search.at_once > 1 else "")
            + say_needs(plan, "search")
        )
    return "\n".join([*lines, say_plan(plan)])


def say_needs(plan: PlanRecord, step: Place) -> str:
    """Say what a step may take of time, memory and disk, where that was reckoned."""
    said = ""
    if step in plan.expected:
        said += f"; about {say_seconds(plan.expected[step])} (± {100 * MARGIN:.0f} %)"
        extra = plan.sweeps[step].extra_seconds if step in plan.sweeps else None
        if step == "grid" and plan.grid is not None:
            extra = plan.grid.extra_seconds
        if extra is not None and extra >= 1:
            said += f", and up to {say_seconds(extra)} for further seeds"
    if step in plan.needs:
        need = plan.needs[step]
        said += (
            f"; about {say_memory(need.memory_mb)} of memory, {say_memory(need.disk_mb)} of disk"
        )
    return said
