"""What is the best network from scratch?"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from statistics import median_high

from tellapart.cells.cell import NetworkCell, submit_cell
from tellapart.config import TrainSettings
from tellapart.models import NetworkSettings, Shape, SpeedSettings, StagesSettings
from tellapart.models.network import WIDTHS
from tellapart.records import RunRecord, SearchPlan, SearchStep, TrialRecord
from tellapart.report.wording import say_count, say_estimate
from tellapart.search.confirm import confirm_winner, find_frontiers
from tellapart.search.optimize import Budget, Follow, Search, record_trial, run_search
from tellapart.search.space import fit_space, split_settings
from tellapart.study.context import Context
from tellapart.study.deadline import CAREFUL, FINISH, Deadline, choose_fitting
from tellapart.study.rules import plan_epochs, plan_recipe
from tellapart.study.steps.step import Step

CONFIRMING = 3
"""Fresh seeds that a winner is trained again with, where there is time."""
CONFIRMED = {CONFIRMING: 0.25, 2: 0.4}
"""The share of a winner's time that so many may take: the rest trains it for longer."""
TRIED = 3 / 4
"""What trials take of the seconds that as many of a middling network would, none of them stopped:
607 of 806 s in a search of 8 on CIFAR-10 whose widest had 32 filters. A guess elsewhere."""
ROUNDS = 4
"""Times that a search learns from its trials before it asks for more, at least."""


def typical_network(width: int, shape: Shape) -> NetworkSettings:
    """Return a network of middling cost among those of up to so many filters."""
    middle = median_high(one for one in WIDTHS if one <= width)
    if shape.size < SpeedSettings.smallest:
        return StagesSettings(stages=1, convs=2, width=middle, dense=256, norm=True)
    return SpeedSettings(width=middle, convs=2)


def plan_search(context: Context, seconds: float) -> SearchPlan:
    """Return the trials that fit half of so many seconds; the winner has the rest.

    Trials get shorter (to three fifths), and networks narrower; then trials get fewer, and at last
    they learn from a part of the images.
    """
    settings, rules = context.settings, context.rules
    wished = settings.search.trials or rules.trials
    whole = plan_epochs(settings, "trial", context.images)
    longer = plan_epochs(settings, "search", context.images)
    if seconds == float("inf"):
        text = f"{say_count(wished, 'trial')} of {whole} epochs"
        return SearchPlan(
            trials=wished, trial_epochs=whole, width=WIDTHS[-1], epochs=longer, text=text
        )
    networks = {width: typical_network(width, context.shape) for width in WIDTHS}
    epoch = {width: context.measure_epoch(networks[width]) for width in WIDTHS}
    total = wished * whole * epoch[WIDTHS[-1]]
    workers, gain = context.choose_workers(list(networks.values()), total)
    if settings.compute.processes == "auto":
        workers = max(1, min(workers, wished // ROUNDS))
    gain = gain if workers > 1 else 1.0
    fewest = whole if settings.epochs is not None else max(1, -(-whole * 3 // 5))

    def cost(option: tuple[int, int, int, float]) -> float:
        width, epochs, trials, share = option
        return 2 * TRIED * trials * epochs * share * epoch[width] / gain

    few = settings.search.trials or 2
    options = [
        (width, epochs, wished, 1.0)
        for width in reversed(WIDTHS)
        for epochs in range(whole, fewest - 1, -1)
    ]
    options += [(WIDTHS[0], fewest, trials, 1.0) for trials in range(wished - 1, few - 1, -1)]
    options += [(WIDTHS[0], fewest, few, 0.5**part) for part in range(1, 3)]
    fits = choose_fitting(options, cost, seconds)
    width, epochs, trials, share = fits
    cut = []
    if width < WIDTHS[-1]:
        cut.append(f"networks of up to {width} filters in the first layer, of {WIDTHS[-1]}")
    if epochs < whole:
        cut.append(f"trials of {epochs} epochs, of {whole}")
    if trials < wished:
        cut.append(f"{trials} trials of {wished}")
    if share < 1:
        cut.append(f"{100 * share:.0f} % of the training images")
    return SearchPlan(
        trials=trials,
        trial_epochs=epochs,
        width=width,
        epochs=longer,
        share=share,
        workers=workers,
        estimate=cost(fits),
        cut=tuple(cut),
        text=f"up to {trials} trials of {epochs} epochs, the best again for up to {longer}"
        + (f"; {workers} at once, one core each" if workers > 1 else ""),
    )


def run_search_step(context: Context, plan: SearchPlan, deadline: Deadline) -> SearchStep:
    """Search, and test the best network once."""
    settings, fixed = context.settings, context.rules.network
    first = plan_recipe(settings, "trial", context.images, settings.seed, fixed or settings.model)
    first = first.model_copy(update={"epochs": plan.trial_epochs})
    context.reporter.expect((plan.trials + CONFIRMING) * first.epochs + plan.epochs)
    again: list[RunRecord] = []
    if fixed is not None:
        final = context.train(NetworkCell("search", fixed.name, fixed, first))
        note = "the reference study's network, chosen by hand"
        search = Search((record_trial(1, final.settings, final, note),), 1, final)
    else:
        search, again, final = _search(context, plan, first, deadline)
    return SearchStep(
        trials=search.trials,
        best_trial=search.best,
        confirmation=confirm_winner(search.run, again) if len(again) > 1 else None,
        frontier=find_frontiers(search.trials),
        **context.test_run("search", final),
    )


def _search(
    context: Context, plan: SearchPlan, first: TrainSettings, deadline: Deadline
) -> tuple[Search, list[RunRecord], RunRecord]:
    """Search; train the winner again as in its trial with fresh seeds, and longer with the first.

    Returned are the search, the winner with fresh seeds, and the network to test. Its seed chose
    nothing: the longer training, or where that is worse on val, the first of the others.
    """
    seed, threads = context.settings.seed, context.threads if plan.workers > 1 else 0
    executor = context.choose_executor(plan.workers)
    make_cell = partial(NetworkCell, "search", share=plan.share, share_seed=seed)

    def submit(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> Future[RunRecord]:
        cell = make_cell("trial", model, recipe, threads=threads)
        return submit_cell(context, cell, executor, follow)

    def show(trial: TrialRecord, of: int) -> None:
        said = f"{trial.status}: {trial.note}"
        if trial.val_score:
            said = f"val {say_estimate(trial.val_score)}"
        context.reporter.say(f"trial {trial.number} of {of}: {said}")

    space = fit_space(context.dataset.image_size, plan.width, first)
    budget = Budget(plan.trials, deadline.take(0.5).is_over, plan.workers)
    search = run_search(space, budget, submit, context.folder / "search" / "trials.json", show)
    model, recipe = split_settings(search.trials[search.best - 1].settings, space)

    def count_fresh() -> int:
        trial, left = search.run.seconds, deadline.left()
        fits = (n for n, part in CONFIRMED.items() if -(-n // plan.workers) * trial <= part * left)
        return next(fits, 0)

    fresh = context.decide("search", "fresh", int, count_fresh)
    recipes = [recipe.model_copy(update={"seed": recipe.seed + 1 + n}) for n in range(fresh)]
    cells = [make_cell(f"again-seed-{own.seed}", model, own, threads=threads) for own in recipes]
    context.reporter.expect((fresh + 1) * first.epochs)
    again = [run for run in context.run(cells, plan.workers) if isinstance(run, RunRecord)]

    def pace(alone: bool) -> float:
        return plan.share * context.measure_epoch(model, recipe, alone)

    def fit_longer() -> int:
        if deadline.given is None:
            return plan.epochs
        epoch = min(pace(False), pace(True)) if quicker else pace(False)
        fits = CAREFUL * (deadline.left() - FINISH) / max(epoch, 1e-9)
        return int(min(plan.epochs, fits))

    # one core is the quicker where the others have other work
    quicker = plan.workers > 1 and context.decide(
        "search", "one-core", bool, lambda: pace(True) < pace(False)
    )
    longer = context.decide("search", "longer", int, fit_longer)
    final = again[0] if again else search.run
    if longer > first.epochs:
        context.reporter.expect(longer)
        own = recipe.model_copy(update={"epochs": longer, "seed": recipe.seed + 1})
        cell = make_cell("best", model, own, threads=threads if quicker else 0)
        (best,) = context.run([cell])
        if not isinstance(best, RunRecord):  # the trial itself was well: its network is the answer
            context.reporter.say(f"the longer training failed ({best}); a trial's length is taken")
        elif again and again[0].val_score.value > best.val_score.value:
            context.reporter.say("the longer training is worse on val; a trial's length is taken")
        else:
            final = best
    return search, again, final


STEP = Step(run=run_search_step, plan=plan_search, plan_kind=SearchPlan, weight=36)
