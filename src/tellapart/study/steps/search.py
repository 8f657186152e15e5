"""What is the best network from scratch?"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from statistics import median_high

from tellapart.cells.cell import NetworkCell, submit_cell
from tellapart.config import TrainSettings
from tellapart.models import NetworkSettings, Shape, SpeedSettings, StagesSettings
from tellapart.models.network import WIDTHS
from tellapart.records import Confirmation, RunRecord, SearchPlan, SearchStep, TrialRecord
from tellapart.report.wording import say_estimate
from tellapart.search.confirm import confirm_winner, find_frontiers
from tellapart.search.optimize import Budget, Follow, Search, run_search
from tellapart.search.space import fit_space, split_settings
from tellapart.study.context import Context
from tellapart.study.deadline import CAREFUL, FINISH, Deadline, NoTime
from tellapart.study.rules import plan_epochs, plan_recipe
from tellapart.study.steps.step import Step

CONFIRMING = 3
"""Fresh seeds that a winner is trained again with, where there is time."""
CONFIRMED = 0.4
"""The share of a winner's time that fresh seeds may take: the rest trains it for longer."""
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
        text = f"{wished} trial{'s' if wished > 1 else ''} of {whole} epochs"
        return SearchPlan(
            trials=wished, trial_epochs=whole, width=WIDTHS[-1], epochs=longer, text=text
        )
    networks = {width: typical_network(width, context.shape) for width in WIDTHS}
    epoch = {width: context.measure_epoch(networks[width]) for width in WIDTHS}
    total = wished * whole * epoch[WIDTHS[-1]]
    workers, gain = context.choose_workers(list(networks.values()), total)
    if settings.processes == "auto":
        workers = max(1, min(workers, wished // ROUNDS))
    gain = gain if workers > 1 else 1.0
    allowed = CAREFUL * (seconds - FINISH) / 2
    fewest = whole if settings.epochs is not None else max(1, -(-whole * 3 // 5))

    def cost(width: int, epochs: int, trials: int, share: float) -> float:
        return TRIED * trials * epochs * share * epoch[width] / gain

    few = settings.search.trials or 2
    options = [
        (width, epochs, wished, 1.0)
        for width in reversed(WIDTHS)
        for epochs in range(whole, fewest - 1, -1)
    ]
    options += [(WIDTHS[0], fewest, trials, 1.0) for trials in range(wished - 1, few - 1, -1)]
    options += [(WIDTHS[0], fewest, few, 0.5**part) for part in range(1, 3)]
    fits = next((option for option in options if cost(*option) <= allowed), None)
    if fits is None:
        raise NoTime(2 * cost(*options[-1]) / CAREFUL + FINISH, seconds)
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
        estimate=2 * cost(*fits),
        cut=tuple(cut),
        text=f"up to {trials} trials of {epochs} epochs, the best again for up to {longer}"
        + (f"; {workers} at once, one core each" if workers > 1 else ""),
    )


@dataclass(frozen=True)
class Winner:
    """A search, its winner with fresh seeds, and the network that is tested."""

    search: Search
    confirmation: Confirmation | None
    run: RunRecord


def run_search_step(context: Context, plan: SearchPlan, deadline: Deadline) -> SearchStep:
    """Search, and test the best network once."""
    fixed = context.rules.network
    first = plan_recipe(
        context.settings,
        "trial",
        context.images,
        context.settings.seed,
        fixed or context.settings.model,
    )
    first = first.model_copy(update={"epochs": plan.trial_epochs})
    context.reporter.expect((plan.trials + CONFIRMING) * first.epochs + plan.epochs)
    found = (
        _search(context, plan, first, deadline)
        if fixed is None
        else _train_fixed(context, fixed, first)
    )
    test = context.test_run("search", found.run)
    return SearchStep(
        trials=found.search.trials,
        best_trial=found.search.best,
        confirmation=found.confirmation,
        importances=found.search.importances,
        frontier=find_frontiers(found.search.trials),
        **context.describe_model(found.run, test),
    )


def _search(context: Context, plan: SearchPlan, first: TrainSettings, deadline: Deadline) -> Winner:
    """Search; train the winner again as in its trial with fresh seeds, and longer with the first.

    The network that is tested has a seed that chose nothing: the longer training, or where that
    is worse on val, the first of the others.
    """
    seed, threads = context.settings.seed, context.threads if plan.workers > 1 else 0
    executor = context.choose_executor(plan.workers)

    def make_cell(
        label: str, model: NetworkSettings, recipe: TrainSettings, threads: int
    ) -> NetworkCell:
        return NetworkCell("search", label, model, recipe, plan.share, seed, threads)

    def submit(model: NetworkSettings, recipe: TrainSettings, follow: Follow) -> Future[RunRecord]:
        return submit_cell(context, make_cell("trial", model, recipe, threads), executor, follow)

    def show(trial: TrialRecord, of: int) -> None:
        said = (
            f"val {say_estimate(trial.val_score)}"
            if trial.val_score
            else f"{trial.status}: {trial.note}"
        )
        context.reporter.say(f"trial {trial.number} of {of}: {said}")

    space = fit_space(context.dataset.image_size, plan.width, first)
    half = deadline.take(0.5)
    budget = Budget(plan.trials, half.is_over, plan.workers)
    journal = context.folder / "search" / "trials.journal"
    search = run_search(space, budget, submit, journal, show)
    model, recipe = split_settings(dict(search.trials[search.best - 1].settings), space)

    trial, rounds = search.run.seconds, {n: -(-n // plan.workers) for n in range(CONFIRMING + 1)}
    fresh = context.decide(
        "search",
        "fresh",
        int,
        lambda: next((n for n in (3, 2) if rounds[n] * trial <= CONFIRMED * deadline.left()), 1),
    )
    seeds = range(recipe.seed + 1, recipe.seed + 1 + fresh)
    cells = [
        make_cell(f"again-seed-{one}", model, recipe.model_copy(update={"seed": one}), threads)
        for one in seeds
    ]
    context.reporter.expect((fresh + 1) * first.epochs)
    again = [run for run in context.run(cells, plan.workers) if isinstance(run, RunRecord)]

    def fit_longer() -> int:
        took = [run.seconds for run in again] or [trial]
        epoch = sum(took) / len(took) / len((again or [search.run])[0].history)
        fits = CAREFUL * (deadline.left() - FINISH) / max(epoch, 1e-9)
        return int(min(plan.epochs, fits))

    longer = context.decide("search", "longer", int, fit_longer)
    final = again[0] if again else search.run
    if longer > first.epochs:
        context.reporter.expect(longer)
        own = recipe.model_copy(update={"epochs": longer, "seed": recipe.seed + 1})
        (best,) = context.run([make_cell("best", model, own, 0)])
        if not isinstance(best, RunRecord):  # the trial itself was well: its network is the answer
            context.reporter.say(f"the longer training failed ({best}); a trial's length is taken")
        elif again and again[0].val_score.value > best.val_score.value:
            context.reporter.say("the longer training is worse on val; a trial's length is taken")
        else:
            final = best
    return Winner(search, confirm_winner(search.run, again) if again else None, final)


def _train_fixed(context: Context, model: NetworkSettings, recipe: TrainSettings) -> Winner:
    """Train the network that a preset has instead of a search, as its one trial."""
    run = context.train(NetworkCell("search", model.name, model, recipe))
    trial = TrialRecord(
        number=1,
        status="done",
        cell=run.cell,
        settings=run.settings,
        parameters=run.parameters,
        seconds=run.seconds,
        predict_seconds=run.predict_seconds,
        val_score=run.val_score,
        note="the reference study's network, chosen by hand",
    )
    return Winner(Search((trial,), 1, run, {}), None, run)


STEP = Step(run=run_search_step, plan=plan_search, plan_kind=SearchPlan, weight=30)
