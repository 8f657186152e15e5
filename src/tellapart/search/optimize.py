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
from typing import TYPE_CHECKING

from tellapart.config import TrainSettings
from tellapart.errors import Hopeless, NotFinite, TellapartError
from tellapart.models import NetworkSettings, Space
from tellapart.records import EpochRow, RunRecord, Scalar, TrialRecord
from tellapart.search.importance import weigh_settings
from tellapart.search.journal import (
    ASKED,
    RECORD,
    end_trial,
    list_ended,
    name_state,
    open_journal,
    read_trial,
    reap_trials,
)
from tellapart.search.space import GIVEN, fit_given, name_settings, split_settings, suggest_training
from tellapart.workspace import explain_failure

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
        for place in range(number, min(first + budget.workers, budget.trials)):
            with explain_failure(storage):
                trial = _ask(study, space, place)
                network, recipe = suggest_training(trial, space)
                trial.set_user_attr(ASKED, value=True)
            future = submit(network, recipe, Follow(limits if place >= len(GIVEN) else {}))
            asked.append((trial, future))
            if future.done():
                _check_future(future)
        for place, (trial, future) in enumerate(asked, number + 1):
            _check_future(future)
            record = _record(place, name_settings(trial.params), future)
            with explain_failure(storage):
                if record.status == "done":
                    runs[place] = future.result()
                    for row in runs[place].history:
                        trial.report(row.val_score, row.epoch)
                trial.set_user_attr(RECORD, record.model_dump(mode="json"))
                end_trial(study, trial.number, record)
            watch(record, budget.trials)
    ended = list_ended(study)[: budget.trials]
    records = tuple(read_trial(trial) for trial in ended)
    done = {one.number: one.val_score.value for one in records if one.val_score}
    if not done:
        raise TellapartError(f"all {len(records)} trials of the search failed: {records[0].note}")
    best = max(done, key=lambda number: (done[number], -number))
    model, recipe = split_settings(records[best - 1].settings, space)
    run = runs.get(best) or submit(model, recipe, Follow({})).result()
    return Search(records, best, run, weigh_settings([ended[number - 1] for number in done]))


class Follow:
    """Stops a trial that by an epoch has not come to the score that ``limits`` has for it."""

    def __init__(self, limits: Mapping[int, float]) -> None:
        self._limits, self._best, self._spent = limits, 0.0, 0.0

    def __call__(self, row: EpochRow) -> None:
        """Take an epoch in; raise `Hopeless` if the best so far is below its limit."""
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


def _record(number: int, settings: dict[str, Scalar], future: Future[RunRecord]) -> TrialRecord:
    """Return what a trial came to."""
    error = future.exception()
    if error is None:
        return record_trial(number, settings, future.result())
    return TrialRecord(
        number=number,
        status="stopped" if isinstance(error, Hopeless) else "failed",
        cell="",
        settings=settings,
        parameters=0,
        seconds=error.seconds if isinstance(error, Hopeless | NotFinite) else 0.0,
        val_score=None,
        note=str(error),
    )


def record_trial(
    number: int, settings: dict[str, Scalar], run: RunRecord, note: str = ""
) -> TrialRecord:
    """Return the record of a trial that was trained to its end."""
    return TrialRecord(
        number=number,
        status="done",
        cell=run.cell,
        settings=settings,
        parameters=run.parameters,
        seconds=run.seconds,
        predict_seconds=run.predict_seconds,
        val_score=run.val_score,
        note=note,
    )


def _find_limits(study: optuna.Study, space: Space, first: int) -> dict[int, float]:
    """Return what a trial must come to by each epoch: the median of the trials done before it.

    Those are of the ``first`` that ended, in rounds before its own. There is no limit before a
    third of the epochs, nor at the last one, where nothing would be saved, nor before as many
    trials are done as are given.
    """
    done = [trial for trial in list_ended(study)[:first] if trial.values]
    if len(done) < len(GIVEN):
        return {}
    limits: dict[int, float] = {}
    for epoch in range(-(-space.epochs // 3), space.epochs):
        values = [t.intermediate_values[epoch] for t in done if epoch in t.intermediate_values]
        if values:
            limits[epoch] = median(values)
    return limits


def _ask(study: optuna.Study, space: Space, number: int) -> optuna.Trial:
    """Ask for the trial after ``number`` ended ones; the first are given."""
    from optuna.samplers import TPESampler

    study.sampler = TPESampler(seed=(1000 * space.seed + number) % 2**32, n_startup_trials=4)
    waiting = study.get_trials(deepcopy=False, states=(name_state("WAITING"),))
    if number < len(GIVEN) and not waiting:
        study.enqueue_trial(fit_given(GIVEN[number], space))
    return study.ask()
