"""Does the size of a layer matter, and is there an ideal one?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tellapart.cells.cell import NetworkCell, Outcome
from tellapart.config import TrainSettings
from tellapart.models import NetworkSettings
from tellapart.records import SweepPlan, SweepStep
from tellapart.report.wording import say_count
from tellapart.search.sweep import Point, Seeds, Train, check_sizes, run_sweep
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, Trainings, choose_fitting, list_cuts, shorten
from tellapart.study.rules import plan_epochs, plan_recipe, plan_seeds, plan_sizes, plan_swept
from tellapart.study.steps.step import Step

SETTINGS = {"conv": "width", "dense": "dense"}
Make = Callable[[int, int], tuple[str, NetworkSettings, TrainSettings]]
"""Gives, for a size and a seed, a label, the network, and how it is trained."""


def plan_trainings(
    context: Context,
    models: dict[int, NetworkSettings],
    costs: dict[int, float],
    whole: Trainings,
    named: tuple[str, ...],
    seconds: float,
) -> SweepPlan:
    """Return what of the ``whole`` wish fits so many seconds, here or by several workers.

    ``models`` and ``costs``, the seconds of an epoch (0 where there is no limit), are by size;
    ``named`` is what the user named, besides the epochs and seeds of all sweeps.
    """
    settings = context.settings
    named += ("epochs",) if settings.epochs is not None else ()
    named += ("seeds",) if settings.sweep.seeds != "auto" else ()
    alone = {size for size in whole.sizes if not context.fits_beside(models[size])}
    beside = [size for size in whole.sizes if size not in alone]
    total = whole.epochs * whole.seeds * sum(costs[size] for size in beside)
    workers, gain = context.choose_workers([models[size] for size in beside], total)

    def cost(some: Trainings) -> float:
        each = {size: some.epochs * some.share * costs[size] for size in some.sizes}
        rest = sum(each[size] for size in some.sizes if size in alone)
        ours = [each[size] for size in some.sizes if size not in alone]
        return some.seeds * rest + max(some.seeds * sum(ours) / gain, *ours, 0.0)

    kept = choose_fitting(shorten(whole, named), cost, seconds)
    most = plan_seeds(settings, context.images)[1]
    if kept != whole:  # time that is short goes into epochs before it goes into further seeds
        most = kept.seeds
    more = f" (up to {most} where they decide)" if most > kept.seeds else ""
    by = f", by {workers} workers" if workers > 1 else ""
    return SweepPlan(
        sizes=kept.sizes,
        seeds=kept.seeds,
        most_seeds=most,
        epochs=kept.epochs,
        share=kept.share,
        workers=workers,
        alone=tuple(sorted(alone)) if workers > 1 else (),
        estimate=cost(kept),
        cut=list_cuts(whole, kept),
        text=f"{say_count(kept.seeds, 'seed')}{more} of {say_count(kept.epochs, 'epoch')}{by}",
    )


def plan_sweep(step: str, context: Context, seconds: float) -> SweepPlan:
    """Return the sizes, seeds and epochs of a sweep that fit so many seconds."""
    settings = context.settings
    sizes, left_out = plan_sizes(settings, step, context.shape)
    models: dict[int, NetworkSettings] = {
        size: plan_swept(step, size) for size in check_sizes(sizes)
    }
    limited = seconds < float("inf")
    costs = {size: context.measure_epoch(models[size]) if limited else 0.0 for size in models}
    seeds, _ = plan_seeds(settings, context.images)
    whole = Trainings(tuple(models), seeds, plan_epochs(settings, step, context.images))
    named = ("sizes",) if step in settings.sweep.sizes else ()
    plan = plan_trainings(context, models, costs, whole, named, seconds)
    text = f"sizes {', '.join(map(str, plan.sizes))}; {plan.text}"
    return plan.model_copy(update={"left_out": left_out, "text": text})


def prepare_trainings(
    context: Context, step: str, plan: SweepPlan, deadline: Deadline, make: Make
) -> tuple[Seeds, Train]:
    """Return how many seeds a step may spend, and what trains its points while its time lasts."""
    first = context.settings.seed

    def make_cell(point: Point) -> NetworkCell:
        size, seed = point[0], first + point[1]
        label, model, recipe = make(size, seed)
        threads = 0 if plan.workers == 1 or size in plan.alone else context.threads
        label = f"{label}-seed-{seed}"
        return NetworkCell(step, label, model, recipe, plan.share, first, threads)

    def train(points: Sequence[Point]) -> list[Outcome | None]:
        found: dict[Point, Outcome | None] = {}
        alone = [point for point in points if plan.workers == 1 or point[0] in plan.alone]
        beside = [point for point in points if point not in alone]
        for some, workers in ((beside, plan.workers), (alone, 1)):
            cells = [make_cell(point) for point in some]
            found |= zip(some, context.run(cells, workers, deadline.is_over), strict=True)
        return [found[point] for point in points]

    context.reporter.expect(plan.seeds * sum(make_cell((size, 0)).units for size in plan.sizes))
    return Seeds(plan.seeds, plan.most_seeds, deadline.left, plan.workers), train


def run_step(step: str, context: Context, plan: SweepPlan, deadline: Deadline) -> SweepStep:
    """Train the sizes, and test the network of the one to take."""
    settings, setting = context.settings, SETTINGS[step]

    def make(size: int, seed: int) -> tuple[str, NetworkSettings, TrainSettings]:
        model = plan_swept(step, size)
        recipe = plan_recipe(settings, step, context.images, seed, model)
        return f"{setting}-{size}", model, recipe.model_copy(update={"epochs": plan.epochs})

    seeds, train = prepare_trainings(context, step, plan, deadline, make)
    sweep = run_sweep(plan.sizes, seeds, train, partial(context.rank, step))
    taken = sweep.sizes[sweep.ranking.taken].size
    far = {one.seed for one in sweep.ranking.far if one.place == sweep.ranking.taken}
    final = next(
        run for run in sweep.runs if run.settings[setting] == taken and run.seed not in far
    )
    return SweepStep(
        step="conv" if step == "conv" else "dense",
        setting=setting,
        sizes=sweep.sizes,
        ranking=sweep.ranking,
        runs=sweep.runs,
        left_out=(*sweep.left_out, *plan.left_out),
        **context.test_run(step, final),
    )


def check_sweep(step: str, context: Context) -> None:
    """Refuse sizes that cannot be compared."""
    if step in context.settings.sweep.sizes:
        check_sizes(plan_sizes(context.settings, step, context.shape)[0])


def make_step(name: str, weight: float) -> Step:
    """Return the step that varies one size."""
    return Step(
        run=partial(run_step, name),
        plan=partial(plan_sweep, name),
        plan_kind=SweepPlan,
        weight=weight,
        check=partial(check_sweep, name),
    )


CONV, DENSE = make_step("conv", 32), make_step("dense", 14)
