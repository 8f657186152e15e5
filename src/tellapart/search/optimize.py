"""The search for the best network from scratch: Optuna asks, a function trains and answers.

What a trial tries is a function of the seed, its number and what came of the rounds before it.
Those are kept in a file, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tellapart.config import TrainSettings
from tellapart.errors import Hopeless, NotFinite, TellapartError
from tellapart.models import NetworkSettings, Space
from tellapart.records import EpochRow, Record, RunRecord, Scalar, TrialRecord
from tellapart.search.space import GIVEN, fit_given, name_settings, split_settings, suggest_training
from tellapart.workspace import read_record, write_json

if TYPE_CHECKING:
    import optuna

Watch = Callable[[TrialRecord, int], None]
Submit = Callable[[NetworkSettings, TrainSettings, "Follow"], Future[RunRecord]]
STATES = {"done": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
"""What Optuna calls how a trial ended."""


class Told(Record):
    """A trial that came to its end, as the file has it.

    ``params`` are its settings as Optuna names them, ``scores`` those on val, an epoch each.
    """

    trial: TrialRecord
    params: dict[str, Scalar]
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Budget:
    """How many trials; none but the first begins where ``is_over``.

    ``workers`` are asked for together, and are told together, in order: what is tried so depends
    on how many, but not on which of them ends first.
    """

    trials: int
    is_over: Callable[[], bool] = lambda: False
    workers: int = 1


@dataclass(frozen=True)
class Search:
    """What a search comes to: its trials, the number of the best one, and that one's run."""

    trials: tuple[TrialRecord, ...]
    best: int
    run: RunRecord


def run_search(
    space: Space, budget: Budget, submit: Submit, storage: str | Path, watch: Watch
) -> Search:
    """Run the trials that the budget allows.

    Trials in the file ``storage`` count. No other process may be at work on it.

    A trial whose training fails is recorded as failed, never as a low score. One that at some
    epoch is below the median of those before it at the same epoch is stopped, the given ones
    aside. A trial that a kill left unfinished is tried again with the same settings.

    Args:
        submit: trains a network with a recipe; calls its last argument after each epoch, which may
            raise `Hopeless` to stop it.

    Raises:
        TellapartError: every trial failed.
        WorkspaceError: the file cannot be written, or was altered.
    """
    storage = Path(storage)
    told = list(read_record(storage, tuple[Told, ...])) if storage.is_file() else []
    runs: dict[int, RunRecord] = {}
    while (number := len(told)) < budget.trials:
        if number and budget.is_over():
            break
        first = number - number % budget.workers  # of a round that a kill may have cut
        limits = _find_limits(told[:first], space)
        asked: list[tuple[dict[str, Scalar], Future[RunRecord]]] = []
        for place in range(number, min(first + budget.workers, budget.trials)):
            trial = _ask(told[:first], space, place)
            network, recipe = suggest_training(trial, space)
            future = submit(network, recipe, Follow(limits if place >= len(GIVEN) else {}))
            asked.append((trial.params, future))
            if future.done():
                _check_future(future)
        for place, (params, future) in enumerate(asked, number + 1):
            _check_future(future)
            record = _record(place, name_settings(params), future)
            scores: tuple[float, ...] = ()
            if record.status == "done":
                runs[place] = future.result()
                scores = tuple(row.val_score for row in runs[place].history)
            told.append(Told(trial=record, params=params, scores=scores))
            write_json(storage, [one.model_dump(mode="json") for one in told])
            watch(record, budget.trials)
    told = told[: budget.trials]
    records = tuple(one.trial for one in told)
    done = {one.number: one.val_score.value for one in records if one.val_score}
    if not done:
        raise TellapartError(f"all {len(records)} trials of the search failed: {records[0].note}")
    best = max(done, key=lambda number: (done[number], -number))
    model, recipe = split_settings(records[best - 1].settings, space)
    run = runs.get(best) or submit(model, recipe, Follow({})).result()
    return Search(records, best, run)


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


def _recall(told: Sequence[Told], space: Space) -> optuna.Study:
    """Return a study of Optuna's, in memory, that knows these trials."""
    import optuna
    from optuna.trial import FixedTrial, TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for one in told:
        again = FixedTrial(one.params)
        suggest_training(again, space)  # what could have been chosen
        study.add_trial(
            create_trial(
                state=TrialState[STATES[one.trial.status]],
                value=None if one.trial.val_score is None else one.trial.val_score.value,
                params=again.params,
                distributions=again.distributions,
            )
        )
    return study


def _ask(told: Sequence[Told], space: Space, place: int) -> optuna.Trial | optuna.trial.FixedTrial:
    """Ask for the trial after ``place`` others, of which it knows some; the first are given.

    Each has a study of its own, so that it does not depend on the others of its round.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import FixedTrial

    if place < len(GIVEN):
        return FixedTrial(fit_given(GIVEN[place], space))
    study = _recall(told, space)
    study.sampler = TPESampler(seed=(1000 * space.seed + place) % 2**32, n_startup_trials=4)
    return study.ask()


def _find_limits(told: Sequence[Told], space: Space) -> dict[int, float]:
    """Return what a trial must come to by each epoch: the median of the trials done before it.

    There is no limit before a third of the epochs, nor at the last one, where nothing would be
    saved, nor before as many trials are done as are given.
    """
    done = [one.scores for one in told if one.trial.status == "done"]
    if len(done) < len(GIVEN):
        return {}
    limits: dict[int, float] = {}
    for epoch in range(-(-space.epochs // 3), space.epochs):
        if values := [scores[epoch - 1] for scores in done if len(scores) >= epoch]:
            limits[epoch] = median(values)
    return limits
