"""Does the size of a layer matter, and is there an ideal one?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tellapart.cells.cell import NetworkCell, Outcome
from tellapart.models import NetworkSettings
from tellapart.records import SweepPlan, SweepStep
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
    total = whole.epochs * whole.seeds * sum(epochs.values())
    workers, gain = context.choose_workers([models[size] for size in whole.sizes], total)

    def cost(some: Trainings) -> float:
        each = [some.epochs * some.share * epochs[size] for size in some.sizes]
        return max(some.seeds * sum(each) / gain, max(each))

    kept = fit_trainings(whole, cost, seconds, named)
    most = plan_seeds(context.settings, context.images)[1]
    most = most if most > whole.seeds else kept.seeds
    plan = SweepPlan(
        sizes=kept.sizes,
        seeds=kept.seeds,
        most_seeds=most,
        epochs=kept.epochs,
        share=kept.share,
        workers=workers,
        estimate=cost(kept),
        cut=list_cuts(whole, kept),
    )
    return plan.model_copy(update={"text": say_trainings(plan)})


def say_trainings(plan: SweepPlan) -> str:
    """Say what a sweep trains."""
    seeds = f"{plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    if plan.most_seeds > plan.seeds:
        seeds += f" (up to {plan.most_seeds} where they decide)"
    by = f", by {plan.workers} workers" if plan.workers > 1 else ""
    return f"{seeds} of {plan.epochs} epoch{'s' if plan.epochs > 1 else ''}{by}"


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
    context: Context,
    plan: SweepPlan,
    deadline: Deadline,
    make_cell: Callable[[Point], NetworkCell],
) -> Callable[[Sequence[Point]], list[Outcome | None]]:
    """Return what trains the points of a sweep while its time lasts."""

    def train(points: Sequence[Point]) -> list[Outcome | None]:
        cells = [make_cell(point) for point in points]
        return context.run(cells, plan.workers, deadline.is_over)

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
        threads = context.threads if plan.workers > 1 else 0
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


CONV, DENSE = make_step("conv", 30), make_step("dense", 15)
