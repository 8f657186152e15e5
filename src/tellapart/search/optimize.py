"""The search for the best network from scratch: Optuna asks, a function trains and answers.

Trials live in a journal file, which survives kills. What a trial tries is a function of the
seed, its number and the finished trials before it, so a search that was killed goes on as if it
had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from tellapart.config import TrainSettings
from tellapart.errors import Hopeless, NotFinite, TellapartError
from tellapart.models import NetworkSettings, Space
from tellapart.records import EpochRow, Estimate, RunRecord, TrialRecord
from tellapart.search.importance import weigh_settings
from tellapart.search.journal import (
    ASKED,
    explain_failure,
    is_done,
    list_ended,
    name_state,
    open_journal,
    reap_trials,
)
from tellapart.search.space import GIVEN, fit_given, name_settings, split_settings, suggest_training

if TYPE_CHECKING:
    import optuna

Watch = Callable[[TrialRecord, int], None]
Submit = Callable[[NetworkSettings, TrainSettings, "Follow"], Future[RunRecord]]


@dataclass(frozen=True)
class Budget:
    """How many trials; none begins where ``is_over``, the first of the given ones aside.

    ``workers`` are asked for together, and are told together, in order: what is tried so depends
    on how many, but not on which of them ends first.
    """

    trials: int
    is_over: Callable[[], bool] = lambda: False
    workers: int = 1


@dataclass(frozen=True)
class Search:
    """What a search comes to: its trials, the number of the best one, and that one's run.

    ``importances`` are those of settings, by kind of network.
    """

    trials: tuple[TrialRecord, ...]
    best: int
    run: RunRecord
    importances: dict[str, dict[str, float]]


def run_search(
    space: Space, budget: Budget, submit: Submit, storage: str | Path, watch: Watch
) -> Search:
    """Run the trials that the budget allows.

    Trials in the journal count. No other process may be at work on it.

    A trial whose training fails is recorded as failed, never as a low score. One that at some
    epoch is below the median of those before it at the same epoch is stopped, the given ones
    aside. A trial that a kill left unfinished is tried again with the same settings.

    Args:
        submit: trains a network with a recipe; calls its last argument after each epoch, which may
            raise `Hopeless` to stop it.

    Raises:
        TellapartError: every trial failed.
        WorkspaceError: the journal cannot be written.
    """
    storage = Path(storage)
    with explain_failure(storage):
        study = open_journal(storage)
        reap_trials(study)
    runs: dict[int, RunRecord] = {}
    while (number := len(list_ended(study))) < budget.trials:
        if number and budget.is_over():
            break
        first = number - number % budget.workers  # of a round that a kill may have cut
        limits = _find_limits(study, space, first)
        asked: list[tuple[optuna.Trial, Future[RunRecord]]] = []
        for next_number in range(number, min(first + budget.workers, budget.trials)):
            with explain_failure(storage):
                trial = _ask(study, space, next_number)
                network, recipe = suggest_training(trial, space)
                trial.set_user_attr(ASKED, value=True)
            follow = Follow(limits if next_number >= len(GIVEN) else {})
            asked.append((trial, submit(network, recipe, follow)))
            if asked[-1][1].done():
                _check_future(asked[-1][1])
        for trial, future in asked:
            _check_future(future)
            with explain_failure(storage):
                if future.exception() is None:
                    runs[trial.number] = future.result()
                _tell(study, trial, future)
            watch(_record(list_ended(study)[-1], len(list_ended(study))), budget.trials)
    ended = list_ended(study)[: budget.trials]
    records = tuple(_record(trial, number + 1) for number, trial in enumerate(ended))
    done = [trial for trial in ended if is_done(trial)]
    if not done:
        raise TellapartError(f"all {len(records)} trials of the search failed: {records[0].note}")
    winner = max(done, key=lambda trial: (trial.value or 0.0, -trial.number))
    model, recipe = split_settings(name_settings(winner.params), space)
    run = runs.get(winner.number) or submit(model, recipe, Follow({})).result()
    return Search(records, ended.index(winner) + 1, run, weigh_settings(done))


class Follow:
    """Looks at each epoch of a trial, and stops one that is hopeless.

    Args:
        limits: by epoch, the score that the trial must have come to by then.
    """

    def __init__(self, limits: Mapping[int, float]) -> None:
        self._limits, self._best, self._spent = limits, 0.0, 0.0

    def __call__(self, row: EpochRow) -> None:
        """Take an epoch in.

        Raises:
            Hopeless: the best score so far is below the limit of this epoch.
        """
        self._spent += row.seconds
        self._best = max(self._best, row.val_score)
        if self._best < self._limits.get(row.epoch, 0.0):
            raise Hopeless(
                f"stopped after epoch {row.epoch} at {100 * row.val_score:.1f} %, "
                "below half of the trials before it",
                self._spent,
            )


def _check_future(future: Future[RunRecord]) -> None:
    """Raise what is no failure of a training but ends the search."""
    error = future.exception()
    if error is not None and getattr(error, "exit_code", 0) != 1:
        raise error


def _tell(study: optuna.Study, trial: optuna.Trial, future: Future[RunRecord]) -> None:
    """Write down what a trial came to."""
    error = future.exception()
    if error is not None:
        stopped = isinstance(error, Hopeless)
        if isinstance(error, (Hopeless, NotFinite)):
            trial.set_user_attr("seconds", error.seconds)
        trial.set_user_attr("note", str(error))
        study.tell(trial, state=name_state("PRUNED" if stopped else "FAIL"))
        return
    run = future.result()
    for row in run.history:
        trial.report(row.val_score, row.epoch)
    for name, value in _describe(run).items():
        trial.set_user_attr(name, value)
    study.tell(trial, run.val_score.value)


def _find_limits(study: optuna.Study, space: Space, first: int) -> dict[int, float]:
    """Return what a trial must come to by each epoch: the median of the trials done before it.

    Those are the ``first`` that ended, of rounds before its own.

    There is none before a third of the epochs, nor at the last one, where nothing would be saved,
    nor before as many trials are done as are given.
    """
    done = [trial for trial in list_ended(study)[:first] if is_done(trial)]
    if len(done) < len(GIVEN):
        return {}
    limits: dict[int, float] = {}
    for epoch in range(-(-space.epochs // 3), space.epochs):
        values = [t.intermediate_values[epoch] for t in done if epoch in t.intermediate_values]
        if values:
            limits[epoch] = median(values)
    return limits


def _make_sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=(1000 * seed + number) % 2**32, n_startup_trials=4)


def _ask(study: optuna.Study, space: Space, number: int) -> optuna.Trial:
    """Ask for the trial after ``number`` ended ones; the first are given."""
    study.sampler = _make_sampler(space.seed, number)
    waiting = study.get_trials(deepcopy=False, states=(name_state("WAITING"),))
    if number < len(GIVEN) and not waiting:
        study.enqueue_trial(fit_given(GIVEN[number], space))
    return study.ask()


def _describe(run: RunRecord) -> dict[str, Any]:
    return {
        "cell": run.cell,
        "parameters": run.parameters,
        "seconds": run.seconds,
        "predict_seconds": run.predict_seconds,
        "score": run.val_score.model_dump(),
    }


def _estimate(trial: optuna.trial.FrozenTrial) -> Estimate | None:
    return Estimate(**trial.user_attrs["score"]) if is_done(trial) else None


def _record(trial: optuna.trial.FrozenTrial, number: int) -> TrialRecord:
    found = trial.user_attrs
    status: Literal["done", "failed", "stopped"] = "done"
    if not is_done(trial):
        status = "stopped" if trial.state == name_state("PRUNED") else "failed"
    return TrialRecord(
        number=number,
        status=status,
        cell=found.get("cell", ""),
        settings=name_settings(trial.params),
        parameters=found.get("parameters", 0),
        seconds=found.get("seconds", 0.0),
        predict_seconds=found.get("predict_seconds", 0.0),
        val_score=_estimate(trial),
        note=found.get("note", ""),
    )
