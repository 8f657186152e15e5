"""The six steps, each a function from the bench to its record.

``seconds`` and ``peak_memory_mb`` of a record are left at 0 for the caller, who measures.
"""

from __future__ import annotations

from collections.abc import Callable

from tellapart.audit import audit_images
from tellapart.config import DEEP, ModelSettings, TrainSettings
from tellapart.errors import NotFinite
from tellapart.plan import plan_recipe, plan_swept
from tellapart.records import (
    AnyStep,
    BaselineStep,
    InspectStep,
    RunRecord,
    SearchPlan,
    SearchStep,
    StepName,
    SweepStep,
    TransferStep,
    TrialRecord,
)
from tellapart.report.plots import draw_step
from tellapart.report.wording import say_estimate
from tellapart.search.executor import InlineExecutor
from tellapart.search.optimize import Budget, run_search
from tellapart.search.space import fit_space, split_settings
from tellapart.search.sweep import Cell, check_sizes, run_sweep
from tellapart.study.answers import (
    answer_baseline,
    answer_search,
    answer_sweep,
)
from tellapart.study.bench import Bench, describe_model
from tellapart.study.pretrained import run_transfer


def run_inspect(bench: Bench) -> InspectStep:
    """Step 1: what is in the data?"""
    bench.reporter.begin("inspect", 1)
    record = audit_images(bench.dataset, bench.split, bench.folder / "inspect")
    draw_step(record, bench.folder / "inspect")
    bench.reporter.advance(1, "looked at the data")
    return record


def run_baseline(bench: Bench) -> BaselineStep:
    """Step 2: how far does a simple network get?"""
    model = bench.settings.model
    recipe = plan_recipe(bench.settings, "baseline", bench.images, bench.settings.seed, model)
    recipe = recipe.model_copy(update={"epochs": bench.plan.baseline})
    bench.reporter.begin("baseline", recipe.epochs)
    run = bench.train_cell("baseline", model.name, model, recipe)
    test = bench.test_run("baseline", run)
    answer = answer_baseline(run, test, bench.dataset.classes)
    return BaselineStep(answer=answer, **describe_model(run, test))


def run_conv(bench: Bench) -> SweepStep:
    """Step 3: does the width of the convolution matter?"""
    return _run_sweep(bench, "conv")


def run_dense(bench: Bench) -> SweepStep:
    """Step 4: does the size of the dense layer matter?"""
    return _run_sweep(bench, "dense")


def _run_sweep(bench: Bench, step: StepName) -> SweepStep:
    settings = bench.settings
    plan = bench.plan.sweeps[step]
    sizes = check_sizes(plan.sizes)
    bench.reporter.begin(step, plan.epochs * len(sizes) * plan.seeds)
    setting = "width" if step == "conv" else "dense"

    def run_cell(cell: Cell) -> RunRecord:
        recipe = plan_recipe(settings, step, bench.images, settings.seed + cell.seed)
        recipe = recipe.model_copy(update={"epochs": plan.epochs})
        label = f"{setting}-{cell.size}-seed-{recipe.seed}"
        return bench.train_cell(step, label, plan_swept(step, cell.size), recipe)

    sweep = run_sweep(sizes, plan.seeds, run_cell, InlineExecutor())
    final = next(run for run in sweep.runs if run.settings[setting] == sweep.verdict.size)
    test = bench.test_run(step, final)
    record = SweepStep(
        step="conv" if step == "conv" else "dense",
        setting=setting,
        sizes=sweep.sizes,
        verdict=sweep.verdict,
        runs=sweep.runs,
        left_out=(*sweep.left_out, *plan.left_out),
        answer=answer_sweep(setting, sweep.verdict, test, sweep.sizes),
        **describe_model(final, test),
    )
    draw_step(record, bench.folder / step)
    return record


def run_search_step(bench: Bench) -> SearchStep:
    """Step 5: what is the best network from scratch?"""
    settings = bench.settings
    plan = bench.plan.search
    assert plan is not None
    first = plan_recipe(settings, "trial", bench.images, settings.seed)
    first = first.model_copy(update={"epochs": plan.trial_epochs})
    bench.reporter.begin(
        "search", plan.trials * first.epochs + (0 if bench.notebook else plan.epochs)
    )

    if bench.notebook:
        records, final = _run_notebook_search(bench, first)
        best = 1
    else:
        space = fit_space(bench.dataset.image_size, plan.width, first)
        budget = Budget(plan.trials, plan.trial_seconds)

        def run_trial(model: ModelSettings, recipe: TrainSettings) -> RunRecord:
            return bench.train_cell("search", "trial", model, recipe)

        def show(trial: TrialRecord, of: int) -> None:
            found = trial.val_accuracy
            said = f"val {say_estimate(found)}" if found else f"failed: {trial.note}"
            bench.reporter.say(f"trial {trial.number} of {of}: {said}")

        journal = bench.folder / "search" / "trials.journal"
        records, best, winner = run_search(space, budget, run_trial, journal, show)
        model, recipe = split_settings(dict(records[best - 1].settings), space)
        recipe = recipe.model_copy(update={"epochs": fit_winner(plan, winner)})
        try:
            final = bench.train_cell("search", "best", model, recipe)
        except NotFinite as error:  # the trial itself was well: its network is the answer then
            bench.reporter.say(f"the longer training failed ({error}); its trial is taken")
            final = winner
        if winner.val_accuracy.value > final.val_accuracy.value:
            bench.reporter.say("the longer training is worse on val; its trial is taken")
            final = winner

    test = bench.test_run("search", final)
    record = SearchStep(
        trials=records,
        best_trial=best,
        answer=answer_search(records, best, final, test),
        **describe_model(final, test),
    )
    draw_step(record, bench.folder / "search")
    return record


def fit_winner(plan: SearchPlan, trial: RunRecord) -> int:
    """Return the winner's epochs: those planned, or fewer if its trial was slow for the minutes."""
    if plan.winner_seconds is None:
        return plan.epochs
    fit = int(plan.winner_seconds / (trial.seconds / len(trial.history)))
    return max(plan.trial_epochs, min(plan.epochs, fit))


def _run_notebook_search(
    bench: Bench, recipe: TrainSettings
) -> tuple[tuple[TrialRecord, ...], RunRecord]:
    """The reference study searched by hand: its own best network is the one trial."""
    run = bench.train_cell("search", "deep", DEEP, recipe)
    trial = TrialRecord(
        number=1,
        status="done",
        cell=run.cell,
        settings=run.settings,
        parameters=run.parameters,
        seconds=run.seconds,
        val_accuracy=run.val_accuracy,
        note="the reference study's network, chosen by hand",
    )
    return (trial,), run


RUN_STEP: dict[StepName, Callable[[Bench], AnyStep]] = {
    "inspect": run_inspect,
    "baseline": run_baseline,
    "conv": run_conv,
    "dense": run_dense,
    "search": run_search_step,
    "transfer": run_transfer,
}
KIND: dict[StepName, type[AnyStep]] = {
    "inspect": InspectStep,
    "baseline": BaselineStep,
    "conv": SweepStep,
    "dense": SweepStep,
    "search": SearchStep,
    "transfer": TransferStep,
}
