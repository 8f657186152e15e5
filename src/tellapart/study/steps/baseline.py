"""How far does a simple network get?"""

from __future__ import annotations

from tellapart.cells.cell import NetworkCell
from tellapart.records import BaselineStep, TrainPlan
from tellapart.report.wording import say_count
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline, Trainings, choose_fitting, list_cuts, shorten
from tellapart.study.rules import LONGEST, plan_recipe
from tellapart.study.steps.step import Step


def plan_baseline(context: Context, seconds: float) -> TrainPlan:
    """Return its epochs; as many as the minutes allow where it is all that was asked for."""
    settings, model = context.settings, context.settings.model
    epochs = plan_recipe(settings, "baseline", context.images, settings.seed, model).epochs
    alone = settings.steps == ("baseline",) and settings.minutes is not None
    if alone and settings.epochs is None:
        epochs = max(epochs, LONGEST)
    epoch = context.measure_epoch(model) if seconds < float("inf") else 0.0

    named = ("epochs",) if settings.epochs is not None else ()
    whole = Trainings((0,), 1, epochs)
    kept = choose_fitting(
        shorten(whole, named), lambda some: some.epochs * some.share * epoch, seconds
    )
    return TrainPlan(
        epochs=kept.epochs,
        share=kept.share,
        estimate=kept.epochs * kept.share * epoch,
        cut=() if alone else list_cuts(whole, kept),
        text=say_count(kept.epochs, "epoch"),
    )


def run_baseline(context: Context, plan: TrainPlan, deadline: Deadline) -> BaselineStep:
    """Train one network, and test it once."""
    settings, model = context.settings, context.settings.model
    recipe = plan_recipe(settings, "baseline", context.images, settings.seed, model)
    recipe = recipe.model_copy(update={"epochs": plan.epochs})
    context.reporter.expect(recipe.epochs)
    cell = NetworkCell("baseline", model.name, model, recipe, plan.share, settings.seed)
    return BaselineStep(**context.test_run("baseline", context.train(cell)))


STEP = Step(run=run_baseline, plan=plan_baseline, plan_kind=TrainPlan, weight=6)
