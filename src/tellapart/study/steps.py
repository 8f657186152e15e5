"""The six steps, each a function from the bench to its record.

``seconds`` and ``peak_memory_mb`` of a record are left at 0 for the caller, who measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tellapart.audit import audit_images
from tellapart.config import TrainSettings
from tellapart.models import DeepSettings, NetworkSettings
from tellapart.plan import plan_recipe
from tellapart.records import (
    AnyStep,
    BaselineStep,
    Confirmation,
    EpochRow,
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
from tellapart.report.wording import say_estimate, say_seconds
from tellapart.search.confirm import (
    CONFIRMING,
    TrialCost,
    confirm_winner,
    count_confirming,
    find_frontiers,
    fit_winner,
    give_up,
    pass_on,
)
from tellapart.search.executor import InlineExecutor
from tellapart.search.optimize import Budget, Search, run_search
from tellapart.search.space import fit_space, split_settings
from tellapart.search.sweep import Seeds, check_sizes, run_cells, run_sweep
from tellapart.study.answers import (
    answer_baseline,
    answer_search,
    answer_sweep,
)
from tellapart.study.bench import Bench
from tellapart.study.cells import CellExecutor, PoolExecutor, SweepCell, Training
from tellapart.study.pretrained import run_transfer
from tellapart.study.tested import describe_model


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
    work = SweepCell(bench, step, plan.epochs)
    setting = work.setting
    at_once = dict.fromkeys(plan.apart, bench.plan.processes)
    seeds = Seeds(plan.seeds, plan.most_seeds, plan.extra_seconds, at_once)
    executor = CellExecutor(work, lambda cell: cell.size in plan.apart)
    sweep = run_sweep(sizes, seeds, work, executor, settings.sweep.equivalence)
    final = next(run for run in sweep.runs if run.settings[setting] == sweep.verdict.size)
    test = bench.test_run(step, final)
    record = SweepStep(
        step="conv" if step == "conv" else "dense",
        setting=setting,
        sizes=sweep.sizes,
        verdict=sweep.verdict,
        runs=sweep.runs,
        left_out=(*sweep.left_out, *plan.left_out),
        answer=answer_sweep(setting, sweep.verdict, final, test, sweep.sizes),
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
    confirming = 0 if bench.notebook else CONFIRMING * first.epochs + plan.epochs
    bench.reporter.begin("search", plan.trials * first.epochs + confirming)
    found = (
        _run_notebook_search(bench, first) if bench.notebook else _run_search(bench, plan, first)
    )
    search, confirmation, final = found
    test = bench.test_run("search", final)
    record = SearchStep(
        trials=search.trials,
        best_trial=search.best,
        confirmation=confirmation,
        importances=search.importances,
        frontier=find_frontiers(search.trials),
        answer=answer_search(search.trials, confirmation, final, test),
        **describe_model(final, test),
    )
    draw_step(record, bench.folder / "search")
    return record


Found = tuple[Search, Confirmation | None, RunRecord]
"""A search, its winner with fresh seeds, and the network that is tested."""


def _run_search(bench: Bench, plan: SearchPlan, first: TrainSettings) -> Found:
    """Search; train the winner again as in its trial with fresh seeds, and longer with the first.

    The network that is tested has a seed that chose nothing: the longer training, or where that
    is worse on val, the first of the others.
    """
    plan = shorten_search(bench, plan)
    space = fit_space(bench.dataset.image_size, plan.width, first)
    budget = Budget(plan.trials, plan.trial_seconds, plan.at_once)
    apart = plan.at_once > 1 and bench.pool is not None
    trainer = bench.apart if apart else bench

    def show(trial: TrialRecord, of: int) -> None:
        accuracy = trial.val_accuracy
        said = f"val {say_estimate(accuracy)}" if accuracy else f"{trial.status}: {trial.note}"
        if apart:
            bench.reporter.advance(first.epochs, f"trial {trial.number} of {of}")
        bench.reporter.say(f"trial {trial.number} of {of}: {said}")

    journal = bench.folder / "search" / "trials.journal"
    executor = PoolExecutor(bench, lambda asked: asked[0]) if apart else None
    search = run_search(space, budget, Trial(trainer), journal, show, executor)
    model, recipe = split_settings(dict(search.trials[search.best - 1].settings), space)
    timed = plan if apart else plan.model_copy(update={"at_once": 1})
    left = pass_on(timed, search.trials)
    price = cache(lambda: price_trial(bench, timed, search.run, model))
    fresh = bench.settle("search", "fresh", int, lambda: count_confirming(left, price()))
    cells = [
        (f"again-seed-{seed}", model, recipe.model_copy(update={"seed": seed}))
        for seed in range(recipe.seed + 1, recipe.seed + 1 + fresh)
    ]
    trial = search.run.seconds
    longest = fit_winner(left, TrialCost(trial, trial, left.at_once), [trial] * len(cells))
    bench.reporter.expect(first.epochs * len(cells) + longest)
    others = PoolExecutor(bench, lambda cell: cell[1]) if apart else InlineExecutor()
    found = run_cells(cells, Training(trainer, "search"), others)
    if apart:
        bench.reporter.advance(first.epochs * len(cells), "the winner with fresh seeds")
    again = [run for run in found if isinstance(run, RunRecord)]  # the record says how many

    took = [run.seconds if isinstance(run, RunRecord) else price().beside for run in found]
    longer = bench.settle("search", "longer", int, lambda: fit_winner(left, price(), took))
    bench.reporter.expect(longer)
    own = recipe.model_copy(update={"epochs": longer, "seed": recipe.seed + 1})
    (best,) = run_cells([("best", model, own)], Training(bench, "search"), InlineExecutor())
    if not isinstance(best, RunRecord):  # the trial itself was well: its network is the answer
        bench.reporter.say(f"the longer training failed ({best}); a trial's length is taken")
        final = again[0] if again else search.run
    elif again and again[0].val_accuracy.value > best.val_accuracy.value:
        bench.reporter.say("the longer training is worse on val; a trial's length is taken")
        final = again[0]
    else:
        final = best
    return search, confirm_winner(search.run, again) if again else None, final


@dataclass(frozen=True)
class Trial:
    """Trains a trial of the search. It can be handed to another process."""

    bench: Bench

    def __call__(
        self, model: NetworkSettings, recipe: TrainSettings, follow: Callable[[EpochRow], None]
    ) -> RunRecord:
        return self.bench.train_cell("search", "trial", model, recipe, follow)


def shorten_search(bench: Bench, plan: SearchPlan) -> SearchPlan:
    """Return a search that keeps the study to its minutes, where steps before it took longer.

    It is settled by the search's first start.
    """
    late = bench.settle("search", "late", float, lambda: count_late(bench, plan))
    plan = give_up(plan, late)
    if late >= 1:
        said = f"earlier steps leave {say_seconds(late)} less than planned"
        bench.reporter.say(
            f"{said}; the search takes as much less, or half of its own, trials first"
        )
    return plan


def count_late(bench: Bench, plan: SearchPlan) -> float:
    """Return by how many seconds a study would miss its minutes with all that the search may take.

    A plan that could not be cut to its minutes is kept to its own seconds.
    """
    if bench.plan.minutes is None or plan.trial_seconds is None or plan.winner_seconds is None:
        return 0.0
    steps: tuple[StepName, ...] = ("baseline", "conv", "dense")
    done = [bench.read_step(step, KIND[step]) for step in steps]
    spent = sum(one.seconds for one in done if one is not None)
    whole = max(60 * bench.plan.minutes, bench.plan.seconds)
    return max(0.0, spent + plan.trial_seconds + plan.winner_seconds - whole)


def price_trial(
    bench: Bench, plan: SearchPlan, trial: RunRecord, model: NetworkSettings
) -> TrialCost:
    """Return what a trial costs; one trained with one core, beside others, takes less with all."""
    seconds = trial.seconds
    if trial.threads == 1 and bench.plan.processes > 1:
        seconds *= bench.paces.gain(model) / bench.plan.processes
    return TrialCost(seconds, trial.seconds, plan.at_once)


def _run_notebook_search(bench: Bench, recipe: TrainSettings) -> Found:
    """The reference study searched by hand: its own best network is the one trial."""
    run = bench.train_cell("search", "deep", DeepSettings(), recipe)
    trial = TrialRecord(
        number=1,
        status="done",
        cell=run.cell,
        settings=run.settings,
        parameters=run.parameters,
        seconds=run.seconds,
        predict_seconds=run.predict_seconds,
        val_accuracy=run.val_accuracy,
        note="the reference study's network, chosen by hand",
    )
    return Search((trial,), 1, run, {}), None, run


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
