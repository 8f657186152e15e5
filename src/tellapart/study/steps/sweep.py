"""Does the size of a layer matter, and is there an ideal one?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tellapart.cells.cell import NetworkCell, Outcome
from tellapart.models import NetworkSettings
from tellapart.records import SweepPlan, SweepStep
from tellapart.report.wording import say_count
from tellapart.search.sweep import Point, Seeds, check_sizes, run_sweep
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, Trainings, fit_trainings, list_cuts
from tellapart.study.rules import plan_epochs, plan_recipe, plan_seeds, plan_sizes, plan_swept
from tellapart.study.steps.step import Step

SETTINGS = {"conv": "width", "dense": "dense"}


def plan_trainings(
    context: Context,
    models: dict[int, NetworkSettings],
    epochs: dict[int, float],
    wish: tuple[Trainings, tuple[str, ...]],
    seconds: float,
) -> SweepPlan:
    """Return what of a sweep fits so many seconds, here or by several workers.

    Args:
        models: by size.
        epochs: the seconds of an epoch, by size; 0 where there is no limit.
        wish: all that is wished, and what of it the user named.
    """
    whole, named = wish
    alone = {size for size in whole.sizes if not context.fits_beside(models[size])}
    beside = [size for size in whole.sizes if size not in alone]
    total = whole.epochs * whole.seeds * sum(epochs[size] for size in beside)
    workers, gain = context.choose_workers([models[size] for size in beside], total)

    def cost(some: Trainings) -> float:
        each = {size: some.epochs * some.share * epochs[size] for size in some.sizes}
        rest = sum(each[size] for size in some.sizes if size in alone)
        ours = [each[size] for size in some.sizes if size not in alone]
        return some.seeds * rest + max(some.seeds * sum(ours) / gain, *ours, 0.0)

    kept = fit_trainings(whole, cost, seconds, named)
    most = plan_seeds(context.settings, context.images)[1]
    if kept != whole:  # time that is short goes into epochs before it goes into further seeds
        most = kept.seeds
    plan = SweepPlan(
        sizes=kept.sizes,
        seeds=kept.seeds,
        most_seeds=most,
        epochs=kept.epochs,
        share=kept.share,
        workers=workers,
        alone=tuple(sorted(alone)) if workers > 1 else (),
        estimate=cost(kept),
        cut=list_cuts(whole, kept),
    )
    return plan.model_copy(update={"text": say_trainings(plan)})


def say_trainings(plan: SweepPlan) -> str:
    """Say what a sweep trains."""
    seeds = say_count(plan.seeds, "seed")
    if plan.most_seeds > plan.seeds:
        seeds += f" (up to {plan.most_seeds} where they decide)"
    by = f", by {plan.workers} workers" if plan.workers > 1 else ""
    return f"{seeds} of {say_count(plan.epochs, 'epoch')}{by}"


def plan_sweep(step: str, context: Context, seconds: float) -> SweepPlan:
    """Return the sizes, seeds and epochs of a sweep that fit so many seconds."""
    settings = context.settings
    sizes, left_out = plan_sizes(settings, step, context.shape)
    epochs, (seeds, _) = (
        plan_epochs(settings, step, context.images),
        plan_seeds(settings, context.images),
    )
    models = {size: plan_swept(step, size) for size in check_sizes(sizes)}
    limited = seconds < float("inf")
    costs = {size: context.measure_epoch(models[size]) if limited else 0.0 for size in models}
    named = ["epochs"] if settings.epochs is not None else []
    named += ["sizes"] if step in settings.sweep.sizes else []
    named += ["seeds"] if settings.sweep.seeds != "auto" else []
    wish = Trainings(tuple(models), seeds, epochs), tuple(named)
    plan = plan_trainings(context, models, costs, wish, seconds)
    text = f"sizes {', '.join(map(str, plan.sizes))}; {plan.text}"
    return plan.model_copy(update={"left_out": left_out, "text": text})


def make_train(
    context: Context, plan: SweepPlan, deadline: Deadline, make_cell: Callable[[Point], NetworkCell]
) -> Callable[[Sequence[Point]], list[Outcome | None]]:
    """Return what trains the points of a sweep while its time lasts."""

    def train(points: Sequence[Point]) -> list[Outcome | None]:
        found: dict[Point, Outcome | None] = {}
        for workers in (plan.workers, 1):
            some = [
                p for p in points if p not in found and (workers == 1 or p[0] not in plan.alone)
            ]
            cells = [make_cell(point) for point in some]
            found |= zip(some, context.run(cells, workers, deadline.is_over), strict=True)
        return [found[point] for point in points]

    return train


def run_step(step: str, context: Context, plan: SweepPlan, deadline: Deadline) -> SweepStep:
    """Train the sizes, and test the network of the one to take."""
    settings, setting = context.settings, SETTINGS[step]
    context.reporter.expect(plan.epochs * len(plan.sizes) * plan.seeds)

    def make_cell(point: Point) -> NetworkCell:
        size, number = point
        model, seed = plan_swept(step, size), settings.seed + number
        recipe = plan_recipe(settings, step, context.images, seed, model)
        recipe = recipe.model_copy(update={"epochs": plan.epochs})
        threads = 0 if plan.workers == 1 or size in plan.alone else context.threads
        label = f"{setting}-{size}-seed-{seed}"
        return NetworkCell(step, label, model, recipe, plan.share, settings.seed, threads)

    seeds = Seeds(plan.seeds, plan.most_seeds, deadline.left, plan.workers)
    train = make_train(context, plan, deadline, make_cell)
    sweep = run_sweep(plan.sizes, seeds, train, settings.sweep.equivalence)
    final = next(run for run in sweep.runs if run.settings[setting] == sweep.verdict.size)
    test = context.test_run(step, final)
    return SweepStep(
        step="conv" if step == "conv" else "dense",
        setting=setting,
        sizes=sweep.sizes,
        verdict=sweep.verdict,
        runs=sweep.runs,
        left_out=(*sweep.left_out, *plan.left_out),
        **context.describe_model(final, test),
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
